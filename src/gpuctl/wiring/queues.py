"""The queues that pools follow: a command of the user, or the queue service of a provider."""

import json
import os
import shlex
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from datetime import timedelta
from tempfile import TemporaryFile

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


def read_queue(pool: Pool, connection: Connection) -> QueueReading:
    """What the pool's queue reports now. UsageError, CredentialsError or a CloudError where it reports nothing usable.

    Takes 10 s at most where it is a command: what that has started is killed then.
    """
    scheme, _, address = (pool.queue or "").partition(":")
    if scheme == COMMAND:
        output = _run(_words(address, in_shell=pool.queue_shell), connection.environ)
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


def _run(words: list[str], environ: Mapping[str, str]) -> str:
    """The output of the command. UnreachableError if it fails, takes too long, or writes too much."""
    try:
        # Files and no pipes: what the command leaves in the background must not block us.
        with TemporaryFile() as output, TemporaryFile() as errors:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=output, stderr=errors, env=dict(environ), start_new_session=True
            )
            try:
                code = process.wait(PATIENCE.total_seconds())
            except subprocess.TimeoutExpired:
                raise UnreachableError(f"the command took longer than {exact(PATIENCE)}") from None
            finally:
                with suppress(ProcessLookupError, PermissionError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            if code != 0:
                errors.seek(0)
                words_of_it = last_line(errors.read(_LONGEST_OUTPUT))
                raise UnreachableError(f"the command exited with {code}{f': {words_of_it}' if words_of_it else ''}")
            output.seek(0)
            return output.read(_LONGEST_OUTPUT).decode(errors="replace")
    except OSError as error:
        raise UnreachableError(f"`{words[0]}` could not be run: {error.strerror}") from error
