"""Makes the attempts of one record, one after the other, until one of them is not refused or there is none to follow.

Each is written down before it is sent, in a transaction that still finds the record wanted and its deadline far enough
off, and only after every attempt before it was refused for sure.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gpuctl.domain.duration import spelled
from gpuctl.domain.events import EventName
from gpuctl.domain.instance import Attempt, Instance, Outcome, Reason, Status
from gpuctl.domain.lifecycle import advance, attempted, note, refreshed, with_facts
from gpuctl.domain.market.candidates import Place
from gpuctl.domain.market.ssh_source import with_sources
from gpuctl.errors import BudgetError, CredentialsError, GpuctlError
from gpuctl.providers.base import Order
from gpuctl.services.budgets import allowance_of
from gpuctl.services.launch.access import other_sources
from gpuctl.services.launch.cooldown import is_elsewhere
from gpuctl.services.launch.create import Answer, send_create
from gpuctl.services.launch.launchable import Agree, Launchable
from gpuctl.services.launch.messages import Tried, all_refused, told_next
from gpuctl.services.launch.prepare import Prepared
from gpuctl.services.runtime import Runtime
from gpuctl.services.terminate import end

LEAST_LEFT = timedelta(minutes=5)
MOST_ATTEMPTS = 40


class _NoMore(GpuctlError):
    """No further attempt may be made: somebody gave the record up, or its deadline is too near."""


@dataclass(slots=True)
class Attempts:
    """One record on its way to a machine. `made` takes what was made, or may have been, before anything else is done.

    `agree` is asked before anything is tried that the caller has not seen yet; it may refuse.
    """

    prepared: Prepared
    runtime: Runtime
    state_id: str
    made: list[Instance]
    agree: Agree
    tried: list[Tried] = field(default_factory=list)

    def pursue(self, record: Instance) -> GpuctlError | None:
        """Send its attempts. What stands in the way of a machine, or None if there is one."""
        here, ahead = self.prepared.first, self._after_first()
        while True:
            answer = self._send(record, here)
            if answer.outcome not in (Outcome.REFUSED, Outcome.LEFTOVERS) or answer.error is None:
                self._close(record, answer, here)
                return answer.error
            self.tried.append(Tried(here.place, answer.error))
            following = self._following(record, answer, here, ahead)
            if following is None:
                refusal = all_refused(self.tried, self.prepared.choice)
                self._close(record, answer, here)
                return refusal
            # Only now: where nothing follows they are ended with the record.
            self._end_leftovers(answer, here)
            record, here = following

    def _after_first(self) -> Iterator[Place]:
        places = self.prepared.places()
        for place in places:
            if place == self.prepared.first.place:
                break
        return places

    def _send(self, record: Instance, here: Launchable) -> Answer:
        known = self.prepared.doors.against(here.place)
        if known is not None:
            # Another machine of this call was refused there meanwhile; this attempt was never sent.
            return Answer(Outcome.REFUSED, error=known)
        where = here.place.where
        self.runtime.progress.step(f"{record.label}: creating {record.instance_type} in {where}")
        answer = send_create(
            here.session.provider,
            order_of(record, here, self.state_id),
            self.runtime.clock,
            lambda error: self.runtime.progress.info(f"{error.message}; trying again"),
        )
        if answer.error is not None and answer.outcome is not Outcome.UNKNOWN:
            self.prepared.doors.refused(here.place, answer.error)
        if answer.outcome is not Outcome.REFUSED:
            self.made.append(answered(record, answer, here))
        return answer

    def _following(
        self, record: Instance, answer: Answer, here: Launchable, ahead: Iterator[Place]
    ) -> tuple[Instance, Launchable] | None:
        """The record with its next attempt written down, and where that is made; None if there is to be none."""
        error = answer.error
        if error is None:
            return None
        goes_on = is_elsewhere(error)
        if not (goes_on or self.prepared.retrying.is_left(error)):
            return None
        # The refusal is written down first: whoever comes between finds nothing that may have made a machine.
        record = self.runtime.store.update(record.id, lambda record: _noted(record, answer, here))
        if (why := _hindrance(record, here.session.now)) is not None:
            self.runtime.progress.info(why)
            return None
        if not goes_on:
            self.prepared.retrying.waits_out(error, self.runtime)
            return self._written(record, here)
        there = self._next_place(record, ahead)
        if there is None:
            return None
        self.runtime.progress.info(told_next(error, here, there, record.expires_at - here.session.now))
        return self._written(record, there) if self.agree(there) else None

    def _next_place(self, record: Instance, ahead: Iterator[Place]) -> Launchable | None:
        """The next place that can be tried, with the reason told for each that cannot; None where there is none."""
        has_leftovers = any(attempt.outcome is Outcome.LEFTOVERS for attempt in record.attempts)
        for place in ahead:
            # What an attempt left behind is looked for in the cloud that the record names.
            moves = place.offer.type.provider is not record.provider
            if self.prepared.doors.against(place) is not None:
                continue
            if moves and has_leftovers:
                self.runtime.progress.info(
                    f"{place.where} is skipped until the leftovers in {record.provider} are removed"
                )
                continue
            try:
                return self.prepared.logins.launchable(place)
            except GpuctlError as error:
                if isinstance(error, CredentialsError) and not is_elsewhere(error):
                    self.tried.append(Tried(place, error))
                    return None
                self.runtime.progress.info(f"{place.where} is skipped: {error.message}")
        return None

    def _written(self, record: Instance, there: Launchable) -> tuple[Instance, Launchable] | None:
        """Write the attempt down, if it is still wanted, its deadline is not too near, and budgets have room for it."""
        allowance = allowance_of(there.request, self.runtime, there.session.now)
        sources = other_sources(there.session.provider, there.offer.region, there.request.subnet, record.ssh_from)
        try:
            fresh = self.runtime.store.update(
                record.id, lambda fresh: _with_attempt(fresh, there, sources), allowance.changing(record.id)
            )
            return fresh, there
        except (_NoMore, BudgetError) as why:
            self.runtime.progress.info(why.message)
            return None

    def _end_leftovers(self, answer: Answer, here: Launchable) -> None:
        if answer.leftovers is None:
            return
        try:
            failed = dict(here.session.provider.terminate(here.offer.region, [answer.leftovers]))
        except GpuctlError as error:
            failed = {answer.leftovers: error}
        for refusal in failed.values():
            self.runtime.progress.warn(f"leftovers of {answer.leftovers} are not removed yet: {refusal.message}")

    def _close(self, record: Instance, answer: Answer, here: Launchable) -> None:
        """Write down how the last attempt came out; what nobody wants any more is ended."""
        fresh = self.runtime.store.update(record.id, lambda record: answered(record, answer, here))
        if answer.leftovers is not None:
            end(self.runtime, [record.id], Reason.REFUSED)
        if answer.seen is None:
            return
        # Somebody gave the record up while the create was under way: its machine must not outlive that.
        if fresh.status is Status.STOPPING:
            end(self.runtime, [record.id], fresh.reason or Reason.CANCELLED)
        elif fresh.status.is_ended:
            for error in here.session.provider.terminate(record.region, [answer.seen.cloud_id]).values():
                self.runtime.progress.warn(
                    f"{answer.seen.cloud_id} of {record.label} is not terminated yet: {error.message}"
                )


def answered(fresh: Instance, answer: Answer, here: Launchable) -> Instance:
    """The record with what became of its last attempt, after which there is none."""
    now = here.session.now
    if answer.seen is not None:
        if fresh.status.is_ended:
            return with_facts(fresh, now, cloud_id=answer.seen.cloud_id, id_is_from_create=True)
        return refreshed(fresh, answer.seen, now, from_create=True)
    fresh = _with_outcome(fresh, answer)
    detail = fresh.last_error
    if answer.leftovers is not None and not fresh.status.is_ended:
        made = {"cloud_id": answer.leftovers, "id_is_from_create": True}
        return advance(with_facts(fresh, now, **made), Status.STOPPING, now, Reason.REFUSED, detail=detail)
    if answer.outcome is Outcome.UNKNOWN or fresh.status.is_ended:
        return note(fresh, EventName.ERROR, now, detail=detail)
    ended = Status.TERMINATED if fresh.status is Status.STOPPING else Status.FAILED
    return advance(fresh, ended, now, Reason.REFUSED, detail=detail, last_error=detail)


def _noted(fresh: Instance, answer: Answer, here: Launchable) -> Instance:
    """The record with a refusal after which another attempt may follow."""
    fresh = _with_outcome(fresh, answer)
    return note(fresh, EventName.ERROR, here.session.now, detail=fresh.last_error)


def _with_outcome(fresh: Instance, answer: Answer) -> Instance:
    detail = answer.error.message if answer.error else None
    told = {"outcome": answer.outcome, "detail": detail, "cloud_id": answer.leftovers}
    last = fresh.attempts[-1].model_copy(update=told)
    return fresh.having(attempts=(*fresh.attempts[:-1], last), last_error=detail)


def _hindrance(record: Instance, now: datetime) -> str | None:
    """Why no further attempt may be made for it; None if one may."""
    if record.status is not Status.PROVISIONING:
        return f"{record.label} is {record.status} now: no further attempt is made"
    if record.expires_at - now < LEAST_LEFT:
        return (
            f"less than {spelled(LEAST_LEFT)} are left until the deadline of {record.label}: no further attempt is made"
        )
    if len(record.attempts) >= MOST_ATTEMPTS:
        return f"{record.label} had {MOST_ATTEMPTS} attempts: no further attempt is made"
    return None


def _with_attempt(fresh: Instance, there: Launchable, sources: Sequence[str]) -> Instance:
    now = there.session.now
    if (why := _hindrance(fresh, now)) is not None:
        raise _NoMore(why)
    number, offer = len(fresh.attempts) + 1, there.offer
    attempt = Attempt(
        number=number,
        token=f"{fresh.id}-{number}",
        at=now,
        provider=offer.type.provider,
        region=offer.region,
        zone=there.place.zone,
        instance_type=offer.type.name,
        market=offer.market,
    )
    return attempted(
        fresh,
        attempt,
        now,
        account=there.session.account,
        profile=there.session.profile,
        price=offer.price,
        disk_price=there.extras.disk,
        address_price=there.extras.public_ip,
        billing=there.extras.billing,
        image=there.image.id,
        subnet=there.request.subnet,
        metadata=with_sources(fresh.metadata, sources),
    )


def order_of(record: Instance, here: Launchable, state_id: str) -> Order:
    """The order of the record's last attempt there: the same record always gives the same order."""
    attempt = record.attempts[-1]
    return Order(
        token=attempt.token,
        record_id=record.id,
        state_id=state_id,
        owner=record.user,
        name=record.name,
        expires_at=record.expires_at,
        max_ttl=record.max_ttl,
        region=attempt.region,
        zone=attempt.zone,
        subnet=record.subnet,
        instance_type=attempt.instance_type,
        market=attempt.market,
        image=here.image,
        disk_gb=here.request.disk_gb,
        created_at=attempt.at,
        ssh_key=record.ssh_key,
        ssh_from=record.ssh_from,
        max_price=here.request.max_price,
        idle=record.idle,
        tags=record.tags,
    )
