"""Looks for files and folders that somebody else on the instance could read or write."""

import stat
from pathlib import Path


def open_files(folder: Path) -> list[str]:
    """`PATH MODE` of everything below the folder that is not 0600 (a file) or 0700 (a folder)."""
    problems = []
    for path in sorted(folder.rglob("*")):
        mode = path.lstat().st_mode
        wanted = 0o700 if stat.S_ISDIR(mode) else 0o600
        if not stat.S_ISLNK(mode) and stat.S_IMODE(mode) != wanted:
            problems.append(f"{path.relative_to(folder)} {stat.S_IMODE(mode):04o}")
    return problems
