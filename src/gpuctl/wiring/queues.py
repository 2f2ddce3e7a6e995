"""The queues that pools follow: a command of the user, or the queue service of a provider."""

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from selectors import EVENT_READ, DefaultSelector
from threading import Event, Timer

from gpuctl.domain.duration import as_typed, exact
from gpuctl.domain.pools.load import QueueReading
from gpuctl.domain.pools.spec import Pool
from gpuctl.domain.wording import last_line
from gpuctl.errors import UnreachableError, UsageError
from gpuctl.providers.base import Connection
from gpuctl.providers.registry import open_queue, queue_forms, queue_provider

COMMAND = "cmd"
PATIENCE = timedelta(seconds=10)
_LONGEST_OUTPUT = 65_536
_STEP = timedelta(seconds=0.1)
_MOST_JOBS = 1_000_000


def check_queue(text: str, *, in_shell: bool = False) -> None:
    """Raise UsageError unless that is a source of demand, such as `cmd:COMMAND`. Reads nothing."""
    scheme, _, address = text.partition(":")
    if scheme == COMMAND:
        _words(address, in_shell=in_shell)
        return
    provider = queue_provider(scheme)
    if provider is None or not address.strip():
        raise UsageError(
            f"--queue must be {', '.join(queue_forms())} or cmd:COMMAND, not {as_typed(text)}",
            hint="add `--queue 'cmd:redis-cli llen jobs'`",
        )
    open_queue(provider, address, Connection())


def read_queue(pool: Pool, connection: Connection, patience: timedelta = PATIENCE) -> QueueReading:
    """What the pool's queue reports now. UsageError, CredentialsError or a CloudError where it reports nothing usable.

    Takes no longer than `patience` where it is a command: what that has started is killed then.
    """
    scheme, _, address = (pool.queue or "").partition(":")
    if scheme == COMMAND:
        output = _run(_words(address, in_shell=pool.queue_shell), connection.environ, patience)
        return parsed_reading(output)
    provider = queue_provider(scheme)
    if provider is None:
        raise UsageError(
            f"the queue {as_typed(pool.queue or '')} is of no known kind", hint=f"gpuctl pool show {pool.name}"
        )
    return open_queue(provider, address, connection).read()


def parsed_reading(output: str) -> QueueReading:
    """A number, or JSON such as `{"waiting": 3, "running": 1}`. UnreachableError for anything else."""
    text = output.strip()
    try:
        document = json.loads(text, parse_constant=_refuse, parse_float=_refuse)
    except (ValueError, RecursionError):
        raise UnreachableError(f"its output is not a number: {as_typed(text)}") from None
    if isinstance(document, dict):
        running = document.get("running")
        return QueueReading(_count(document.get("waiting"), text), None if running is None else _count(running, text))
    return QueueReading(_count(document, text))


def _count(value: object, text: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_JOBS:
        raise UnreachableError(f"its output is not a number of jobs: {as_typed(text)}")
    return value


def _refuse(text: str) -> object:
    raise ValueError(text)


def _words(command: str, *, in_shell: bool) -> list[str]:
    """The program and its arguments. No shell reads them unless the user wants one."""
    try:
        words = ["/bin/sh", "-c", command] if in_shell else shlex.split(command)
    except ValueError as error:
        raise UsageError(
            f"--queue cmd: cannot be read: {error}", hint="quote it: --queue 'cmd:redis-cli llen jobs'"
        ) from None
    if not command.strip() or not words:
        raise UsageError("--queue cmd: has no command", hint="add `--queue 'cmd:redis-cli llen jobs'`")
    return words


def _run(words: list[str], environ: Mapping[str, str], patience: timedelta) -> str:
    """The output of the command. UnreachableError if it fails, takes longer than that, or writes too much."""
    try:
        process = subprocess.Popen(
            words,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=dict(environ),
            start_new_session=True,
        )
    except OSError as error:
        raise UnreachableError(f"`{words[0]}` could not be run: {error.strerror}") from error
    is_late = Event()

    def kill() -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)

    def give_up() -> None:
        is_late.set()
        kill()

    limit = Timer(patience.total_seconds(), give_up)
    limit.start()
    try:
        output, errors = _written(process, is_late)
        code = process.wait()
    finally:
        limit.cancel()
        # Also what the command leaves in the background.
        kill()
        process.wait()
    if is_late.is_set():
        raise UnreachableError(f"the command took longer than {exact(patience)}")
    if code != 0:
        reason = last_line(errors)
        raise UnreachableError(f"the command exited with {code}{f': {reason}' if reason else ''}")
    return output.decode(errors="replace")


def _written(process: "subprocess.Popen[bytes]", is_late: Event) -> tuple[bytes, bytes]:
    """What the command writes to its two streams until it ends. UnreachableError if that is too much."""
    assert process.stdout is not None
    assert process.stderr is not None
    written = {process.stdout: b"", process.stderr: b""}
    with process.stdout, process.stderr, DefaultSelector() as selector:
        for stream in written:
            selector.register(stream, EVENT_READ, stream)
        while selector.get_map() and not is_late.is_set():
            is_over = process.poll() is not None
            events = selector.select(_STEP.total_seconds())
            for key, _ in events:
                some = os.read(key.fd, _LONGEST_OUTPUT)
                written[key.data] += some
                if not some:
                    selector.unregister(key.fileobj)
                if len(written[key.data]) > _LONGEST_OUTPUT:
                    raise UnreachableError(f"the command wrote more than {_LONGEST_OUTPUT:,} bytes")
            if is_over and not events:
                # What it has left in the background still holds a stream.
                break
        return written[process.stdout], written[process.stderr]
