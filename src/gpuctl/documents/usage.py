"""The public JSON of statistics and spending."""

from typing import Any

from gpuctl.documents.values import dollars, hours, number
from gpuctl.documents.work import per_work
from gpuctl.domain.money.report import CostSum, UsageGroup, UsageReport
from gpuctl.domain.money.statistics import Statistics


def statistics_shape(figures: Statistics) -> dict[str, Any]:
    """The figures over many instances."""
    return {
        "totalProvisioned": figures.total_provisioned,
        "currentlyRunning": figures.currently_running,
        "totalCost": dollars(figures.total_cost),
        "averageDuration": number(figures.average_duration_h),
        "averageCost": dollars(figures.average_cost),
        "providerBreakdown": dict(figures.provider_breakdown),
        "instanceTypeBreakdown": dict(figures.instance_type_breakdown),
        "currentlyBilling": figures.currently_billing,
        "alwaysOnCost": dollars(figures.always_on_cost),
        "savings": dollars(figures.savings),
        "savingsPercent": number(figures.savings_percent, 2),
    }


def spending_shape(report: UsageReport) -> dict[str, Any]:
    """What is spent (full cost, also by market), the rate per hour now, and what remains until the deadlines."""
    return {
        **_sum_shape(report.spent),
        "onDemand": dollars(report.spent.total - report.spot.total),
        "spot": dollars(report.spot.total),
        "totalPerHour": dollars(report.cost_summary.hourly.total),
        "remainingUntilDeadlines": dollars(report.cost_summary.remaining.total),
    }


def group_shape(group: UsageGroup) -> dict[str, Any]:
    """One group; `totalCost` is compute cost, as everywhere."""
    return {
        "key": group.key,
        "instanceCount": group.instance_count,
        "hours": hours(group.hours),
        "totalCost": dollars(group.cost.compute),
        "spot": dollars(group.spot.total),
        "costBreakdown": _sum_shape(group.cost),
        "work": [
            {"unit": work.unit, "amount": float(work.amount), "costPerUnit": per_work(work.usd_per_unit)}
            for work in group.work
        ],
    }


def _sum_shape(cost: CostSum) -> dict[str, Any]:
    return {
        "total": dollars(cost.total),
        "compute": dollars(cost.compute),
        "disk": dollars(cost.disk),
        "publicIp": dollars(cost.public_ip),
        "unknownPriceCount": cost.unknown_price_count,
        "computeOnlyCount": cost.compute_only_count,
    }
