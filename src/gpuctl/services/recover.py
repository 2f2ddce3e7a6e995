"""Rebuilds a state that was lost or damaged: from a backup if there is one, and from what the clouds show."""

from collections.abc import Sequence
from dataclasses import dataclass

from gpuctl.domain.instance import Instance
from gpuctl.domain.tags import STATE_ID
from gpuctl.errors import CredentialsError, GpuctlError, StateFault, StateUnusableError, UnresolvedError, UsageError
from gpuctl.services.reap.restore import NO_PROVIDER, ConfiguredRegion, FullSurvey, logins_of, merge, survey_everywhere
from gpuctl.services.reconcile.adopt import adopted
from gpuctl.services.runtime import Runtime
from gpuctl.store.base import RecordStore, Snapshot, State


@dataclass(frozen=True, slots=True)
class Recovery:
    """What a state could be rebuilt of. `is_merging`: it was put back already and only the clouds are to be asked."""

    state_id: str
    backup: Sequence[Instance]
    unknown: Sequence[Instance]
    everywhere: FullSurvey
    is_merging: bool = False


def find(
    runtime: Runtime,
    state: State,
    places: Sequence[ConfiguredRegion],
    *,
    backup: str | None,
    state_id: str | None,
) -> Recovery:
    """Read the backup and query every region of every provider. Writes nothing.

    UsageError if the state is usable, or if no state ID is known; CredentialsError or UnresolvedError if that is
    because providers could not be queried; StateUnusableError if the state is another's or the backup cannot be used.
    """
    store, present = state.records, _restored_state(state.records)
    if present is not None and backup is not None:
        raise UsageError(
            f"the state `{store.location}` was already restored",
            hint="gpuctl recover, without `--backup`, queries the providers",
        )
    base = _backup(state, backup) if backup else present
    wanted = _one_id(state_id, store.state_id, base.state_id if base else None)
    records = base.records if base else ()
    everywhere = survey_everywhere(runtime, logins_of([*records, *_archived(store)], state.reaper.read(), places))
    if wanted is None:
        raise _several_states(everywhere)
    ids = {record.id for record in records}
    machines = everywhere.instances_of(wanted)
    unknown = [adopted(observed, survey.session.profile, survey.session.now, runtime) for survey, observed in machines]
    return Recovery(
        wanted, records, [record for record in unknown if record.id not in ids], everywhere, present is not None
    )


def is_needed(store: RecordStore) -> bool:
    """Whether there is anything to recover: the state is lost, was never there, or was put back by hand."""
    try:
        state = store.snapshot()
    except StateUnusableError as error:
        if error.fault is StateFault.UNREACHABLE:
            raise
        return True
    return state.state_id is None or state.is_restored


def rebuild(runtime: Runtime, recovery: Recovery) -> str | None:
    """Write the recovered state, and return the path of the file it replaced; None without one.

    Until every region was queried, no deadline is enforced.
    """
    aside = None if recovery.is_merging else runtime.store.rebuild(recovery.state_id, recovery.backup)
    merge(runtime, recovery.everywhere, recovery.state_id)
    return aside


def _backup(state: State, name: str) -> Snapshot:
    if state.backups is None:
        raise UsageError(f"`{state.records.location}` has no backups of its own", hint="restore it by its own means")
    return state.backups.backup(name)


def _restored_state(store: RecordStore) -> Snapshot | None:
    """The state if it was put back by hand; None if it is lost."""
    try:
        state = store.snapshot()
    except StateUnusableError as error:
        if error.fault.is_good:
            raise
        return None
    if state.state_id is None:
        return None
    if not state.is_restored:
        raise UsageError(
            f"the state `{store.location}` is usable: there is nothing to recover",
            hint="gpuctl reap --sweep adopts instances without a record",
        )
    return state


def _one_id(*lines: str | None) -> str | None:
    ids = list(dict.fromkeys(text for text in lines if text))
    for text in ids:
        if not STATE_ID.fullmatch(text):
            raise UsageError("a state id has 8 to 40 characters of `a-z0-9-`", hint="check `--state-id`")
    if len(ids) > 1:
        raise UsageError(f"state `{ids[0]}` was requested; this state is `{ids[1]}`", hint="check `--state-id`")
    return ids[0] if ids else None


def _archived(store: RecordStore) -> list[Instance]:
    try:
        return list(store.archived())
    except StateUnusableError:
        return []


def _several_states(everywhere: FullSurvey) -> GpuctlError:
    counts = everywhere.state_ids()
    if not counts:
        return _state_not_found(everywhere)
    result = ", ".join(f"`{text}` ({count})" for text, count in counts.items())
    possible = "1 state is" if len(counts) == 1 else f"{len(counts)} states are"
    return UsageError(
        f"{possible} possible: instances belong to {result}",
        hint=f"gpuctl recover --state-id {next(iter(counts))}",
    )


def _state_not_found(everywhere: FullSurvey) -> GpuctlError:
    """Why no state is known. That nothing was found proves nothing where a provider could not be queried."""
    if everywhere.surveys and not everywhere.problems:
        unused = "".join(f"; {remark}" for remark in everywhere.remarks)
        return UsageError(
            f"no instance of any state was found, and the ID of the lost state is unknown{unused}",
            hint="if you know the state ID: gpuctl recover --state-id ID",
        )
    failures, reasons = everywhere.failures, [*everywhere.remarks, *map(str, everywhere.problems)]
    if failures and everywhere.remarks:
        reasons = [reason for reason in reasons if reason != NO_PROVIDER]
    is_login = not everywhere.surveys and all(isinstance(error, CredentialsError) for error in failures)
    kind = CredentialsError if failures and is_login else UnresolvedError
    return kind(f"the providers could not be queried: {'; '.join(reasons)}", hint="gpuctl doctor")
