"""Work that its process left unfinished: which that is, who may continue it, and that it never runs twice at once."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gpuctl.domain.events import EventName
from gpuctl.domain.history import is_lost
from gpuctl.domain.instance import Instance, Reason, Status
from gpuctl.domain.lifecycle import note, with_facts
from gpuctl.domain.work import Driver, TimedWork, WorkPlan
from gpuctl.errors import NotReadyError

LEASE = timedelta(minutes=5)
# Until a failed attempt to continue the work is repeated.
PAUSE_AFTER_FAILURE = timedelta(minutes=5)
# gpuctl terminated the instance, but the work continues unless its record says that it was given up.
_CONTINUED_AFTER = frozenset({Reason.TIMEOUT, Reason.REFUSED, Reason.ABANDONED, Reason.CANCELLED})

# Whether the process of that name is known to be gone.
IsGone = Callable[[str], bool]


class TakenOverError(NotReadyError):
    """Another process does the work now."""


@dataclass(frozen=True, slots=True)
class Here:
    """What a process can offer to work: the ID of its computer, its variables, and the public SSH key."""

    computer: str | None
    host: str
    variables: Collection[str]
    ssh_key: str | None


def work_of(record: Instance) -> TimedWork | None:
    """The work of the record that another process can identify; None if there is none."""
    work = record.timed_work
    return work if work is not None and work.id is not None else None


def plan_of(record: Instance) -> WorkPlan | None:
    """The plan of the record's work; None if there is none."""
    work = work_of(record)
    return work.plan if work is not None else None


def has_work(records: Iterable[Instance]) -> bool:
    """Whether there is work among the records that may be unfinished; costs almost nothing."""
    return any(work is not None and not work.is_over for work in map(work_of, records))


def latest_of(records: Iterable[Instance], work_id: str) -> Instance | None:
    """The record on which the work goes on, else the one that ended last; None if no instance was requested yet.

    Of two instances that can be used the newer one counts: the work moves to it.
    """
    own = [record for record in records if record.timed_work is not None and record.timed_work.id == work_id]
    usable = [record for record in own if is_usable(record)]
    if usable:
        return max(usable, key=lambda record: (record.created_at, record.id))
    # A refused attempt to move ends before the instance that it was to replace.
    return max(own, key=lambda record: (record.terminated_at or record.updated_at, record.created_at), default=None)


def others_of(records: Iterable[Instance], record: Instance) -> list[Instance]:
    """The other records of the same work on whose instances its command may still run."""
    work = work_of(record)
    return [
        other
        for other in records
        if work is not None
        and other.id != record.id
        and other.timed_work is not None
        and other.timed_work.id == work.id
        and may_still_run(other)
    ]


def unfinished(records: Iterable[Instance], now: datetime) -> list[Instance]:
    """The newest record of each piece of work that is not over and can be continued now."""
    known = list(records)
    ids = dict.fromkeys(work.id for record in known if (work := work_of(record)) is not None and work.id is not None)
    newest = [record for work_id in ids if (record := latest_of(known, work_id)) is not None]
    return [record for record in newest if is_usable(record) or goes_on(record, now)]


def is_usable(record: Instance) -> bool:
    """Whether the work goes on on the instance of this record."""
    work = work_of(record)
    return work is not None and not work.is_over and record.is_active and record.status is not Status.STOPPING


def goes_on(record: Instance, now: datetime) -> bool:
    """Whether the work of this record, which has ended, is to go on on another instance; after its deadline no work is.

    An instance that a person terminated was the last one, as was one that a budget ended.
    """
    work = work_of(record)
    if work is None or work.is_over or record.is_active or now >= work.finish_by:
        return False
    return is_lost(record) or record.reason in _CONTINUED_AFTER or is_cut_short(record)


def is_cut_short(record: Instance) -> bool:
    """Whether the instance expired before its work was due, because nobody was there to extend its deadline."""
    work, plan = work_of(record), plan_of(record)
    is_early = work is not None and record.expires_at < work.finish_by
    return record.reason is Reason.EXPIRED and is_early and plan is not None and not plan.has_fixed_ttl


