"""Whether the program that a schedule runs is there, and stays there."""

import os
import shlex
from collections.abc import Mapping
from pathlib import Path

# Folders whose content installers and cleaners remove: uvx and `pipx run` put their environments below one.
_CACHES = (".cache", "Caches")
_CACHE_VARIABLES = ("UV_CACHE_DIR", "XDG_CACHE_HOME")
_LONGEST_FIRST_LINES = 4_096


def stable_path(script: Path, linked: str | None) -> Path:
    """The path that survives an upgrade: the link on PATH if it leads to the script, else the script itself.

    pipx, uv tool and Homebrew put a link on PATH; what it leads to has another name after an upgrade.
    """
    if linked is not None and os.path.isabs(linked) and os.path.realpath(linked) == os.path.realpath(script):
        return Path(linked)
    return script


def is_cached(program: Path, environ: Mapping[str, str]) -> bool:
    """Whether the program is below a cache folder, from which it disappears without notice."""
    real = Path(os.path.realpath(program))
    folders = [environ[name] for name in _CACHE_VARIABLES if environ.get(name, "").startswith("/")]
    return any(part in _CACHES for part in real.parent.parts) or any(
        real.is_relative_to(os.path.realpath(folder)) for folder in folders
    )


def missing_program(program: str) -> str | None:
    """The file without which the program cannot start: itself, or the interpreter its first lines name. None if none.

    A file that cannot be read counts as present: the schedule may run as somebody who can read it.
    """
    for path in (program, *_interpreters(program)):
        try:
            os.stat(path)
        except (FileNotFoundError, NotADirectoryError):
            return path
        except OSError:
            continue
    return None


def _interpreters(program: str) -> list[str]:
    try:
        with open(program, "rb") as file:
            lines = file.read(_LONGEST_FIRST_LINES).decode("utf-8", "surrogateescape").splitlines()
    except OSError:
        return []
    names = []
    if lines and lines[0].startswith("#!"):
        names += lines[0][2:].split()[:1]
    # Where the path of Python is too long for a first line, installers write: '''exec' "/path/of/python" "$0" "$@"
    if len(lines) > 1 and lines[1].startswith("'''exec' "):
        try:
            names += shlex.split(lines[1].removeprefix("'''exec' "))[:1]
        except ValueError:
            return names
    return names
