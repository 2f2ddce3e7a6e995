"""The file that makes `ssh gpu-NAME` work for ssh, scp, rsync and editors, and the line that leads ssh to it."""

import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from gpuctl.files import Disk, make_path_private, private_folder, write_whole
from gpuctl.remote.target import Target, plain_path

NAME = "ssh_config"
KNOWN_HOSTS = "known_hosts"
_MARK = "# gpuctl: the instances of one state; `gpuctl ssh-config --remove` takes these two lines out"
_HEAD = "# Written by gpuctl and updated when instances change. Needs the SSH keys of this gpuctl state.\n"

# What would end the quotes, or be read as a pattern.
_PATTERNS = '"*?['


def text_of(targets: Sequence[Target]) -> str:
    """The settings of these instances, a block each."""
    return _HEAD + "".join(f"\n{target.block()}" for target in targets)


def write(folder: Path, targets: Sequence[Target]) -> Path:
    """Put the settings of these instances, and of no other, into the state's own file; returns it. Raises OSError."""
    private_folder(folder)
    path, text = folder / NAME, text_of(targets).encode()
    if not path.exists() or path.read_bytes() != text:
        write_whole(Disk(), path, text)
    return path


def include(ssh_config: Path, path: Path) -> bool:
    """Lead ssh from a person's own settings to that file; whether anything was changed. Once is enough.

    It comes first, because ssh takes the first value it finds and a line after a `Host` would belong to that host.
    The rest of the file and its mode stay unchanged; a link is followed.
    Raises OSError.
    """
    line = _include(path)
    before = _read(ssh_config)
    if line in before.splitlines():
        return False
    if not ssh_config.parent.exists():
        private_folder(ssh_config.parent)
    end = "\r\n" if "\r\n" in before else "\n"
    _replace(ssh_config, f"{_MARK}{end}{line}{end}{before}")
    return True


def exclude(ssh_config: Path, path: Path) -> bool:
    """Take out what `include` put in; whether anything was there. Raises OSError."""
    before, line = _read(ssh_config), _include(path)
    lines = before.splitlines(keepends=True)
    remaining = [
        text
        for number, text in enumerate(lines)
        if text.rstrip("\r\n") != line
        and not (text.rstrip("\r\n") == _MARK and number + 1 < len(lines) and lines[number + 1].rstrip("\r\n") == line)
    ]
    if len(remaining) == len(lines):
        return False
    _replace(ssh_config, "".join(remaining))
    return True


def forget_terminated(folder: Path, active: Sequence[str]) -> None:
    """Remove what is remembered of host keys of instances that are gone."""
    with suppress(OSError):
        for path in (folder / KNOWN_HOSTS).iterdir():
            if path.name not in active:
                path.unlink()


def _include(path: Path) -> str:
    return f'Include "{plain_path(path, _PATTERNS)}"'


def _read(path: Path) -> str:
    try:
        # Not read_text: it would turn every line ending into "\n", and writing back would change the whole file.
        return path.read_bytes().decode("utf-8", errors="surrogateescape")
    except FileNotFoundError:
        return ""


def _replace(path: Path, text: str) -> None:
    real = Path(os.path.realpath(path))
    mode = real.stat().st_mode & 0o777 if real.exists() else 0o600
    write_whole(Disk(), real, text.encode(errors="surrogateescape"))
    make_path_private(real, mode)
