"""The reaper: terminates expired instances, closes records confirmed terminated, and sweeps for orphans."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial

from gpuctl.clock import Clock
from gpuctl.domain.instance import Instance, Reason, Scope
from gpuctl.domain.money.budget_check import ends_for
from gpuctl.domain.reconcile.actions import ActionKind, Rules, scope_of
from gpuctl.domain.reconcile.plan import plan
from gpuctl.domain.reconcile.recovery import confirmed_by_tags
from gpuctl.domain.tags import STATE
from gpuctl.errors import GpuctlError, UnresolvedError
from gpuctl.services.ingress import close_unneeded, opened_ranges
from gpuctl.services.isolation import run_isolated
from gpuctl.services.progress import Progress
from gpuctl.services.reap.budget import note_on_budgets, over_budget
from gpuctl.services.reap.regions import regions_to_list
from gpuctl.services.reap.restore import (
    ConfiguredRegion,
    FullSurvey,
    logins_of,
    merge,
    restore_rescued,
    survey_everywhere,
)
from gpuctl.services.reconcile.apply import ActionResult, Applier
from gpuctl.services.reconcile.observe import Survey
from gpuctl.services.reconcile.reconcile import isolated
from gpuctl.services.reconcile.report import record_near_deadlines
from gpuctl.services.runtime import Runtime
from gpuctl.services.safeguards import gaps, read_back, unconfirmed
from gpuctl.services.sessions import Login, Session
from gpuctl.store.base import Snapshot
from gpuctl.store.moves import refuse_moved
from gpuctl.store.reaper import OpenedRange, ReapTimes, Sweep, UnreachedRegion


@dataclass(frozen=True, slots=True)
class ReapOptions:
    """What one run of the reaper is to do. `places` are regions of the config to sweep, besides those of records."""

    sweep: bool = False
    dry_run: bool = False
    max_orphans: int = 3
    reap_state_ids: frozenset[str] = frozenset()
    archive_after: timedelta = timedelta(days=7)
    places: tuple[ConfiguredRegion, ...] = ()


@dataclass(slots=True)
class ReapResult:
    """What a run did. `problems` are the places and accounts that could not be asked, one line each; `unreached` the
    regions among them. `merged_with` is what a restored state was merged with."""

    done: list[ActionResult] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    sweeps: list[Sweep] = field(default_factory=list)
    unreached: list[UnreachedRegion] = field(default_factory=list)
    listed_scopes: set[Scope] = field(default_factory=set)
    opened_ranges: tuple[OpenedRange, ...] = ()
    hints: list[str] = field(default_factory=list)
    merged_with: FullSurvey | None = None

    @property
    def orphans(self) -> int:
        """How many instances without a record were ended."""
        ended = [outcome.action for outcome in self.done if outcome.action.kind is ActionKind.TERMINATE]
        return sum(action.record is None and action.reason is Reason.ORPHAN for action in ended)

    @property
    def hint(self) -> str | None:
        """What to do about the first matter for which that is known."""
        hints = [done.hint for done in self.done if done.unresolved and done.hint]
        return next(iter([*hints, *self.hints]), None)

    @property
    def unresolved(self) -> list[str]:
        """Every matter that a person should look at, one line each."""
        matters = [
            f"{outcome.action.subject}: {outcome.error or outcome.action.detail}"
            for outcome in self.done
            if outcome.unresolved
        ]
        return [*self.problems, *matters]


_Place = tuple[Login, Sequence[str]]


def reap(runtime: Runtime, times: ReapTimes, options: ReapOptions) -> ReapResult:
    """One run over all records, and over the providers whose sweep is due. Safe beside another run.

    Loads no SDK and sends no request if nothing is expired and the last sweep is recent. StateUnusableError if the
    state cannot be read; errors of providers are in the result instead.
    """
    now = runtime.clock.now()
    result = ReapResult()
    on_bug = partial(_on_state_bug, runtime.progress, result)
    if not options.dry_run:
        result.problems += restore_rescued(runtime.store, runtime.rescue)
    state = runtime.store.snapshot()
    refuse_moved(state.moved_to, runtime.store.location)
    if state.is_restored and not options.dry_run:
        run_isolated(
            [state], partial(_merge, runtime, times, options, result), partial(on_bug, "merging the restored state")
        )
        state = runtime.store.snapshot()
    over = over_budget(runtime, result.merged_with, now)
    for login, regions in regions_to_list(state.records, times, options.places, now, over, sweep=options.sweep).items():
        # Alone, so that neither a failure nor a bug in one account keeps another's instances alive.
        run_isolated(
            [(login, regions)],
            partial(_reap_logins, runtime, options, result),
            partial(_on_bug, runtime.progress, result),
        )
    if not options.dry_run:
        record_near_deadlines(runtime.store, runtime.clock.now(), state)
    result.opened_ranges = times.opened_ranges
    if not options.dry_run and not state.is_restored:
        run_isolated(
            [state], partial(_close_unneeded, runtime, times, result), partial(on_bug, "removing security groups")
        )
    old = now - options.archive_after
    if not options.dry_run and any(record.status.is_ended and record.updated_at < old for record in state.records):
        runtime.store.archive(old)
    return result


def _merge(
    runtime: Runtime, times: ReapTimes, options: ReapOptions, result: ReapResult, states: Sequence[Snapshot]
) -> None:
    """Complete a restored state if every region can be queried; failures are added to the problems."""
    for state in states:
        known = [*state.records, *runtime.store.archived()]
        everywhere = survey_everywhere(runtime, logins_of(known, times, options.places))
        result.merged_with = everywhere
        result.problems += [*map(str, everywhere.problems), *note_on_budgets(runtime.budgets, everywhere)]
        try:
            merge(runtime, everywhere, state.state_id or "")
        except UnresolvedError as error:
            result.problems.append(error.message)


def _on_state_bug(progress: Progress, result: ReapResult, doing: str, state: Snapshot, trace: str) -> None:
    progress.trace(trace)
    result.problems.append(f"internal error while {doing}")


def _close_unneeded(runtime: Runtime, times: ReapTimes, result: ReapResult, states: Sequence[Snapshot]) -> None:
    for state in states:
        ranges, now = times.opened_ranges, runtime.clock.now()
        result.opened_ranges = close_unneeded(
            runtime.sessions, runtime.progress, opened_ranges(ranges, state.records, now), state.state_id or "", now
        )


def remembered(times: ReapTimes, result: ReapResult, options: ReapOptions, records: Sequence[Instance]) -> ReapTimes:
    """The reaper's memory after this run: the newest sweep of each region that still needs sweeping."""
    swept = {(sweep.scope, sweep.profile): sweep for sweep in (*times.sweeps, *result.sweeps)}
    needed = {scope_of(record) for record in records}
    configured = {(provider, region) for provider, _, region in options.places}
    sweeps = [
        sweep
        for sweep in swept.values()
        if sweep.ours or sweep.scope in needed or (sweep.scope.provider, sweep.scope.region) in configured
    ]
    return times.model_copy(
        update={"sweeps": tuple(sweeps), "unreached": tuple(result.unreached), "opened_ranges": result.opened_ranges}
    )


