"""The messages about refused attempts: one for each further attempt, and one for all of them at the end."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta

from gpuctl.domain.instance import Market
from gpuctl.domain.market.candidates import Placement
from gpuctl.domain.market.offers import Offer
from gpuctl.domain.money.cost import to_cents
from gpuctl.errors import CapacityError, CloudError, Extent, GpuctlError, PartialError, QuotaError
from gpuctl.services.launch.cooldown import is_capacity_left
from gpuctl.services.launch.launchable import Launchable
from gpuctl.services.launch.offers import Choice

_NOTHING = "no instance was started"
_NAMED = 3


@dataclass(frozen=True, slots=True)
class FailedPlacement:
    """A placement that was refused, and the error; `is_late`: it was refused after the create had been accepted."""

    placement: Placement
    error: GpuctlError
    is_late: bool = False


def next_attempt_message(error: GpuctlError, before: Launchable, launchable: Launchable, left: timedelta) -> str:
    """Why the last attempt failed, and what is tried now, at what price; `left` is the time to the deadline."""
    return f"{error.message}; {attempt_message(launchable, before, left)}"


def attempt_message(launchable: Launchable, before: Launchable, left: timedelta) -> str:
    """What is tried now instead of `before`, at what price; `left` is the time to the deadline."""
    is_alike = (launchable.offer.type, launchable.offer.market) == (before.offer.type, before.offer.market)
    what = (
        launchable.placement.location
        if is_alike
        else f"{_offer_text(launchable.offer)} in {launchable.placement.location}"
    )
    each, price_before, cost = (
        launchable.hourly.counted,
        before.hourly.counted,
        launchable.hourly.for_span(left).counted,
    )
    if each is None or cost is None:
        return f"trying {what}, at an unknown price"
    instead = f" instead of ${price_before:.3f}" if price_before is not None and price_before != each else ""
    return f"trying {what} at ${each:.3f}/h{instead}, ${to_cents(cost)} until the deadline"


def all_refused(failed: Sequence[FailedPlacement], choice: Choice) -> GpuctlError:
    """One error for all of these: their common one if they failed alike, else a summary.

    A placement that could never have had the instance (no subnet, a type that is not supported, a forbidden region)
    decides the exit code only if every placement was like that; its error is shown all the same.
    """
    decisive = [item for item in failed if not _is_unsuitable(item.error)] or list(failed)
    errors = [failed.error for failed in decisive]
    ended = f"; {_NOTHING}" if choice.request.count == 1 else ""
    beside = next((f"; {item.error.message}" for item in reversed(failed) if item.is_late or item not in decisive), "")
    if all(is_capacity_left(error) for error in errors):
        message = f"no {_types(decisive)} left in {_places(decisive)}{beside}{ended}"
        return CapacityError(message, hint=_hint(decisive, choice))
    if len(failed) == 1:
        return errors[0]
    if all(isinstance(error, QuotaError) for error in errors):
        message = f"no quota left for {_types(decisive)} in {_places(decisive)}{beside}{ended}"
        return QuotaError(message, hint=errors[0].hint)
    if len({error.exit_code for error in errors}) == 1:
        return errors[-1]
    if all(_is_unsuitable(error) for error in errors):
        every = "; ".join(dict.fromkeys(error.message for error in errors))
        return CloudError(f"{every}{ended}", hint=errors[-1].hint)
    reason = "; ".join(_texts_by_code(decisive))
    return PartialError(f"all attempts failed for different reasons: {reason}{beside}{ended}", hint=errors[-1].hint)


def _is_unsuitable(error: GpuctlError) -> bool:
    return error.extent is not Extent.EVERYWHERE and not isinstance(error, (CapacityError, QuotaError))


def _texts_by_code(failed: Sequence[FailedPlacement]) -> Iterable[str]:
    for code in dict.fromkeys(item.error.code for item in failed):
        alike = [item for item in failed if item.error.code is code]
        yield f"{code.value} of {_types(alike)} in {_places(alike)}"


def _types(failed: Sequence[FailedPlacement]) -> str:
    return _names_or_count(dict.fromkeys(_offer_text(item.placement.offer) for item in failed), "types")


def _places(failed: Sequence[FailedPlacement]) -> str:
    zones = len({item.placement.zone for item in failed if item.placement.zone})
    where = _names_or_count(
        (f"`{region}`" for region in dict.fromkeys(item.placement.offer.region for item in failed)), "regions"
    )
    return f"{where} ({zones} zone{'' if zones == 1 else 's'} tried)" if zones else where


def _names_or_count(names: Iterable[str], what: str) -> str:
    every = list(names)
    return ", ".join(every) if len(every) <= _NAMED else f"{len(every)} {what}"


def _offer_text(offer: Offer) -> str:
    return f"`{offer.type.name}`{' spot' if offer.market is Market.SPOT else ''}"


def _hint(failed: Sequence[FailedPlacement], choice: Choice) -> str:
    request, offer = choice.request, failed[0].placement.offer
    if request.market is Market.SPOT and not request.falls_back:
        return "add `--fallback on-demand`, or another `--region`"
    if request.instance_type is None:
        return "add `--region any`, or ask for less"
    if choice.elsewhere is None:
        return f"retry in 3 minutes, or use another type: gpuctl types --gpu '{offer.type.gpu_model}'"
    return f"gpuctl provision {offer.type.name} --region {choice.elsewhere.region}"
