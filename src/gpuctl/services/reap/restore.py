"""Makes a restored state whole: every region of every cloud it ever used is asked, and what they know is merged."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

from gpuctl.domain.instance import Instance, Observed, ProviderName, Scope
from gpuctl.domain.reconcile.actions import Finder, scope_of
from gpuctl.domain.reconcile.evidence import is_the_same_instance
from gpuctl.domain.reconcile.recovery import merged, with_deadline_of
from gpuctl.domain.tags import ownership
from gpuctl.errors import GpuctlError, StateUnusableError, UnresolvedError, UsageError
from gpuctl.services.reconcile.adopt import adopted, without_used_name
from gpuctl.services.reconcile.observe import Survey
from gpuctl.services.rescue import Rescue
from gpuctl.services.runtime import Runtime
from gpuctl.services.sessions import Login, Sessions
from gpuctl.store.base import Guard, RecordStore
from gpuctl.store.reaper import ReapTimes

NO_PROVIDER = "no provider could be queried"

# A region that the config names: provider, profile, region.
ConfiguredRegion = tuple[ProviderName, str | None, str]


@dataclass(frozen=True, slots=True)
class Unqueried:
    """A provider, account or region that could not be queried, and why. All None: no provider at all."""

    message: str
    provider: str | None = None
    account: str | None = None
    region: str | None = None

    def __str__(self) -> str:
        label = " ".join(part for part in (self.provider, self.account, self.region) if part)
        return f"{label}: {self.message}" if label else self.message


@dataclass(slots=True)
class FullSurvey:
    """What every provider answered. `problems` must be queried and could not be; `remarks`, a line each, are providers
    that could not be queried and of which no use is known. `failures` are the errors of the credentials behind both."""

    surveys: list[Survey] = field(default_factory=list)
    problems: list[Unqueried] = field(default_factory=list)
    remarks: list[str] = field(default_factory=list)
    failures: list[GpuctlError] = field(default_factory=list)

    def instances_of(self, state_id: str) -> list[tuple[Survey, Observed]]:
        """Every instance that exists, names a record of that state and a deadline, and tells its launch."""
        matching = [(survey, observed) for survey in self.surveys for observed in survey.observed if observed.exists]
        return [(survey, observed) for survey, observed in matching if _is_whole(observed, state_id)]

    def state_ids(self) -> dict[str, int]:
        """Every state that instances here belong to, with how many those are."""
        counts: dict[str, int] = {}
        for survey in self.surveys:
            for observed in survey.observed:
                state_id = ownership(observed.tags).state_id
                if observed.exists and state_id:
                    counts[state_id] = counts.get(state_id, 0) + 1
        return counts


def logins_of(
    records: Iterable[Instance], times: ReapTimes, places: Iterable[ConfiguredRegion]
) -> dict[Login, set[str]]:
    """Every login that was ever used, as far as these tell, and its regions."""
    used: dict[Login, set[str]] = {}
    for record in records:
        used.setdefault(Login(record.provider, record.profile, record.account), set()).add(record.region)
    for sweep in times.sweeps:
        login = Login(sweep.scope.provider, sweep.profile, sweep.scope.account)
        used.setdefault(login, set()).add(sweep.scope.region)
    for provider, profile, region in places:
        used.setdefault(Login(provider, profile, None), set()).add(region)
    return used


def survey_everywhere(runtime: Runtime, used: dict[Login, set[str]]) -> FullSurvey:
    """List every region of these logins' accounts, and of the ambient login of every cloud that none of them is for."""
    surveyed, requested = FullSurvey(), set[tuple[ProviderName, str]]()
    all_regions = runtime.every_region()
    for login, regions in used.items():
        try:
            _survey_login(runtime.sessions, login, regions, all_regions, requested, surveyed)
        except GpuctlError as error:
            surveyed.problems.append(Unqueried(error.message, login.provider, login.account))
            surveyed.failures.append(error)
    for provider in set(all_regions) - {login.provider for login in used}:
        try:
            _survey_login(runtime.sessions, Login(provider, None, None), set(), all_regions, requested, surveyed)
        except UsageError:
            # Its extra was never installed: nothing of this state can be there.
            continue
        except GpuctlError as error:
            surveyed.remarks.append(f"{provider} was not queried: {error.message}")
            surveyed.failures.append(error)
    if not requested and not surveyed.problems:
        surveyed.problems.append(Unqueried(NO_PROVIDER))
    return surveyed


