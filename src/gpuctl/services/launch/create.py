"""Sends the create request of one attempt, and repeats it until its outcome is known or can no longer become known."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from gpuctl.clock import Clock
from gpuctl.domain.instance import Observed, Outcome
from gpuctl.errors import GpuctlError, OutcomeUnknown, PartialCreate, ThrottledError, UnreachableError
from gpuctl.providers.base import Order, Provider

_TRANSIENT = (ThrottledError, UnreachableError)
PAUSES = (timedelta(seconds=1), timedelta(seconds=3), timedelta(seconds=6))


@dataclass(frozen=True, slots=True)
class CreateResult:
    """The outcome of an attempt: `observed` is the instance if it was created, `error` why not or why it is unknown.

    `leftovers` is the cloud id of what was made before the cloud refused the rest.
    """

    outcome: Outcome
    observed: Observed | None = None
    error: GpuctlError | None = None
    leftovers: str | None = None


def send_create(
    provider: Provider, order: Order, clock: Clock, on_repeat: Callable[[GpuctlError], None]
) -> CreateResult:
    """Send the order's create call, at most four times, always the very same request with the same token.

    REFUSED only if every send was answered with a refusal; once a reply was lost, a refusal of a later send proves
    nothing about the earlier one, and the answer is UNKNOWN. LEFTOVERS if parts were made by any send.
    """
    lost: GpuctlError | None = None
    leftovers: str | None = None
    error: GpuctlError
    for pause in (*PAUSES, None):
        try:
            return CreateResult(Outcome.CREATED, observed=provider.create(order))
        except OutcomeUnknown as unknown:
            error = lost = unknown
            may_retry = unknown.may_repeat
        except PartialCreate as half:
            error, leftovers = half.refusal, half.cloud_id
            may_retry = isinstance(half.refusal, _TRANSIENT)
        except _TRANSIENT as refusal:
            error, may_retry = refusal, True
        except GpuctlError as refusal:
            error, may_retry = refusal, False
        if pause is None or not may_retry:
            break
        on_repeat(error)
        clock.sleep(pause)
    if lost is None and leftovers is not None:
        return CreateResult(Outcome.LEFTOVERS, error=error, leftovers=leftovers)
    if lost is None:
        return CreateResult(Outcome.REFUSED, error=error)
    return CreateResult(Outcome.UNKNOWN, error=lost if error is lost else _combined_refusal(lost, error))


def _combined_refusal(lost: GpuctlError, refusal: GpuctlError) -> GpuctlError:
    return OutcomeUnknown(f"{lost.message}; a repeat was refused ({refusal.message})", hint=lost.hint)
