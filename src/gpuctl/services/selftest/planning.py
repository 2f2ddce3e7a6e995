"""Chooses what a self-test starts: the cheapest instance whose full cost until the latest deadline fits the limit."""

from dataclasses import replace
from datetime import timedelta
from decimal import Decimal

from gpuctl.domain.duration import exact
from gpuctl.domain.market.offers import Offer
from gpuctl.domain.market.request import MIN_TTL, Request
from gpuctl.domain.money.cost import rates
from gpuctl.domain.selftest import shows_in_nvidia_smi
from gpuctl.errors import UsageError
from gpuctl.services.launch.launchable import Launchable
from gpuctl.services.launch.offers import Choice
from gpuctl.services.launch.prepare import Prepared
from gpuctl.services.runtime import ExtrasOf, Runtime

# Long enough that a shutdown schedule can still be moved, which may be impossible in its last 30 minutes.
LONGEST = timedelta(minutes=60)
EXTEND_BY = timedelta(minutes=15)
_CENT = Decimal("0.01")
PURPOSE = "gpuctl selftest"


def request_of(request: Request, max_ttl: timedelta) -> Request:
    """The request as a self-test sends it: one instance, on demand, with at least one GPU where no type is named.

    Its TTL leaves room for the extension below `max_ttl`. UsageError where it names neither a type nor a provider, and
    where `max_ttl` is too short.
    """
    named = request.instance_type is not None
    if not named and request.provider is None:
        raise UsageError("Provider is required", hint="gpuctl selftest --provider PROVIDER --region REGION")
    ttl = min(LONGEST, max_ttl - EXTEND_BY)
    if ttl < MIN_TTL:
        least = exact(MIN_TTL + EXTEND_BY)
        raise UsageError(f"the self-test needs a `max_ttl` of at least {least}", hint=f'set max_ttl = "{least}"')
    return replace(
        request, ttl=ttl, count=1, purpose=PURPOSE, min_gpus=None if named else request.min_gpus or Decimal(1)
    )


def affordable(choice: Choice, runtime: Runtime, limit: Decimal) -> Choice:
    """The choice without the offers that could cost more than the limit, or a sum that is not known.

    UsageError where none is left, with the limit that would be enough.
    """
    is_named = choice.request.instance_type is not None
    # Chosen by gpuctl, the instance has a GPU that the check of the GPU can see.
    offers = [offer for offer in choice.offers if is_named or shows_in_nvidia_smi(offer.type)]
    known = {offer: cost for offer in offers if (cost := _most_cost(offer, choice, runtime.extras_of)) is not None}
    fitting = tuple(sorted((offer for offer in known if known[offer] <= limit), key=lambda offer: known[offer]))
    if fitting:
        return replace(choice, offers=fitting)
    if not known:
        raise UsageError(
            "the price of every matching type is unknown, so the cost cannot be limited", hint="gpuctl prices refresh"
        )
    least = min(known, key=lambda offer: known[offer])
    raise UsageError(
        f"the cheapest matching type, `{least.type.name}`, may cost ${known[least]:.2f}, more than ${limit:.2f}",
        hint=f"add `--max-cost {known[least].quantize(_CENT) + _CENT}`",
    )


def most_cost(prepared: Prepared) -> Decimal | None:
    """Dollars if the instance runs until its extended deadline; None where a part of the price is unknown."""
    return _cost_with_extension(prepared.first)


def require_within(prepared: Prepared, limit: Decimal) -> None:
    """UsageError where the instance, with its image and its disks, may cost more than the limit or a sum not known."""
    cost = most_cost(prepared)
    if cost is None:
        raise UsageError(
            "the price of the instance is unknown, so the cost cannot be limited",
            hint="leave out `--image`" if prepared.request.image else "gpuctl prices refresh",
        )
    if cost > limit:
        raise UsageError(
            f"the self-test may cost ${cost:.2f}, more than ${limit:.2f}",
            hint=f"add `--max-cost {cost.quantize(_CENT) + _CENT}`",
        )


def is_within(launchable: Launchable, limit: Decimal) -> bool:
    """Whether the cost of an instance there until its extended deadline is known, and not more than the limit."""
    cost = _cost_with_extension(launchable)
    return cost is not None and cost <= limit


def _cost_with_extension(launchable: Launchable) -> Decimal | None:
    return launchable.hourly.for_span(launchable.request.ttl + EXTEND_BY).total


def _most_cost(offer: Offer, choice: Choice, extras_of: ExtrasOf) -> Decimal | None:
    extras = extras_of(offer.type.provider, offer.region, choice.request.disk_gb)
    return rates(offer.price, extras.disk, extras.public_ip).for_span(choice.request.ttl + EXTEND_BY).total
