"""Delivers events to hooks, one process at a time, and reports what was not delivered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from functools import partial

from gpuctl.clock import Clock
from gpuctl.domain.duration import exact
from gpuctl.domain.events import Event
from gpuctl.errors import GpuctlError
from gpuctl.services.events.deliver import DROPPED_AFTER, Delivery, DeliveryResult, Send
from gpuctl.services.progress import Progress, is_report_due
from gpuctl.store.base import State
from gpuctl.store.lease import Lease, LeaseName, leased

# For the writes to the state, each of which may wait for other writers.
_MARGIN = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class Notifier:
    """Delivers the events of a state. `holder` names this process to others.

    `is_reaper`: called after a run of the reaper, which has reported a state that cannot be used; a failing hook is
    reported once an hour. `is_attended`: a person reads the reports, so none is held back.
    """

    state: State
    holder: str
    clock: Clock
    progress: Progress
    is_reaper: bool
    is_attended: bool

    def notify(self, open_hooks: Callable[[], Mapping[str, Send]], within: timedelta) -> None:
        """Deliver what hooks have not received, in that time at most, and warn about failures. Raises no GpuctlError.

        Does nothing while another process delivers.
        """
        try:
            with leased(self.state.leases, LeaseName.HOOKS, self.holder, within + _MARGIN) as lease:
                if lease is not None:
                    hooks = {name: partial(self._send, send) for name, send in open_hooks().items()}
                    may_continue = partial(self.state.leases.is_current, lease)
                    delivery = Delivery(self.state.records, self.clock, self.progress, hooks, may_continue)
                    self._report(delivery.run(within), lease)
        except GpuctlError as error:
            if not self.is_reaper:
                self.progress.warn(f"could not deliver events to hooks: {error.message}")
        finally:
            self.progress.clear()

    def _send(self, send: Send, event: Event, patience: timedelta) -> str | None:
        if self.is_attended:
            self.progress.step(f"calling hook `{event.entry.event}` for {event.record.label}")
        return send(event, patience)

    def _report(self, result: DeliveryResult, lease: Lease) -> None:
        now, reported = self.clock.now(), self.state.reaper.read().hooks_reported
        failing = {name: reported[name] for name in result.failures if name in reported}
        for name, reason in result.failures.items():
            if not self.is_reaper or self.is_attended or is_report_due(failing.get(name), now):
                self.progress.warn(f"hook `{name}` {reason}; the next reap retries it")
                failing[name] = now
        if result.left and not result.failures:
            self.progress.warn(f"{_events(result.left)} left for the next reap: hooks timed out")
        if result.dropped:
            self.progress.warn(f"{_events(result.dropped)} older than {exact(DROPPED_AFTER)} were dropped")
        if failing != reported:
            self.state.reaper.update(lambda fresh: fresh.model_copy(update={"hooks_reported": failing}), lease)


def _events(count: int) -> str:
    return f"{count} event{'' if count == 1 else 's'}"
