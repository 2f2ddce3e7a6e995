"""Starts the server of the sandbox when it is first needed."""

from pathlib import Path

from gpuctl.distribution import install_extra
from gpuctl.errors import GpuctlError, UnreachableError, UsageError
from gpuctl.sandbox import NotInstalledError, SandboxError, ensure, read_address, status
from gpuctl.services.progress import Progress


def address(folder: Path, progress: Progress) -> str:
    """The URL of the server whose address is in `folder`; started if none runs.

    UsageError where the extra is not installed, UnreachableError where the server does not start.
    """
    try:
        if status(folder) is None:
            progress.step("starting the sandbox")
        url = ensure(folder).url
    except SandboxError as error:
        raise translate(error) from error
    progress.clear()
    return url


def state_folder(folder: Path) -> Path:
    """The folder for the state of the server whose address is in `folder`. UsageError where that cannot be used."""
    try:
        server = read_address(folder)
    except SandboxError as error:
        raise UsageError(error.message, hint=error.hint) from error
    return folder / (server.nonce if server else "none")


def translate(error: SandboxError) -> GpuctlError:
    """The error as commands report it; UsageError with the command to type where the extra is not installed."""
    if isinstance(error, NotInstalledError):
        return UsageError(error.message, hint=install_extra("sandbox"))
    return UnreachableError(error.message, hint=error.hint)
