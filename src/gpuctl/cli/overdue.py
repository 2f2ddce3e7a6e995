"""The warning of every command when the reaper was put on a schedule and does not run."""

import os
from collections.abc import Iterator

from gpuctl.cli.context import Context
from gpuctl.errors import GpuctlError


def warn_if_overdue(context: Context) -> None:
    """Say on stderr that the reaper of this state does not run, where one was put on a schedule. Never raises."""
    if context.sandbox:
        return
    try:
        # Most have no schedule, and then pay one question to the file system.
        if os.path.exists(context.wiring.home.states):
            for line in _warning_lines(context):
                context.progress.warn(line)
    except (GpuctlError, OSError):
        # What is wrong with the state is the command's own to say.
        return


def _warning_lines(context: Context) -> Iterator[str]:
    folder = context.wiring.state_folder
    if folder is None or not os.path.exists(folder / "schedule.json"):
        return
    from gpuctl.domain.duration import approximate, exact
    from gpuctl.home.schedule import ScheduleNote
    from gpuctl.services.scheduling.overdue import failing_for, late_by

    note = ScheduleNote(folder).read()
    if note is None:
        return
    times = context.wiring.state.reaper.read()
    last = times.last_reap_at
    late = late_by(context.clock.now(), note.every, note.installed_at, last)
    if late is not None:
        how = (
            f"last ran {approximate(late)} ago"
            if last
            else f"has not run since it was installed {approximate(late)} ago"
        )
        yield (
            f"the reaper {how}, but {note.kind} should run it every {exact(note.every)}; run: gpuctl schedule status"
        )
        return
    # One place is enough to say that it fails; `get` says it of each instance.
    for failed in times.unreached[:1]:
        yield f"the reaper's last run could not query {failed.label}: {failed.message}: gpuctl schedule status"
        return
    failing = failing_for(context.clock.now(), times)
    if failing is not None:
        yield (
            f"every run of the reaper in the last {approximate(failing)} failed, the last with exit code "
            f"{times.last_reap_exit}; run: gpuctl schedule status"
        )
