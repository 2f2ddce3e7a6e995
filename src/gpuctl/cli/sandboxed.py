"""The sandbox's server, started when a command first needs it."""

from pathlib import Path

from gpuctl.cli.terminal.progress import TerminalProgress
from gpuctl.distribution import install_extra
from gpuctl.errors import GpuctlError, UnreachableError, UsageError
from gpuctl.sandbox import NotInstalledError, SandboxError, ensure, status


def address(folder: Path, progress: TerminalProgress) -> str:
    """Where the server is that keeps itself in that folder; it is started if none runs.

    UsageError where it is not installed, UnreachableError where it does not come up.
    """
    try:
        if status(folder) is None:
            progress.step("starting the sandbox")
        url = ensure(folder).url
    except SandboxError as error:
        raise translate(error) from error
    progress.clear()
    return url


def translate(error: SandboxError) -> GpuctlError:
    """The failure as commands report it: UsageError with the command to type where the extra is not installed."""
    if isinstance(error, NotInstalledError):
        return UsageError(error.message, hint=install_extra("sandbox"))
    return UnreachableError(error.message, hint=error.hint)
