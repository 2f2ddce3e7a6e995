"""A store in memory, for tests that make thousands of transactions; it passes the same contracts as the real one."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NoReturn

from gpuctl.clock import Clock
from gpuctl.domain.instance import Instance
from gpuctl.domain.pools.events import PoolEvent
from gpuctl.domain.pools.spec import Pool
from gpuctl.errors import GpuctlError, NotFoundError, StateFault, StateUnusableError, UsageError
from gpuctl.store.base import Change, Guard, Snapshot, State
from gpuctl.store.cooldown import COOLDOWN
from gpuctl.store.lease import Lease, LeaseName, Leases
from gpuctl.store.pools import PoolChange
from gpuctl.store.reaper import ReapTimes


class MemoryStore:
    """A `RecordStore` that lasts as long as the object."""

    def __init__(self, state_id: str = "memory-state") -> None:
        self._wanted_id = state_id
        self._state_id: str | None = None
        self._serial = 0
        self._records: dict[str, Instance] = {}
        self._archived: dict[str, Instance] = {}
        self._is_lost = False
        self.is_restored = False
        self._counts_from: datetime | None = None

    @property
    def has_written(self) -> bool:
        return self._serial > 0

    @property
    def location(self) -> str:
        return "memory"

    @property
    def state_id(self) -> str | None:
        return self._state_id

    def check_writable(self) -> None:
        pass

    def wait_at_most(self, span: timedelta) -> None:
        pass

    def snapshot(self) -> Snapshot:
        self._refuse_lost()
        return Snapshot(self._state_id, self._serial, tuple(self._records.values()), self.is_restored)

    def add(self, records: Sequence[Instance], guard: Guard) -> Snapshot:
        self._refuse_lost()
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
        self._refuse_lost()
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
        self._refuse_lost()
        old = {
            key: record
            for key, record in self._records.items()
            if record.status.is_ended and (record.terminated_at or record.updated_at) < ended_before
        }
        self._archived |= old
        self._records = {key: record for key, record in self._records.items() if key not in old}
        return len(old)

    def archived(self, *, with_present: bool = False, since: datetime | None = None) -> Iterable[Instance]:
        self._refuse_lost()
        return [record for key, record in self._archived.items() if with_present or key not in self._records]

    def find_archived(self, text: str) -> Sequence[Instance]:
        return [record for record in self.archived() if record.name == text or record.id.startswith(text)]

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

    def unreadable(self) -> Sequence[str]:
        return []

    def accept_restored(self) -> None:
        self._refuse_lost()
        self.is_restored = False

    def rebuild(self, state_id: str, records: Sequence[Instance]) -> str | None:
        if not self._is_lost:
            raise UsageError("the state is usable: nothing was replaced")
        self._is_lost, self._state_id, self.is_restored = False, state_id, True
        self._records = {record.id: record for record in records}
        self._serial += 1
        return None

    def lose(self) -> None:
        """Forget the records, as a broken disk does."""
        self._is_lost = True

    def _refuse_lost(self) -> None:
        if self._is_lost:
            raise StateUnusableError("the state is missing", fault=StateFault.MISSING)


class MemoryLeases:
    """`Leases` that last as long as the object; every process has the same."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._leases: dict[LeaseName, Lease] = {}
        self._released: set[Lease] = set()

    def acquire(self, name: LeaseName, holder: str, duration: timedelta) -> Lease | None:
        now, before = self._clock.now(), self._leases.get(name)
        is_free = before is None or before in self._released
        if before is not None and not is_free and before.began_at <= now < before.expires_at:
            return None
        unfinished_since = before.began_at if before and not is_free else None
        version = before.version + 1 if before else 1
        self._leases[name] = Lease(name, holder, now, now + duration, version, unfinished_since)
        return self._leases[name]

    def is_current(self, lease: Lease) -> bool:
        return self._leases[lease.name].version == lease.version

    def release(self, lease: Lease) -> None:
        if self.is_current(lease):
            self._released.add(self._leases[lease.name])


class MemoryReaper:
    """A `ReaperMemory` that lasts as long as the object."""

    def __init__(self, leases: Leases) -> None:
        self._leases = leases
        self._times = ReapTimes()

    def read(self) -> ReapTimes:
        return self._times

    def update(self, change: Callable[[ReapTimes], ReapTimes], lease: Lease | None = None) -> bool:
        if lease is not None and not self._leases.is_current(lease):
            return False
        self._times = change(self._times)
        return True


class MemoryCooldown:
    """A `Cooldown` that lasts as long as the object."""

    def __init__(self) -> None:
        self._times: dict[str, datetime] = {}

    def active(self, now: datetime) -> dict[str, datetime]:
        return {placement: at for placement, at in self._times.items() if timedelta(0) <= now - at < COOLDOWN}

    def start(self, placement: str, at: datetime) -> None:
        self._times[placement] = at


class MemoryPools:
    """A `PoolStore` that lasts as long as the object."""

    def __init__(self, store: MemoryStore) -> None:
        self._store = store
        self._pools: dict[str, Pool] = {}
        self._history: dict[str, list[PoolEvent]] = {}

    def read(self) -> Mapping[str, Pool]:
        return dict(self._pools)

    def change(self, name: str, change: PoolChange) -> Pool | None:
        after = change(self._pools.get(name))
        if self._store.state_id is None:
            self._store.add([], lambda present: None)
        if after is None:
            self._pools.pop(name, None)
        else:
            self._pools[name] = after
        return after

    def append(self, name: str, entries: Sequence[PoolEvent]) -> None:
        self._history.setdefault(name, []).extend(entries)

    def history(self, name: str, since: datetime) -> Sequence[PoolEvent]:
        return sorted((entry for entry in self._history.get(name, ()) if entry.at >= since), key=lambda entry: entry.at)

    def forget(self, before: datetime) -> None:
        self._history = {
            name: [entry for entry in entries if entry.at >= before] for name, entries in self._history.items()
        }


class NoAdmin:
    """A `StateAdmin` of a state in memory, which nobody describes or moves."""

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"{name} of a state in memory")


def memory_state(clock: Clock) -> State:
    """A state that touches no file."""
    leases = MemoryLeases(clock)
    records = MemoryStore()
    return State(records, MemoryReaper(leases), leases, MemoryCooldown(), MemoryPools(records), NoAdmin())
