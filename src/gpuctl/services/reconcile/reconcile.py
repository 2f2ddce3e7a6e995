"""One pass over some records: look at their clouds, decide, act; waiting commands and the reaper share it."""

from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field

from gpuctl.domain.instance import Instance, ProviderName
from gpuctl.domain.reconcile.actions import Action, Kind, Rules, scope_of
from gpuctl.domain.reconcile.plan import Decide, Isolate, plan_records
from gpuctl.errors import GpuctlError, UnreachableError
from gpuctl.services.isolation import each_alone
from gpuctl.services.progress import Talk
from gpuctl.services.reconcile.apply import Acting, Done
from gpuctl.services.reconcile.observe import Look
from gpuctl.services.reconcile.report import announce
from gpuctl.services.runtime import Parts


@dataclass(slots=True)
class Settled:
    """What one pass over some records did, and the records whose cloud could not be asked, with why."""

    done: list[Done] = field(default_factory=list)
    unasked: dict[str, GpuctlError] = field(default_factory=dict)


Wanted = Callable[[Action], bool]


def settle(
    parts: Parts, record_ids: Collection[str], wanted: Wanted = lambda action: True, *, force: bool = False
) -> Settled:
    """Bring these records up to what their clouds say, closing what is proven gone and ending what is due.

    Says of those whose deadline is near that it is. Touches no other record and no machine without one. `wanted` leaves
    out actions the caller does not want done. `force` ends with a machine what others put among its own things.
    """
    settled = Settled()
    before = parts.store.snapshot()
    announce(parts, before, record_ids)
    chosen = [record for record in before.records if record.id in record_ids and record.is_live]
    for (name, account, profile), group in by_login(chosen).items():
        try:
            session = parts.sessions.of_account(name, account, profile)
        except GpuctlError as error:
            settled.unasked |= {record.id: error for record in group}
            continue
        look = Look(session)
        look.list_scopes(dict.fromkeys(scope_of(record) for record in group), group)
        settled.unasked |= {
            record.id: UnreachableError(look.unreachable[scope_of(record)], hint=look.hints[scope_of(record)])
            for record in group
            if scope_of(record) in look.unreachable
        }
        state = parts.store.snapshot()
        rules = Rules(state_id=state.state_id or "")
        ids = {record.id for record in group}
        fresh = [record for record in state.records if record.id in ids]
        look.ask_by_id(fresh, rules)
        actions = plan_records(fresh, look.view, rules, isolated(parts.talk))
        settled.done += Acting(parts, look, force=force).apply([action for action in actions if wanted(action)])
    return settled


def isolated(talk: Talk) -> Isolate:
    """Turns a bug in the decision about one record into a report about that record."""

    def isolate(decide: Decide) -> Decide:
        def decided(record: Instance) -> list[Action]:
            actions: list[Action] = []

            def on_bug(record: Instance, trace: str) -> None:
                talk.trace(trace)
                detail = f"internal error while deciding about {record.id}"
                actions.append(Action(Kind.REPORT, scope_of(record), record, detail=detail, unresolved=True))

            each_alone([record], lambda alone: actions.extend(decide(alone[0])), on_bug)
            return actions

        return decided

    return isolate


def by_login(records: Iterable[Instance]) -> dict[tuple[ProviderName, str, str | None], list[Instance]]:
    """The records grouped by the login they need: provider, account and profile."""
    groups: dict[tuple[ProviderName, str, str | None], list[Instance]] = {}
    for record in records:
        groups.setdefault((record.provider, record.account, record.profile), []).append(record)
    return groups
