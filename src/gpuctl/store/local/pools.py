"""The pools of a state in a file: a table of the state itself, and beside it a folder with a history for each pool."""

import json
import os
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from gpuctl.files import Disk, append_lines, private_folder
from gpuctl.store.local.format import UnreadableState
from gpuctl.store.local.store import LocalStore
from gpuctl.store.local.verified import translated
from gpuctl.store.pools import PoolChange

# Commands that only read records load no pools.
if TYPE_CHECKING:
    from gpuctl.domain.pools.events import PoolEvent
    from gpuctl.domain.pools.spec import Pool

TABLE = "pools"


class LocalPools:
    """A `PoolStore` in a state file and beside it. Making one touches nothing."""

    def __init__(self, store: LocalStore, state: Path) -> None:
        state = Path(os.path.realpath(state))
        self._store = store
        self._state = state
        self._folder = state.with_name(f"{state.name}.pools")

    def read(self) -> "Mapping[str, Pool]":
        with translated(self._state, "read"):
            return {name: read_pool(stored) for name, stored in self._store.tables().get(TABLE, {}).items()}

    def change(self, name: str, change: PoolChange) -> "Pool | None":
        with self._store.transaction(may_create=True) as transaction:
            tables = transaction.storage.read()
            stored = tables.get(TABLE, {})
            before = read_pool(stored[name]) if name in stored else None
            after = change(before)
            if after != before:
                remaining = {key: value for key, value in stored.items() if key != name}
                table = remaining if after is None else {**remaining, name: after.model_dump(mode="json")}
                transaction.storage.write({**tables, TABLE: table})
            return after

    def append(self, name: str, entries: "Sequence[PoolEvent]") -> None:
        months: dict[str, list[PoolEvent]] = {}
        for entry in entries:
            months.setdefault(_month(entry.at), []).append(entry)
        with translated(self._folder, "written"):
            for month, some in months.items():
                lines = [json.dumps(entry.model_dump(mode="json", exclude_defaults=True)) for entry in some]
                path = self._folder / name / f"{month}.jsonl"
                private_folder(path.parent)
                # What is lost here costs a forecast some of its accuracy, so nothing is synced.
                append_lines(Disk(), path, "".join(f"{line}\n" for line in lines), is_durable=False)

    def history(self, name: str, since: datetime) -> "Sequence[PoolEvent]":
        with translated(self._folder, "read"):
            files = [path for path in self._files(name) if path.stem >= _month(since)]
            lines = [line for path in files for line in path.read_bytes().splitlines()]
        entries = [entry for line in lines if (entry := _event(line)) is not None and entry.at >= since]
        return sorted(entries, key=lambda entry: entry.at)

    def every_history(self) -> "Mapping[str, Sequence[PoolEvent]]":
        """Every history by the name of its pool."""
        ever = datetime.min.replace(tzinfo=UTC)
        return {folder.name: self.history(folder.name, ever) for folder in sorted(self._folder.glob("*/"))}

    def replace_histories(self, histories: "Mapping[str, Sequence[PoolEvent]]") -> None:
        """Make these the histories of a state that is being filled."""
        with translated(self._folder, "written"):
            for path in self._folder.glob("*/????-??.jsonl"):
                path.unlink()
        for name, entries in histories.items():
            self.append(name, entries)

    def forget(self, before: datetime) -> None:
        with translated(self._folder, "written"):
            for path in self._folder.glob("*/????-??.jsonl"):
                if path.stem < _month(before):
                    path.unlink(missing_ok=True)

    def _files(self, name: str) -> list[Path]:
        return sorted((self._folder / name).glob("????-??.jsonl"))


def _month(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m}"


def read_pool(stored: Mapping[str, Any]) -> "Pool":
    """The pool that is stored so. UnreadableState if it is none."""
    try:
        from gpuctl.domain.pools.spec import Pool

        return Pool.model_validate(dict(stored))
    except ValidationError as error:
        raise UnreadableState(f"holds a pool that cannot be read: {error.errors()[0]['msg']}") from None


def _event(line: bytes) -> "PoolEvent | None":
    try:
        from gpuctl.domain.pools.events import PoolEvent

        return PoolEvent.model_validate_json(line) if line.strip() else None
    except (ValidationError, ValueError):
        return None
