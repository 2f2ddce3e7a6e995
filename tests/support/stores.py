"""A store in memory, for tests that make thousands of transactions; it passes the same contract as the real one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from gpuctl.domain.instance import Instance
from gpuctl.errors import GpuctlError, NotFoundError
from gpuctl.store.base import Change, Guard, Snapshot


class MemoryStore:
    """A `Store` that lasts as long as the object."""

    def __init__(self, state_id: str = "memory-state") -> None:
        self._wanted_id = state_id
        self._state_id: str | None = None
        self._serial = 0
        self._records: dict[str, Instance] = {}
        self._archived: dict[str, Instance] = {}
        self._rescued: dict[str, Instance] = {}
        self.is_restored = False
        self._counts_from: datetime | None = None

    @property
    def has_written(self) -> bool:
        return self._serial > 0

    @property
    def location(self) -> str:
        return "memory"

    def snapshot(self) -> Snapshot:
        return Snapshot(self._state_id, self._serial, tuple(self._records.values()), self.is_restored)

    def add(self, records: Sequence[Instance], guard: Guard) -> Snapshot:
        guard(list(self._records.values()))
        for record in records:
            if record.id in self._records:
                raise ValueError(f"{record.id} exists")
        self._records |= {record.id: record for record in records}
        self._state_id = self._wanted_id
        self._serial += 1
        return self.snapshot()

    def update(self, record_id: str, change: Change, guard: Guard | None = None) -> Instance:
        before = dict(self._records)
        answer = self.update_each([record_id], change)[record_id]
        if isinstance(answer, GpuctlError):
            raise answer
        try:
            if guard is not None:
                guard(list(self._records.values()))
        except GpuctlError:
            self._records = before
            raise
        return answer

    def update_each(self, record_ids: Sequence[str], change: Change) -> Mapping[str, Instance | GpuctlError]:
        answers: dict[str, Instance | GpuctlError] = {}
        for record_id in record_ids:
            try:
                answers[record_id] = change(self._records[record_id])
            except KeyError:
                answers[record_id] = NotFoundError("Instance not found")
            except GpuctlError as error:
                answers[record_id] = error
        changed = {
            key: record
            for key, record in answers.items()
            if isinstance(record, Instance) and record != self._records[key]
        }
        self._records |= changed
        self._serial += bool(changed)
        return answers

    def archive(self, ended_before: datetime) -> int:
        old = {
            key: record
            for key, record in self._records.items()
            if record.status.is_ended and (record.terminated_at or record.updated_at) < ended_before
        }
        self._archived |= old
        self._records = {key: record for key, record in self._records.items() if key not in old}
        return len(old)

    def archived(self, *, with_present: bool = False, since: datetime | None = None) -> Iterable[Instance]:
        return [record for key, record in self._archived.items() if with_present or key not in self._records]

    def hand_over(self, ended_before: datetime, keep: Callable[[Sequence[Instance]], None]) -> int:
        old = [
            record for record in self._archived.values() if (record.terminated_at or record.updated_at) < ended_before
        ]
        if old:
            keep(old)
            self._counts_from = ended_before
        self._archived = {key: record for key, record in self._archived.items() if record not in old}
        return len(old)

    def counts_from(self) -> datetime | None:
        return self._counts_from

    def unreadable_archive_lines(self) -> Sequence[str]:
        return []

    def accept_restored(self) -> None:
        self.is_restored = False

    def rescue(self, record: Instance) -> str:
        self._rescued[record.id] = record
        return "memory"

    def rescued(self) -> Sequence[Instance]:
        return list(self._rescued.values())

    def forget_rescued(self, record_id: str) -> None:
        self._rescued.pop(record_id, None)
