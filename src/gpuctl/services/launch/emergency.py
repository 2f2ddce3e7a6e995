"""Terminates instances that were created and that the state cannot record, or not any more."""

from collections.abc import Sequence
from datetime import timedelta

from gpuctl.domain.instance import Instance, ProviderName, Reason, Status
from gpuctl.domain.lifecycle import advance
from gpuctl.errors import GpuctlError, StateLockedError, StateUnusableError, UnresolvedError
from gpuctl.services.runtime import Runtime
from gpuctl.services.terminate import end_at_once

Unwritable = StateUnusableError | StateLockedError
# Of the 5 s that an interrupted process has, the rest is for the requests to the provider.
LOCK_PATIENCE = timedelta(seconds=1)


def unwritten(error: Unwritable, created: Sequence[Instance], runtime: Runtime) -> GpuctlError:
    """Save the records of what was created where possible, terminate all of it, and return the error to report.

    A record goes into a rescue file, which the reaper reads; if that fails too, to stderr as JSON. The instance is
    terminated in either case, because a script that reads this exit code relies on nothing being left. UnresolvedError
    if something could not be terminated, or its outcome is unknown.
    """
    remaining = [_rescued(record, runtime) for record in created]
    ids = [record.cloud_id for record in created if record.cloud_id is not None]
    failed: dict[str, GpuctlError] = {}
    for (name, region, profile), present in _by_placement(created).items():
        try:
            failed |= runtime.sessions.provider(name, profile).terminate(region, present)
        except GpuctlError as refusal:
            failed |= dict.fromkeys(present, refusal)
    fates = [
        f"{text} {f'could not be terminated ({failed[text].message})' if text in failed else 'was terminated'}"
        for text in ids
    ]
    fates += [f"{record.id} may have been created" for record in created if record.cloud_id is None]
    result = "; ".join([error.message, *fates, *remaining])
    if failed or len(ids) < len(created):
        return UnresolvedError(
            result, hint="terminate it in the provider's console, or repair the state and run: gpuctl reap"
        )
    return type(error)(result, hint=error.hint)


def end_interrupted(
    runtime: Runtime, written: Sequence[Instance], created: Sequence[Instance] = (), reason: Reason = Reason.CANCELLED
) -> GpuctlError | None:
    """As `end_at_once`, for a process that a signal interrupted: a state that cannot be used raises nothing.

    Another process has 1 s to unlock the state. Where the state cannot be used, the provider is requested to terminate
    what `made` and `written`, the records as last known, have a cloud ID for, and what came of that is returned; None
    where the state could be used.
    """
    runtime.store.wait_at_most(LOCK_PATIENCE)
    try:
        end_at_once(runtime, [record.id for record in written], reason)
    except (StateUnusableError, StateLockedError) as error:
        answered = {record.id for record in created}
        return unwritten(error, [*created, *(record for record in written if record.id not in answered)], runtime)
    return None


def _by_placement(created: Sequence[Instance]) -> dict[tuple[ProviderName, str, str | None], list[str]]:
    places: dict[tuple[ProviderName, str, str | None], list[str]] = {}
    for record in created:
        if record.cloud_id is not None:
            places.setdefault((record.provider, record.region, record.profile), []).append(record.cloud_id)
    return places


def _rescued(record: Instance, runtime: Runtime) -> str:
    if record.is_active:
        record = advance(record, Status.STOPPING, record.updated_at, Reason.CANCELLED)
    try:
        return f"the record was saved as {runtime.rescue.save(record)}"
    except GpuctlError:
        # The only copy of the record: no part of it may be left out.
        runtime.progress.warn(f"the record that could not be saved: {record.model_dump_json()}", is_complete=True)
        return "the record is printed above"
