"""The state under its lock: the records as they are read afresh, and what one change makes of them."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from tinydb.table import Document

from gpuctl.domain.instance import Instance
from gpuctl.errors import GpuctlError, NotFoundError
from gpuctl.store.base import Change
from gpuctl.store.local.format import TABLE, FileHeader
from gpuctl.store.local.record import instance
from gpuctl.store.local.tinydb import StateStorage, records_of


class Transaction:
    """The state under the lock."""

    def __init__(self, header: FileHeader, storage: StateStorage) -> None:
        self.header = header
        self.storage = storage
        # TinyDB's own annotations know only numbers as document ids; ours are text.
        self.table: Any = records_of(storage)

    def accept(self) -> None:
        self.header = replace(self.header, is_restored=False)
        self.storage.write(self.storage.read())

    def records(self) -> list[Instance]:
        return [instance(item) for item in self.storage.read().get(TABLE, {}).values()]

    def change(self, record_id: str, change: Change) -> Instance | GpuctlError:
        stored = self.table.get(doc_id=record_id)
        if stored is None:
            return NotFoundError("Instance not found", hint="gpuctl list --all")
        before = instance(stored)
        try:
            after = change(before)
        except GpuctlError as error:
            return error
        if after != before:
            self.table.update(_replaced(document(after)), doc_ids=[record_id])
        return after


def document(record: Instance) -> Document:
    """The record as TinyDB keeps it, under its own id."""
    doc_id: Any = record.id
    return Document(record.model_dump(mode="json"), doc_id=doc_id)


def _replaced(document: Document) -> Callable[[Any], None]:
    def put(stored: Any) -> None:
        stored.clear()
        stored.update(document)

    return put