def merge(runtime: Runtime, everywhere: FullSurvey, state_id: str) -> list[Instance]:
    """Bring a restored state up to what the clouds and its own archive know, and return the records it lacked.

    It counts as whole from then on if every place answered. Ends nothing; twice is harmless.
    """
    records = {record.id: record for record in runtime.store.snapshot().records}
    archived = {record.id: record for record in runtime.store.archived(with_present=True)}
    machines = {record.id: machine_of(record, everywhere, state_id) for record in records.values()}

    def known(fresh: Instance) -> Instance:
        if fresh.id in archived:
            fresh = merged(fresh, archived[fresh.id])
        matching = machines.get(fresh.id)
        return with_deadline_of(fresh, matching[1], matching[0].session.now) if matching else fresh

    runtime.store.update_each(list(records), known)
    unknown: dict[str, Instance] = {}
    for survey, observed in everywhere.instances_of(state_id):
        record = adopted(observed, survey.session.profile, survey.session.now, runtime)
        if record.id not in {**records, **archived, **unknown}:
            unknown[record.id] = without_used_name(record, [*records.values(), *unknown.values()])
    if unknown:
        runtime.store.add(list(unknown.values()), _refuse_known(unknown))
    if not everywhere.problems:
        runtime.store.accept_restored()
    return list(unknown.values())


def restore_rescued(store: RecordStore, rescue: Rescue) -> list[str]:
    """Put the records of rescue files into the state. Twice is harmless. Returns which files could not be removed."""
    problems = []
    for rescued in rescue.saved():
        if not any(record.id == rescued.id for record in store.snapshot().records):
            # Another process may have added it in between.
            with suppress(UnresolvedError):
                store.add([rescued], _refuse_known([rescued.id]))
        store.update(rescued.id, partial(merged, rescued))
        try:
            rescue.delete(rescued.id)
        except StateUnusableError as error:
            problems.append(f"the rescue file of {rescued.id} could not be removed: {error.message}")
    return problems


def _survey_login(
    sessions: Sessions,
    login: Login,
    regions: Collection[str],
    all_regions: Mapping[ProviderName, Collection[str]],
    queried: set[tuple[ProviderName, str]],
    everywhere: FullSurvey,
) -> None:
    session = sessions.by(login)
    name = session.provider.name
    usable = set(session.provider.regions())
    surveys = [survey for survey in everywhere.surveys if survey.session.account == session.account]
    survey = surveys[0] if surveys else Survey(session)
    scopes = [
        Scope(provider=name, account=session.account, region=region)
        for region in sorted(usable & set(all_regions.get(name, ())) | set(regions))
    ]
    survey.list_scopes(
        [scope for scope in scopes if scope not in survey.listed and scope not in survey.unreachable], []
    )
    everywhere.problems += [
        Unqueried(survey.unreachable[scope], scope.provider, scope.account, scope.region)
        for scope in scopes
        if scope in survey.unreachable
    ]
    if (name, session.account) not in queried:
        queried.add((name, session.account))
        everywhere.surveys.append(survey)


def machine_of(record: Instance, everywhere: FullSurvey, state_id: str) -> tuple[Survey, Observed] | None:
    """The record's instance as it was listed, if it exists, and the survey that lists it."""
    for survey in everywhere.surveys:
        if survey.session.account == record.account and scope_of(record) in survey.listed:
            observed = Finder(survey.view, state_id).listed(record)
            if observed is not None and observed.exists and is_the_same_instance(record, observed, state_id):
                return survey, observed
    return None


def _is_whole(observed: Observed, state_id: str) -> bool:
    claims = ownership(observed.tags)
    return claims.state_id == state_id and None not in (claims.record_id, claims.expires_at, observed.launched_at)


def _refuse_known(ids: Collection[str]) -> Guard:
    def guard(present: Sequence[Instance]) -> None:
        if any(record.id in ids for record in present):
            raise UnresolvedError("a record was written in the meantime", hint="run the command again")

    return guard
