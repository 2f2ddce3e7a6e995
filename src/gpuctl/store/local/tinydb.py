"""The TinyDB storage of the state file: one verified read, and one atomic write at the end of a transaction."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

from tinydb import TinyDB
from tinydb.storages import Storage
from tinydb.table import Table

from gpuctl.files import Disk, remove_stale, write_whole
from gpuctl.store.local import backups
from gpuctl.store.local.format import TABLE, FileHeader, Tables, encode


class Records(Table):
    """The records by their own ids. No query cache: it would hide what other processes write."""

    document_id_class = str  # type: ignore[assignment]  # TinyDB documents this use and annotates only numbers
    default_query_cache_capacity = 0


class StateStorage(Storage):
    """What one transaction sees and changes. Nothing reaches the disk before `commit`."""

    def __init__(self, tables: Tables) -> None:
        self._tables = tables
        self._is_changed = False

    def read(self) -> Tables:
        return self._tables

    def write(self, data: dict[str, dict[str, Any]]) -> None:
        self._tables, self._is_changed = data, True

    def commit(
        self, path: Path, header: FileHeader, disk: Disk, now: datetime, check: Callable[[], None] = lambda: None
    ) -> bool:
        """Replace the file by what the transaction left, keeping a backup of the old one; whether that was needed.

        `check` is called just before, and raises where the lock is held no more.
        """
        if not self._is_changed:
            return False
        content = encode(replace(header, serial=header.serial + 1), self._tables)
        if header.serial:
            backups.back_up(path, now)
        remove_stale(path, now)
        write_whole(disk, path, content, check)
        return True


def records_of(storage: StateStorage) -> Records:
    """TinyDB's table of records over this storage."""
    database = TinyDB(storage=lambda: storage)
    return Records(database.storage, TABLE)
