"""The right of one process to do a piece of work, in the newest record of that work."""

from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from gpuctl.clock import Clock
from gpuctl.domain.instance import Instance
from gpuctl.domain.unfinished import (
    LEASE,
    IsGone,
    claimed,
    latest_of,
    left_alone,
    others_of,
    over,
    refuse_second_run,
    work_of,
)
from gpuctl.domain.work import Driver
from gpuctl.store.base import Guard, RecordStore


@dataclass(frozen=True, slots=True)
class WorkClaims:
    """What `holder` claims. Every method raises what the store raises."""

    store: RecordStore
    clock: Clock
    holder: str
    is_gone: IsGone

    def driver(self, span: timedelta = LEASE) -> Driver:
        """This process as a driver, for that long from now."""
        return Driver(holder=self.holder, until=self.clock.now() + span)

    def latest(self, work_id: str) -> Instance | None:
        """The newest record of that work as it is now; None if there is none."""
        return latest_of(self.store.snapshot().records, work_id)

    def claim(self, record: Instance, span: timedelta = LEASE) -> Instance:
        """Make this process the driver of the record's work for that long; again extends it.

        TakenOverError while another process is the driver, or if the work is over.
        """
        now, driver = self.clock.now(), self.driver(span)
        return self.store.update(record.id, partial(claimed, driver=driver, now=now, is_gone=self.is_gone))

    def renew(self, record: Instance) -> None:
        """Claim the work of the record again if less than half of the time is left. Raises what `claim` raises."""
        work, now = work_of(record), self.clock.now()
        driver = work.driver if work is not None else None
        is_fresh = driver is not None and driver.holder == self.holder and now + LEASE / 2 < driver.until
        if work is not None and not is_fresh:
            self.claim(record)

    def leave(self, work_id: str, pause: timedelta) -> None:
        """Give the work up for other processes, which may continue it after `pause`; twice is harmless."""
        record, now = self.latest(work_id), self.clock.now()
        if record is not None:
            self.store.update(record.id, partial(left_alone, holder=self.holder, now=now, until=now + pause))

    def finish(self, work_id: str, exit_code: int | None, reason: str) -> None:
        """Write that the work is over; work that is over already stays as it is."""
        record, now = self.latest(work_id), self.clock.now()
        if record is not None:
            self.store.update(record.id, partial(over, now=now, exit_code=exit_code, reason=reason))

    def admission(self, work_id: str, previous: Instance | None, *, moves: bool = False) -> Guard:
        """The guard of the next record of that work after `previous`, the newest one that this process knows.

        `moves`: see `refuse_second_run`.
        """
        return refuse_second_run(work_id, self.holder, previous.id if previous is not None else None, moves=moves)

    def others(self, record: Instance) -> list[Instance]:
        """The other instances on which the command of the record's work may still run."""
        return others_of(self.store.snapshot().records, record)
