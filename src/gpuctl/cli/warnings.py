"""Warnings that commands print on stderr beside their own result: reaper, config file, foreign distribution."""

import os
from collections.abc import Iterator

from gpuctl.cli.context import Context
from gpuctl.errors import GpuctlError, UsageError
from gpuctl.store.base import Snapshot


def warn_if_overdue(context: Context) -> None:
    """Warn if the reaper of this state was put on a schedule and does not run. Never raises."""
    if context.sandbox:
        return
    try:
        # Without any schedule this costs a single file system call.
        if os.path.exists(context.wiring.home.states):
            for line in _warning_lines(context):
                context.progress.warn(line)
    except (GpuctlError, OSError):
        # The command itself reports an unusable state.
        return


def warn_if_config_is_wrong(context: Context) -> None:
    """Warn of an invalid config file; a command that only reads shows running instances all the same. Never raises."""
    try:
        if context.selection.config is not None or os.path.exists(context.wiring.config_path):
            _ = context.wiring.settings
    except UsageError as error:
        context.progress.warn(error.message)


def warn_if_moved(context: Context, snapshot: Snapshot) -> None:
    """Warn that the state was moved elsewhere, and that what is shown is from before."""
    if snapshot.moved_to is not None:
        import shlex

        place = shlex.quote(snapshot.moved_to)
        context.progress.warn(f"this state was moved, and shows what was true before: use --state {place}")


def warn_if_foreign(context: Context) -> None:
    """Warn if the foreign distribution `gpuctl` is in the same environment. Never raises."""
    from gpuctl.distribution import FOREIGN, NAME, find_foreign

    version = find_foreign()
    if version is not None:
        context.progress.warn(
            f"the distribution `{FOREIGN}` {version} in this environment is not part of {NAME}: gpuctl doctor"
        )


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
    overdue = late_by(context.clock.now(), note.every, note.installed_at, last)
    if overdue is not None:
        how = (
            f"last ran {approximate(overdue)} ago"
            if last
            else f"has not run since it was installed {approximate(overdue)} ago"
        )
        yield (
            f"the reaper {how}, but {note.kind} should run it every {exact(note.every)}; run: gpuctl schedule status"
        )
        return
    # One region is enough here; `get` shows it for each instance.
    for failed in times.unreached[:1]:
        yield f"the reaper's last run could not query {failed.label}: {failed.message}: gpuctl schedule status"
        return
    failing = failing_for(context.clock.now(), times)
    if failing is not None:
        yield (
            f"every run of the reaper in the last {approximate(failing)} failed, the last with exit code "
            f"{times.last_reap_exit}; run: gpuctl schedule status"
        )
