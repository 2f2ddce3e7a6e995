"""What a process finds around it: terminals, its user, and the folders its files go to."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TextIO

from gpuctl.domain.duration import shown
from gpuctl.errors import UsageError


def is_terminal(stream: TextIO) -> bool:
    """Whether a person is at the other end; a closed stream has none."""
    try:
        return stream.isatty()
    except ValueError:
        return False


def folder(what: str, environ: Mapping[str, str]) -> Path:
    """The platform's folder for our state or config; where nobody has a home, one below the temporary files."""
    variable = "XDG_STATE_HOME" if what == "state" else "XDG_CONFIG_HOME"
    if environ.get(variable, "").startswith("/"):
        return Path(environ[variable]) / "gpuctl"
    import platformdirs

    try:
        return Path(
            platformdirs.user_state_dir("gpuctl") if what == "state" else platformdirs.user_config_dir("gpuctl")
        )
    except (RuntimeError, KeyError):
        raise UsageError(
            "there is no home directory for the state file", hint="add `--state FILE`, or set HOME"
        ) from None


def login_name(environ: Mapping[str, str]) -> str:
    """Who is logged in, by the environment, the system's accounts, or the bare number."""
    for name in ("LOGNAME", "USER", "USERNAME"):
        if environ.get(name, "").strip():
            return environ[name].strip()
    import pwd

    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        return f"uid-{os.getuid()}"


def path_of(text: str) -> Path:
    """The file that a person named, from the root on. UsageError where that cannot be told."""
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise UsageError(f"there is no home directory for {shown(text)}", hint="use an absolute path") from None
    except FileNotFoundError:
        raise UsageError(
            f"the current directory was deleted, cannot resolve {shown(text)}", hint="use an absolute path"
        ) from None
