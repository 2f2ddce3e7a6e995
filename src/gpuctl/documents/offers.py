"""The public JSON of offers and of what they would cost: types, estimates, recommendations."""

from decimal import Decimal
from typing import Any

from gpuctl.documents.values import dollars, number
from gpuctl.domain.market.offers import Offer
from gpuctl.domain.market.sizing import Advice
from gpuctl.domain.market.spot_replay import SpotRun
from gpuctl.domain.money.cost import Cost
from gpuctl.domain.money.savings import Savings, Usage

# What an estimate of savings does not include.
NOT_INCLUDED = (
    "traffic",
    "disk operations",
    "taxes",
    "the minutes an instance takes to start",
    "discounts of your contract",
)


def offer_shape(offer: Offer) -> dict[str, Any]:
    """A type in a region and a market, with its price."""
    kind, price = offer.type, offer.price
    return {
        "provider": kind.provider.upper(),
        "instanceType": kind.name,
        "region": offer.region,
        "market": offer.market.value,
        "gpuModel": kind.gpu_model,
        "gpuCount": number(kind.gpu_count),
        "gpuMemoryGiB": number(kind.gpu_memory_gib),
        "vcpus": kind.vcpus,
        "memoryGiB": number(kind.memory_gib),
        "arch": kind.arch,
        "costPerHour": dollars(price.usd_per_hour if price else None),
        "priceSource": price.source if price else None,
        "priceAsOf": price.as_of.isoformat() if price else None,
        "availability": kind.availability.value,
        "retiredOn": kind.retired_on.isoformat() if kind.retired_on else None,
        "successor": kind.successor,
    }


def recommendation_shape(
    advice: Advice, offer: Offer, compute: Decimal | None, full_cost: Decimal | None, command: str
) -> dict[str, Any]:
    """One recommended offer, its cost until the deadline, and the command that starts it."""
    return {
        "size": advice.size.value,
        **offer_shape(offer),
        "autoTerminateMinutes": int(advice.ttl.total_seconds() // 60),
        "neededMinutes": int(advice.needed.total_seconds() // 60),
        "costUntilDeadline": dollars(compute),
        "fullCostUntilDeadline": dollars(full_cost),
        "command": command,
    }


def priced_offer_shape(offer: Offer, cost: Cost) -> dict[str, Any]:
    """An offer with its cost until the deadline."""
    return {
        **offer_shape(offer),
        "costUntilDeadline": dollars(cost.compute),
        "fullCostUntilDeadline": dollars(cost.total),
    }


def estimate_shape(
    offer: Offer, usage: Usage, each: Savings, together: Savings, disk_gb: int, with_all: Savings | None
) -> dict[str, Any]:
    """The savings of one user and of all; `with_all` are those of the full cost, None where that is unknown."""
    estimate = {
        "hoursPerDay": float(usage.hours_per_day),
        "daysPerMonth": usage.days,
        "users": usage.users,
        **_savings_shape(together),
        "perUser": _savings_shape(each),
        "withDiskAndPublicIp": None if with_all is None else {"diskSizeGB": disk_gb, **_savings_shape(with_all)},
        "excluded": list(NOT_INCLUDED),
    }
    return {**offer_shape(offer), **estimate}


def _savings_shape(savings: Savings) -> dict[str, Any]:
    return {
        "alwaysOnMonthly": dollars(savings.always_on),
        "whileUsedMonthly": dollars(savings.on_demand),
        "savingsMonthly": dollars(savings.saved),
        "alwaysOnYearly": dollars(savings.always_on_a_year),
        "whileUsedYearly": dollars(savings.on_demand_a_year),
        "savingsYearly": dollars(savings.saved_a_year),
        "savingsPercent": round(float(savings.percent), 2),
    }


def replay_shape(run: SpotRun) -> dict[str, Any]:
    """One replay over a trace of spot capacity; costs are shares of the same work on-demand."""
    return {
        "start": int(run.start_s) if run.start_s.is_integer() else round(run.start_s, 3),
        "cost": round(run.cost, 6),
        "onDemandShare": round(run.on_demand_share, 6),
        "late": run.is_late,
        "interruptions": run.interruptions,
        "switches": run.switches,
    }
