"""Backups of the state: the good file, hard-linked before it is replaced."""

import os
import shutil
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

from gpuctl.files import private_folder

EVERY = timedelta(minutes=10)
KEEP_LAST = 12
KEEP_DAYS = 14
_FORM = "%Y%m%dT%H%M%SZ"


def folder_of(state: Path) -> Path:
    """Where a state's backups are."""
    return state.with_name(f"{state.name}.backups")


def list_backups(state: Path) -> list[Path]:
    """The state's backups, newest first."""
    return sorted((path for path in folder_of(state).glob("*.json") if _time_of(path)), reverse=True)


def back_up(state: Path, now: datetime) -> None:
    """Keep the present file, which the caller has just found good, unless the newest backup is under 10 min old.

    A backup that cannot be made or pruned never keeps the state from being written.
    """
    newest = next((_time_of(path) for path in list_backups(state)), None)
    if newest is not None and timedelta(0) <= now - newest < EVERY:
        return
    with suppress(OSError):
        folder = folder_of(state)
        private_folder(folder)
        backup = folder / f"{now.astimezone(UTC).strftime(_FORM)}.json"
        try:
            os.link(state, backup)
        except FileExistsError:
            return
        except OSError:
            shutil.copy2(state, backup)
        _prune(state, now)


def _prune(state: Path, now: datetime) -> None:
    every = list_backups(state)
    keep = set(every[:KEEP_LAST])
    days: set[str] = set()
    for path in every:
        at = _time_of(path)
        if at is not None and now - at < timedelta(days=KEEP_DAYS) and f"{at:%Y%m%d}" not in days:
            days.add(f"{at:%Y%m%d}")
            keep.add(path)
    for path in every:
        if path not in keep:
            path.unlink()


def _time_of(path: Path) -> datetime | None:
    try:
        return datetime.strptime(path.stem, _FORM).replace(tzinfo=UTC)
    except ValueError:
        return None