def may_still_run(record: Instance) -> bool:
    """Whether the command of this record may run on its instance."""
    has_begun = any(entry.event == EventName.RUNNING for entry in record.history)
    return record.is_active and (record.status is not Status.STOPPING or has_begun)


def is_driven(record: Instance, now: datetime, is_gone: IsGone) -> bool:
    """Whether a process does the work of the record now, as far as that is known."""
    work = work_of(record)
    driver = work.driver if work is not None else None
    return driver is not None and now < driver.until and not is_gone(driver.holder)


def obstacle_of(record: Instance, here: Here) -> str | None:
    """Why this process cannot continue the work of the record, as a clause; None if it can."""
    plan = plan_of(record)
    if plan is None:
        return "it has no plan"
    if plan.obstacle is not None:
        return plan.obstacle
    if (plan.uploads or plan.downloads) and (plan.computer, plan.host) != (here.computer, here.host):
        return f"its files are on `{plan.host}`"
    missing = sorted(set(plan.variables) - set(here.variables))
    if missing:
        return f"{', '.join(missing)} (from --env) must be set, and the values are stored nowhere"
    if is_usable(record) and record.ssh_key != here.ssh_key:
        return f"its instance is reached with the SSH key of `{plan.host}`"
    return None


def claimed(record: Instance, driver: Driver, now: datetime, is_gone: IsGone) -> Instance:
    """The record with this process as the driver of its work. TakenOverError while another one is, or if it is over."""
    work = work_of(record)
    if work is None or work.is_over:
        raise TakenOverError(f"the work of {record.label} is over", hint=f"gpuctl get {record.id}")
    is_own = work.driver is not None and work.driver.holder == driver.holder
    if not is_own and work.driver is not None and is_driven(record, now, is_gone):
        raise TakenOverError(f"{work.driver.holder} does the work of {record.label}", hint=f"gpuctl get {record.id}")
    return with_facts(record, now, timed_work=work.model_copy(update={"driver": driver}))


def left_alone(record: Instance, holder: str, now: datetime, until: datetime) -> Instance:
    """The record without this process as the driver of its work; another one may continue after `until`."""
    work = work_of(record)
    if work is None or work.is_over or work.driver is None or work.driver.holder != holder:
        return record
    return with_facts(record, now, timed_work=work.model_copy(update={"driver": Driver(holder="", until=until)}))


def over(record: Instance, now: datetime, exit_code: int | None, reason: str) -> Instance:
    """The record with its work over; what was over before stays as it is."""
    work = work_of(record)
    if work is None or work.is_over:
        return record
    ended = work.model_copy(update={"driver": None, "is_over": True, "exit_code": exit_code})
    return note(record, EventName.FINISHED, now, detail=reason, timed_work=ended)


def refuse_second_run(
    work_id: str, holder: str, previous: str | None, *, moves: bool = False
) -> Callable[[Sequence[Instance]], None]:
    """A guard for one more record of that work, which is the last of the records.

    TakenOverError unless the newest record of the work is `previous`, this process is its driver, and no
    command of the work can be running any more. With `moves` one may run on `previous`: it is terminated before the
    command is started on the new instance.
    """

    def admit(records: Sequence[Instance]) -> None:
        others = [
            record for record in records[:-1] if record.timed_work is not None and record.timed_work.id == work_id
        ]
        latest = latest_of(others, work_id)
        if latest is None:
            return
        driver = latest.timed_work.driver if latest.timed_work is not None else None
        if latest.id != previous or driver is None or driver.holder != holder:
            raise TakenOverError("another process continues the work", hint=f"gpuctl get {latest.id}")
        allowed = previous if moves else None
        running = next((record for record in others if may_still_run(record) and record.id != allowed), None)
        if running is not None:
            raise TakenOverError(f"the work may still run on {running.label}", hint=f"gpuctl get {running.id}")

    return admit
