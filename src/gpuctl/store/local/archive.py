"""Records that ended long ago, a JSON line each in a file per month, so that the state stays small."""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from pydantic import ValidationError

from gpuctl.domain.instance import Instance
from gpuctl.files import Disk, append_lines, private_folder, write_whole


class Archive:
    """The folder beside a state that holds its old records."""

    def __init__(self, state: Path, disk: Disk) -> None:
        self.folder = state.with_name(f"{state.name}.archive")
        self._disk = disk

    def append(self, records: Sequence[Instance]) -> None:
        """Write these down, durably; a line that a crash cut short is left behind and never glued to a new one."""
        months: dict[str, list[Instance]] = {}
        for record in records:
            months.setdefault(f"{record.terminated_at or record.updated_at:%Y-%m}", []).append(record)
        private_folder(self.folder)
        for month, records in months.items():
            lines = [json.dumps(record.model_dump(mode="json")) for record in records]
            text = "".join(f"{line}\n" for line in lines)
            append_lines(self._disk, self.folder / f"{month}.jsonl", text, is_durable=True)
        self._disk.sync_folder(self.folder)

    def records(self, leaving_out: Collection[str], since: datetime | None = None) -> Iterator[Instance]:
        """Every record, newest month first and each once, as its last line has it; unreadable lines are skipped.

        With `since` only the months from that one on.
        """
        yield from self._records(leaving_out, f"{since.astimezone(UTC):%Y-%m}" if since else "")

    def find(self, text: str, leaving_out: Collection[str]) -> list[Instance]:
        """The records whose name is this text or whose ID begins with it. Only lines that contain it are parsed."""
        needle = json.dumps(text)[1:-1].encode()
        ids = {record.id for record in self._records(leaving_out, containing=needle) if _is_called(record, text)}
        # The line with the text need not be the last one of its record.
        return [
            record
            for name in sorted(ids)
            for record in self._records(leaving_out, containing=name.encode())
            if record.id == name and _is_called(record, text)
        ]

    def _records(self, leaving_out: Collection[str], first: str = "", containing: bytes = b"") -> Iterator[Instance]:
        ids = set(leaving_out)
        for path in self._files():
            if path.stem < first:
                return
            for line in reversed(path.read_bytes().splitlines()):
                record = _record(line) if containing in line else None
                if record is not None and record.id not in ids:
                    ids.add(record.id)
                    yield record

    def unreadable(self) -> list[str]:
        """`FILE:LINE` of every line that is no record."""
        return [
            f"{path}:{number}"
            for path in self._files()
            for number, line in enumerate(path.read_bytes().splitlines(), 1)
            if line.strip() and _record(line) is None
        ]

    def hand_over(
        self, ended_before: datetime, leaving_out: Collection[str], keep: Callable[[Sequence[Instance]], None]
    ) -> int:
        """See `RecordStore.hand_over`; the caller holds the state's lock."""
        old = [
            record for record in self.records(leaving_out) if (record.terminated_at or record.updated_at) < ended_before
        ]
        if not old:
            return 0
        keep(old)
        # First there, then the date from which is counted, then gone from here.
        self.count_from(max(ended_before, self.counts_from() or ended_before))
        self.remove([record.id for record in old])
        return len(old)

    def count_from(self, since: datetime) -> None:
        """Note that records which ended before then were taken out."""
        private_folder(self.folder)
        write_whole(self._disk, self._since, json.dumps({"countsFrom": since.isoformat()}).encode())

    def remove(self, ids: Collection[str]) -> None:
        """Remove every line of these records; one that is not there is no error."""
        removed_ids = set(ids)
        for path in self._files():
            lines = path.read_bytes().splitlines(keepends=True)
            remaining = [line for line in lines if (record := _record(line)) is None or record.id not in removed_ids]
            if len(remaining) < len(lines):
                write_whole(self._disk, path, b"".join(remaining))

    def counts_from(self) -> datetime | None:
        """See `RecordStore.counts_from`."""
        try:
            return datetime.fromisoformat(json.loads(self._since.read_bytes())["countsFrom"])
        except (OSError, ValueError, KeyError, TypeError):
            return None

    @property
    def _since(self) -> Path:
        return self.folder / "counts-from.json"

    def _files(self) -> list[Path]:
        return sorted(self.folder.glob("????-??.jsonl"), reverse=True)


def _is_called(record: Instance, text: str) -> bool:
    return record.name == text or record.id.startswith(text)


def _record(line: bytes) -> Instance | None:
    if not line.strip():
        return None
    try:
        return Instance.model_validate(json.loads(line))
    except (ValidationError, ValueError):
        return None
