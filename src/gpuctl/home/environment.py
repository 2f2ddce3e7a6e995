"""The user's name and folders on this computer."""

import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from shlex import quote

from gpuctl.domain.duration import as_typed
from gpuctl.errors import UsageError

# What each folder holds that must not be overlooked where it lies in another place.
_FOLDERS = {
    "config": ("XDG_CONFIG_HOME", ".config", "config.toml"),
    "state": ("XDG_STATE_HOME", ".local/state", "state.json"),
}
_LIBRARY = "Library/Application Support/gpuctl"


def folder(kind: str, environ: Mapping[str, str], platform_name: str = sys.platform) -> Path:
    """The folder of the `state` or the `config`, the same on every platform.

    UsageError without a home directory, and on macOS where such a file lies in Library/Application Support: it would be
    ignored.
    """
    variable, default, file_name = _FOLDERS[kind]
    if environ.get(variable, "").startswith("/"):
        return Path(environ[variable]) / "gpuctl"
    home = home_of(environ)
    if home is None:
        raise UsageError(f"there is no home directory for the {kind} file", hint="add `--state FILE`, or set HOME")
    used, unused = home / default / "gpuctl", home / _LIBRARY / file_name
    if platform_name == "darwin" and unused.exists():
        hint = f"remove one of them, or select one with `--{kind} FILE`"
        if not (used / file_name).exists():
            hint = f"mkdir -p {quote(str(used))} && mv {quote(str(unused))}* {quote(str(used))}"
        raise UsageError(f"the {kind} file is read from `{used / file_name}`, but `{unused}` also exists", hint=hint)
    return used


def home_of(environ: Mapping[str, str]) -> Path | None:
    """The home directory by the environment or the system's accounts; None where neither names one."""
    named = environ.get("HOME", "")
    if not named:
        import pwd

        with suppress(KeyError):
            named = pwd.getpwuid(os.getuid()).pw_dir
    return Path(named) if named.startswith("/") else None


def login_name(environ: Mapping[str, str]) -> str:
    """The login name by the environment or the system's accounts, else `uid-` and the number."""
    for name in ("LOGNAME", "USER", "USERNAME"):
        if environ.get(name, "").strip():
            return environ[name].strip()
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"


def path_of(text: str) -> Path:
    """The absolute path of a file that the user named. UsageError where it cannot be determined."""
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise UsageError(f"there is no home directory for {as_typed(text)}", hint="use an absolute path") from None
    except FileNotFoundError:
        raise UsageError(
            f"the current directory was deleted, cannot resolve {as_typed(text)}", hint="use an absolute path"
        ) from None
