"""Makes the attempts of one record, one after the other, until one of them is not refused or there is none to follow.

Each is written down before it is sent, in a transaction that still finds the record wanted and its deadline far enough
off, and only after every attempt before it was refused for sure, or its instance is known never to start.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from gpuctl.domain.instance import Instance, Observed, Outcome, Reason, Status
from gpuctl.domain.market.candidates import Placement
from gpuctl.errors import BudgetError, CredentialsError, GpuctlError
from gpuctl.services.budgets import allowance_of
from gpuctl.services.launch.access import other_sources
from gpuctl.services.launch.attempt_changes import (
    NoMoreAttempts,
    order_of,
    reason_for_no_attempt,
    start_failed,
    with_attempt,
    with_refusal,
    with_result,
)
from gpuctl.services.launch.cooldown import is_elsewhere
from gpuctl.services.launch.create import CreateResult, send_create
from gpuctl.services.launch.launchable import Agree, Launchable
from gpuctl.services.launch.messages import FailedPlacement, all_refused, next_attempt_message
from gpuctl.services.launch.prepare import Prepared
from gpuctl.services.runtime import Runtime
from gpuctl.services.terminate import end

Over = Callable[[Instance], Instance]


def _unchanged(fresh: Instance) -> Instance:
    return fresh


@dataclass(slots=True)
class Attempts:
    """One record on its way to an instance. `made` gets what was created, or may have been, before anything else.

    `agree` is asked before anything is tried that the caller has not seen yet; it may refuse. `may_go_on` is false once
    nothing follows an instance that could not be started.
    """

    prepared: Prepared
    runtime: Runtime
    state_id: str
    created: list[Instance]
    agree: Agree
    failed_placements: list[FailedPlacement] = field(default_factory=list)
    may_go_on: bool = True
    _here: Launchable = field(init=False)
    _ahead: Iterator[Placement] = field(init=False)

    def __post_init__(self) -> None:
        self._here, self._ahead = self.prepared.first, self._after_first()

    def send_attempts(self, record: Instance) -> GpuctlError | None:
        """Send its attempts. What prevents an instance, or None if there is one."""
        while True:
            launchable = self._here
            result = self._send(record, launchable)
            if result.outcome not in (Outcome.REFUSED, Outcome.LEFTOVERS) or result.error is None:
                self._close(record, result, launchable)
                return result.error
            self.failed_placements.append(FailedPlacement(launchable.placement, result.error))
            following = self._after_refusal(record, result, launchable)
            if following is None:
                refusal = all_refused(self.failed_placements, self.prepared.choice)
                self._close(record, result, launchable)
                return refusal
            # Only now: where nothing follows they are ended with the record.
            self._delete_leftovers(result.leftovers, launchable)
            record = following

    def resume(self, record: Instance, observed: Observed, error: GpuctlError) -> GpuctlError | None:
        """Go on after the provider could not start the record's instance `observed`; what prevents one, or None.

        Where no attempt follows, the record is unchanged; the caller closes it or terminates what is left.
        """
        launchable = self._here
        self.prepared.refusals.add(launchable.placement, error)
        self.failed_placements.append(FailedPlacement(launchable.placement, error, is_late=True))
        following = None
        if is_elsewhere(error):
            following = self._with_next_attempt(
                record, error, lambda fresh: start_failed(fresh, observed, error, launchable)
            )
        if following is None:
            self.may_go_on = False
            return all_refused(self.failed_placements, self.prepared.choice)
        if observed.exists:
            self._delete_leftovers(observed.cloud_id, launchable)
        else:
            self.created[:] = [record for record in self.created if record.cloud_id != observed.cloud_id]
        return self.send_attempts(following)

    def _after_first(self) -> Iterator[Placement]:
        placements = self.prepared.placements()
        for placement in placements:
            if placement == self.prepared.first.placement:
                break
        return placements

    def _send(self, record: Instance, launchable: Launchable) -> CreateResult:
        known = self.prepared.refusals.of(launchable.placement)
        if known is not None:
            # Another instance of this call was refused there meanwhile; this attempt was never sent.
            return CreateResult(Outcome.REFUSED, error=known)
        where = launchable.placement.location
        self.runtime.progress.step(f"{record.label}: creating {record.instance_type} in {where}")
        result = send_create(
            launchable.session.provider,
            order_of(record, launchable, self.state_id),
            self.runtime.clock,
            lambda error: self.runtime.progress.info(f"{error.message}; retrying"),
        )
        if result.error is not None and result.outcome is not Outcome.UNKNOWN:
            self.prepared.refusals.add(launchable.placement, result.error)
        if result.outcome is not Outcome.REFUSED:
            self.created.append(with_result(record, result, launchable))
        return result

    def _after_refusal(self, record: Instance, result: CreateResult, launchable: Launchable) -> Instance | None:
        """The record with its next attempt written down; None if there is to be none."""
        error = result.error
        if error is None:
            return None
        may_continue = is_elsewhere(error)
        if not (may_continue or self.prepared.retries.allows(error)):
            return None
        # The refusal is saved first: a process that reads the record meanwhile finds no attempt with an open outcome.
        record = self.runtime.store.update(record.id, lambda record: with_refusal(record, result, launchable))
        if may_continue:
            return self._with_next_attempt(record, error)
        if (reason := reason_for_no_attempt(record, launchable.session.now)) is not None:
            self.runtime.progress.info(reason)
            return None
        self.prepared.retries.wait(error, self.runtime.clock, self.runtime.progress)
        return self._written(record, launchable, _unchanged)

    def _with_next_attempt(self, record: Instance, error: GpuctlError, over: Over = _unchanged) -> Instance | None:
        """The record with an attempt at the next placement written down, which is where it is now; None without one.

        `over` says in the record that its last attempt is, in the transaction that writes the next one.
        """
        here = self._here
        try:
            candidate = over(record)
        except NoMoreAttempts as why:
            self.runtime.progress.info(why.message)
            return None
        if (reason := reason_for_no_attempt(candidate, here.session.now)) is not None:
            self.runtime.progress.info(reason)
            return None
        launchable = self._next_placement(candidate, self._ahead)
        if launchable is None:
            return None
        if not self.agree(
            launchable, next_attempt_message(error, here, launchable, record.expires_at - here.session.now)
        ):
            return None
        written = self._written(record, launchable, over)
        if written is not None:
            self._here = launchable
        return written

    def _next_placement(self, record: Instance, ahead: Iterator[Placement]) -> Launchable | None:
        """The next placement that can be tried, or None; the reason is printed for each that cannot."""
        has_leftovers = any(attempt.outcome is Outcome.LEFTOVERS for attempt in record.attempts)
        for placement in ahead:
            # What an attempt left behind is looked for in the cloud that the record names.
            moves = placement.offer.type.provider is not record.provider
            if self.prepared.refusals.of(placement) is not None:
                continue
            if moves and has_leftovers:
                self.runtime.progress.info(
                    f"{placement.location} is skipped until the leftovers in {record.provider} are removed"
                )
                continue
            try:
                return self.prepared.logins.launchable(placement)
            except GpuctlError as error:
                if isinstance(error, CredentialsError) and not is_elsewhere(error):
                    self.failed_placements.append(FailedPlacement(placement, error))
                    return None
                self.runtime.progress.info(f"{placement.location} is skipped: {error.message}")
        return None

    def _written(self, record: Instance, launchable: Launchable, over: Over) -> Instance | None:
        """Write the attempt down, if it is still wanted, its deadline is not too near, and budgets have room for it."""
        allowance = allowance_of(launchable.request, self.runtime.store, self.runtime.budgets, launchable.session.now)
        sources = other_sources(
            launchable.session.provider, launchable.offer.region, launchable.request.subnet, record.ssh_from
        )
        try:
            return self.runtime.store.update(
                record.id, lambda fresh: with_attempt(over(fresh), launchable, sources), allowance.changing(record.id)
            )
        except (NoMoreAttempts, BudgetError) as why:
            self.runtime.progress.info(why.message)
            return None

    def _delete_leftovers(self, leftovers: str | None, launchable: Launchable) -> None:
        if leftovers is None:
            return
        try:
            failed = dict(launchable.session.provider.terminate(launchable.offer.region, [leftovers]))
        except GpuctlError as error:
            failed = {leftovers: error}
        for refusal in failed.values():
            self.runtime.progress.warn(
                f"leftovers of the refused create `{leftovers}` are not removed yet: {refusal.message}"
            )

    def _close(self, record: Instance, result: CreateResult, launchable: Launchable) -> None:
        """Write down the outcome of the last attempt; an instance that nobody needs any more is terminated."""
        fresh = self.runtime.store.update(record.id, lambda record: with_result(record, result, launchable))
        if result.leftovers is not None:
            end(self.runtime, [record.id], Reason.REFUSED)
        if result.observed is None:
            return
        # Somebody gave the record up while the create was under way: its instance must not outlive that.
        if fresh.status is Status.STOPPING:
            end(self.runtime, [record.id], fresh.reason or Reason.CANCELLED)
        elif fresh.status.is_ended:
            for error in launchable.session.provider.terminate(record.region, [result.observed.cloud_id]).values():
                self.runtime.progress.warn(
                    f"{result.observed.cloud_id} of {record.label} is not terminated yet: {error.message}"
                )
