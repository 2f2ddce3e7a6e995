"""The checks that need no cloud: the program, the platform, the state, the schedule of the reaper."""

import shlex
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from platform import python_version

from gpuctl import __version__
from gpuctl.distribution import FOREIGN, NAME, find_foreign, remove_foreign
from gpuctl.domain.diagnosis import Finding, Verdict
from gpuctl.domain.duration import approximate, exact
from gpuctl.platform import ON_WINDOWS_DRIVE
from gpuctl.services.doctor.setup import CheckedSetup
from gpuctl.services.scheduling.limits import WSL_STOPS
from gpuctl.services.scheduling.status import ScheduleStatus
from gpuctl.store.base import Snapshot

_GRACE = timedelta(minutes=5)
_LATELY = timedelta(minutes=10)


def version(setup: CheckedSetup) -> Iterator[Finding]:
    """The version of gpuctl and of Python; a foreign distribution named gpuctl in the same environment fails."""
    yield Finding("version", Verdict.OK, f"gpuctl {__version__} on Python {python_version()}")
    foreign = find_foreign()
    if foreign is not None:
        text = (
            f"the distribution `{FOREIGN}` {foreign} is installed in the same environment; it is not part of {NAME}, "
            f"overwrites its files and runs beside your credentials"
        )
        yield Finding("version", Verdict.FAIL, text, remove_foreign())


def platform(setup: CheckedSetup) -> Iterator[Finding]:
    """What the operating system does to the reaper and the state. No finding where that is nothing."""
    if setup.platform.is_wsl and not setup.in_sandbox:
        yield Finding("platform", Verdict.WARN, f"this is WSL: {WSL_STOPS}", "gpuctl schedule install")
        location = Path(setup.runtime.store.location)
        if setup.platform.is_on_windows_drive(location):
            yield Finding("platform", Verdict.WARN, f"{location} is {ON_WINDOWS_DRIVE}", "add `--state FILE`")


def state(setup: CheckedSetup) -> Iterator[Finding]:
    """Whether the records can be used, and whether any of them is where it should not be."""
    store = setup.runtime.store
    snapshot = store.snapshot()
    if snapshot.state_id is None:
        store.check_writable()
        yield Finding("state", Verdict.OK, f"none yet; the first instance creates {store.location}")
        return
    problems = list(_problems(setup, snapshot))
    yield from problems
    # StateUnusableError on a full disk.
    limits = list(_disk(setup))
    yield from limits
    if not problems and not limits:
        active = sum(record.is_active for record in snapshot.records)
        yield Finding("state", Verdict.OK, f"{active} active of {len(snapshot.records)} records in {store.location}")


def _disk(setup: CheckedSetup) -> Iterator[Finding]:
    for text in setup.disk_problems():
        yield Finding("state", Verdict.WARN, text, "move the state to a local disk, or select one: --state FILE")


def _problems(setup: CheckedSetup, snapshot: Snapshot) -> Iterator[Finding]:
    store, now = setup.runtime.store, setup.runtime.clock.now()
    if snapshot.moved_to is not None:
        text = f"the state was moved to `{snapshot.moved_to}`, and no reaper works here any more"
        yield Finding("state", Verdict.FAIL, text, f"use it there: --state {shlex.quote(snapshot.moved_to)}")
        return
    active = [record for record in snapshot.records if record.is_active]
    overdue = [record for record in active if now - record.expires_at > _GRACE]
    if overdue:
        names = ", ".join(f"{record.label} by {approximate(now - record.expires_at)}" for record in overdue[:3])
        more = f" and {len(overdue) - 3} more" if len(overdue) > 3 else ""
        yield Finding("state", Verdict.FAIL, f"past the deadline: {names}{more}", "gpuctl reap")
    if snapshot.is_restored:
        text = "the state was restored; until all regions are swept, only deadlines that the tags confirm are enforced"
        yield Finding("state", Verdict.WARN, text, "gpuctl reap --sweep")
    unreadable = store.unreadable()
    if unreadable:
        text = f"{len(unreadable)} archived records cannot be read, the first is {unreadable[0]}"
        yield Finding("state", Verdict.WARN, text, "gpuctl stats")
    if setup.runtime.rescue.saved():
        yield Finding("state", Verdict.WARN, "rescue files wait to be imported", "gpuctl reap")


def schedule(setup: CheckedSetup) -> Iterator[Finding]:
    """Whether a reaper runs, and did what it found."""
    if setup.in_sandbox:
        yield Finding("schedule", Verdict.OK, "not needed in the sandbox")
        return
    status = setup.schedule()
    last = status.times.last_reap_at
    when = f"last ran {approximate(status.now - last)} ago" if last else "has not run yet"
    if status.problem is not None:
        text = f"{status.kind} does not run the reaper: {status.problem}; it {when}"
        yield Finding("schedule", Verdict.FAIL, text, status.remedy)
    elif status.is_overdue:
        yield Finding("schedule", Verdict.FAIL, f"{status.word}; the reaper {when}", "gpuctl schedule status")
    elif status.job is not None:
        yield _of_run(f"{status.kind} runs the reaper every {exact(status.job.every)}; it {when}", status)
    elif last is not None and status.times.last_reap_in and timedelta(0) <= status.now - last < _LATELY:
        text = f"reaper: seen running in {status.times.last_reap_in} {approximate(status.now - last)} ago"
        yield _of_run(text, status)
    elif last is not None and status.times.last_reap_in:
        text = f"the reaper in {status.times.last_reap_in} {when}: only the shutdown timers terminate instances"
        yield Finding("schedule", Verdict.WARN, text, "read its log, or run it here: gpuctl schedule install")
    elif last is not None and timedelta(0) <= status.now - last < _LATELY:
        # One run says nothing of the next one: it may have been somebody at a terminal.
        text = f"the reaper {when}, but gpuctl has installed no schedule: check that something runs it regularly"
        yield Finding("schedule", Verdict.WARN, text, "gpuctl schedule install")
    else:
        text = f"the reaper is not scheduled and {when}: only the shutdown timers terminate instances"
        in_container = "run under a supervisor: gpuctl reap --watch"
        yield Finding(
            "schedule", Verdict.WARN, text, in_container if setup.platform.is_container else "gpuctl schedule install"
        )


def _of_run(text: str, status: ScheduleStatus) -> Finding:
    """The finding of a reaper that runs: `text`, and what its last runs ended with."""
    if not status.times.last_reap_exit:
        return Finding("schedule", Verdict.OK, text)
    ended = f"{text}, with exit code {status.times.last_reap_exit}"
    if status.is_failing:
        return Finding("schedule", Verdict.FAIL, f"{ended}; every run of the last minutes failed", "gpuctl reap")
    return Finding("schedule", Verdict.WARN, ended, "gpuctl reap")
