"""Where real gpuctl processes come from: one parent that has loaded everything, and a fork of it for each command.

A child calls the very `main` that the console script calls, with a clock that reads a file. It can be told to die at a
step of a file's write, and to break a rule of gpuctl's by name, so that a gate is seen to fail.
"""

import array
import gc
import json
import os
import signal
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NoReturn

import pytest
from faults.mutants import MUTANTS, load_all_modules
from support.clock import FileClock
from support.sdk import share_models

STEPS = ("create", "write", "sync", "replace", "sync_folder")


def serve(line: socket.socket) -> None:
    """Fork a child for each request until the other end is closed."""
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    _warm_up()
    line.sendall(b"ready\n")
    while True:
        fds = array.array("i")
        request, ancillary, _, _ = line.recvmsg(1 << 16, socket.CMSG_SPACE(fds.itemsize))
        if not request:
            return
        for _, _, data in ancillary:
            fds.frombytes(data)
        pid = os.fork()
        if pid == 0:
            line.close()
            _run(json.loads(request), fds[0])
        os.close(fds[0])
        line.sendall(f"{pid}\n".encode())


def _run(request: dict[str, Any], status: int) -> NoReturn:
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    for number, path in enumerate((os.devnull, request["out"], request["err"])):
        flags = os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        os.dup2(os.open(path, flags, 0o600), number)
    os.environ.clear()
    os.environ.update(request["environ"])
    os.umask(request["umask"])
    clock = FileClock(Path(request["clock"]))
    patch = pytest.MonkeyPatch()
    _sleep_by(clock, patch)
    for name in request["mutants"]:
        MUTANTS[name](patch)
    _die_at(request["die_at_step"], request["steps"], patch)
    from gpuctl.cli.main import main

    code = main(request["argv"], clock=clock)
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os.write(status, str(code).encode())
    os._exit(code)


def _warm_up() -> None:
    """Load what a command would, so that a fork is at work at once."""
    import boto3

    share_models()
    load_all_modules()
    session = boto3.Session(aws_access_key_id="x", aws_secret_access_key="x", region_name="us-east-1")
    for service in ("ec2", "sts", "ssm"):
        session.client(service, endpoint_url="http://127.0.0.1:1").close()
    del session
    gc.collect()
    gc.freeze()


def _sleep_by(clock: FileClock, patch: pytest.MonkeyPatch) -> None:
    """The SDK's waits between its retries move the clock too; a reply that never comes is not waited for long."""
    import botocore.endpoint
    from azure.core.pipeline.transport import RequestsTransport

    from gpuctl.providers.aws import client
    from gpuctl.providers.azure import client as azure_client
    from gpuctl.providers.gcp import client as gcp_client

    def sleep(seconds: float) -> None:
        from datetime import timedelta

        clock.sleep(timedelta(seconds=seconds))

    patch.setattr(botocore.endpoint, "time", SimpleNamespace(sleep=sleep))
    patch.setattr(RequestsTransport, "sleep", lambda transport, seconds: sleep(seconds))
    patch.setattr(azure_client, "READ_TIMEOUT", azure_client.READ_TIMEOUT / 20)
    patch.setattr(client, "READ_TIMEOUT", client.READ_TIMEOUT / 20)
    patch.setattr(gcp_client, "READ_TIMEOUT_S", gcp_client.READ_TIMEOUT_S / 20)


def _die_at(step: int | None, log: str | None, patch: pytest.MonkeyPatch) -> None:
    """Count the steps of file writes into `log`, and be killed as the given one begins (a write: in its middle)."""
    from gpuctl.files import Disk

    done = 0

    def counted(name: str, real: Any) -> Any:
        def operation(self: Disk, *arguments: Any) -> Any:
            nonlocal done
            done += 1
            if log is not None:
                with open(log, "a", encoding="ascii") as file:
                    file.write(f"{name}\n")
            if done == step:
                if name == "write":
                    real(self, arguments[0], arguments[1][: len(arguments[1]) // 2])
                os.kill(os.getpid(), signal.SIGKILL)
            return real(self, *arguments)

        return operation

    if step is not None or log is not None:
        for name in STEPS:
            patch.setattr(Disk, name, counted(name, getattr(Disk, name)))


if __name__ == "__main__":
    serve(socket.socket(fileno=int(sys.argv[1])))
