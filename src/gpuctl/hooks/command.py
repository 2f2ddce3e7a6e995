"""A hook that is a command: it runs in a shell of its own, with the event on its standard input."""

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from tempfile import TemporaryFile
from typing import IO

from gpuctl.domain.duration import exact
from gpuctl.domain.wording import last_line
from gpuctl.hooks.base import IN_HOOK, HookMessage

_SHELL = "/bin/sh"
_LONGEST_OUTPUT = 4096


class CommandHook:
    """Runs the command by `sh -c`, exactly as written: no part of an event is put into it.

    `environ` is its environment. Exit code 0 within the time limit means that the event was accepted. Background
    processes continue; after the time limit everything it started is killed.
    """

    def __init__(self, command: str, environ: Mapping[str, str]) -> None:
        self._command = command
        self._environ = environ

    def send(self, message: HookMessage, patience: timedelta) -> str | None:
        try:
            # Files and no pipes: a hook that reads nothing, or whose child keeps running, must not block us.
            with TemporaryFile() as input_file, TemporaryFile() as temporary:
                input_file.write(f"{message.document}\n".encode())
                input_file.seek(0)
                return self._run(message, patience, input_file, temporary)
        except OSError as error:
            return f"could not be run: {error.strerror}"

    def _run(self, message: HookMessage, patience: timedelta, stdin: IO[bytes], stderr: IO[bytes]) -> str | None:
        shape = {
            "GPUCTL_EVENT": message.name,
            "GPUCTL_INSTANCE_ID": message.instance_id,
            "GPUCTL_EVENT_NUMBER": str(message.number),
            # A gpuctl that it runs delivers nothing itself, or one event would be delivered without end.
            IN_HOOK: "1",
        }
        process = subprocess.Popen(
            [_SHELL, "-c", self._command],
            stdin=stdin,
            stdout=subprocess.DEVNULL,
            stderr=stderr,
            env={**self._environ, **shape},
            start_new_session=True,
        )
        try:
            code = process.wait(patience.total_seconds())
        except subprocess.TimeoutExpired:
            _kill(process)
            return f"timed out after {exact(patience)}"
        except BaseException:
            _kill(process)
            raise
        return None if code == 0 else f"{_exit_text(code)}{_last_line(stderr)}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _exit_text(code: int) -> str:
    return f"exited with {code}" if code > 0 else f"was stopped by signal {-code}"


def _last_line(output: IO[bytes]) -> str:
    output.seek(max(output.seek(0, os.SEEK_END) - _LONGEST_OUTPUT, 0))
    words = last_line(output.read())
    return f": {words}" if words else ""