def _reap_logins(runtime: Runtime, options: ReapOptions, result: ReapResult, places: Sequence[_Place]) -> None:
    for login, regions in places:
        _reap_login(runtime, login, regions, options, result)


def _reap_login(
    runtime: Runtime, login: Login, regions: Sequence[str], options: ReapOptions, result: ReapResult
) -> None:
    try:
        session = runtime.sessions.by(login)
    except GpuctlError as error:
        result.problems.append(f"{_scope_text((login, regions))}: {error.message}")
        result.unreached += _unreached(login, regions, error.message)
        return
    name = session.provider.name
    scopes = [Scope(provider=name, account=session.account, region=region) for region in regions]
    # Two profiles, or a profile and the config, may lead to the same account.
    scopes = [scope for scope in scopes if scope not in result.listed_scopes]
    result.listed_scopes |= set(scopes)
    survey = Survey(session)
    survey.list_scopes(scopes, [record for record in runtime.store.snapshot().records if scope_of(record) in scopes])
    result.hints += [hint for hint in survey.hints.values() if hint is not None]
    # The state is read after the clouds were listed: whatever instance is in a listing had its record by then.
    state = runtime.store.snapshot()
    rules = Rules(state.state_id or "", options.reap_state_ids, options.max_orphans - result.orphans)
    records = [record for record in state.records if record.provider is name and record.account == session.account]
    survey.query_by_id([record for record in records if scope_of(record) in scopes], rules)
    actions = plan(records, survey.view, rules, isolated(runtime.progress))
    if state.is_restored:
        actions = confirmed_by_tags(actions, survey.view.now)
    if session.checked_now is not None:
        actions += ends_for(actions, over_budget(runtime, result.merged_with, session.checked_now))
    if options.dry_run:
        result.done += [ActionResult(action, action.record) for action in actions]
        return
    result.unreached += [
        UnreachedRegion(provider=scope.provider, account=scope.account, region=scope.region, message=message)
        for scope, message in survey.unreachable.items()
    ]
    result.done += Applier(runtime, survey).apply(actions)
    if session.provider.capabilities.timer_in_create:
        _confirm_guards(runtime, session, survey.listed)
    result.sweeps += [_swept(survey, scope, session.profile, rules, runtime.clock) for scope in survey.listed]


def _confirm_guards(runtime: Runtime, session: Session, scopes: Collection[Scope]) -> None:
    """Read back, once for each instance, whether its guard has reported; say of each that has not."""
    records = [record for record in runtime.store.snapshot().records if scope_of(record) in scopes and record.is_active]
    waiting = {record.id for record in unconfirmed(records, session.now)}
    # A failure is left to the next sweep, and to `get --refresh`, which reports it.
    failures = read_back(runtime, [record for record in records if record.id in waiting])
    for record in runtime.store.snapshot().records:
        if record.id in waiting and record.id not in failures:
            for gap in gaps(record):
                runtime.progress.warn(gap)


def _swept(survey: Survey, scope: Scope, profile: str | None, rules: Rules, clock: Clock) -> Sweep:
    state_ids = {rules.state_id, *rules.reap_state_ids}
    ours = sum(
        observed.exists and observed.region == scope.region and observed.tags.get(STATE) in state_ids
        for observed in survey.observed
    )
    # The time is this computer's own, since it is compared with this computer's own on the next run.
    return Sweep(scope=scope, profile=profile, at=clock.now(), ours=ours)


def _on_bug(progress: Progress, result: ReapResult, place: _Place, trace: str) -> None:
    progress.trace(trace)
    result.problems.append(f"{_scope_text(place)}: internal error in this pass")
    result.unreached += _unreached(*place, "internal error in this pass")


def _unreached(login: Login, regions: Sequence[str], message: str) -> list[UnreachedRegion]:
    account = login.account
    return [UnreachedRegion(provider=login.provider, account=account, region=at, message=message) for at in regions]


def _scope_text(place: _Place) -> str:
    login, regions = place
    return f"{login.label} ({', '.join(regions)})"


def reportable(done: Iterable[ActionResult]) -> list[ActionResult]:
    """What is worth telling: everything but records that were merely brought up to date."""
    return [outcome for outcome in done if outcome.action.kind is not ActionKind.REFRESH]
