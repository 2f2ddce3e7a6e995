"""The sandbox's server, started when a command first needs it."""

from pathlib import Path

from gpuctl.cli.talk import Talk
from gpuctl.errors import GpuctlError, UnreachableError, UsageError
from gpuctl.sandbox.control import SandboxError, ensure, status


def address(folder: Path, talk: Talk) -> str:
    """Where the server is that keeps itself in that folder; it is started if none runs.

    UsageError where it is not installed, UnreachableError where it does not come up.
    """
    try:
        if status(folder) is None:
            talk.step("starting the sandbox")
        url = ensure(folder).url
    except SandboxError as error:
        problem: type[GpuctlError] = UsageError if "pip install" in error.hint else UnreachableError
        raise problem(error.message, hint=error.hint) from error
    talk.clear()
    return url
