"""What instances cost together, as a table with bars and as JSON."""

from collections.abc import Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from gpuctl.cli.render.figures import money
from gpuctl.cli.render.tables import right, table
from gpuctl.cli.terminal.text import clean
from gpuctl.domain.money.report import DAY, TAG, CostSum, UsageGroup, UsageReport

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

_LEAST_WORTH_SHOWING = Decimal("0.01")
_LONGEST_BAR = 40


def report_renderable(report: UsageReport, width: int) -> "RenderableType":
    """The figures, and below them the groups with a bar each."""
    from rich.console import Group as Stack

    summary = _summary(report)
    return Stack(summary, "", _bars(report.groups, report.side, width)) if report.side and report.groups else summary


def _summary(report: UsageReport) -> "Table":
    from rich.table import Column

    grid = table(Column(style="bold", no_wrap=True), right(), Column(style="dim"), header=False)
    for cells in _lines(report):
        grid.add_row(*cells)
    figures = report.figures
    counts = [("providers", figures.provider_breakdown), ("types", figures.instance_type_breakdown)]
    for heading, by_name in counts if report.side is None else ():
        for number, (name, count) in enumerate(by_name.items()):
            grid.add_row("" if number else heading, str(count), clean(name))
    return grid


def _lines(report: UsageReport) -> list[tuple[str, str, str]]:
    figures, spent, ahead = report.figures, report.spent, report.cost_summary
    running = f"{figures.currently_running} running, {figures.currently_billing} billing"
    parts = f"{money(spent.compute)} compute, {money(spent.disk)} disks, {money(spent.public_ip)} public IPs"
    lines = [("instances", str(figures.total_provisioned), running), ("spent", money(spent.total), parts)]
    if report.spot != CostSum():
        lines.append(
            ("by market", money(report.spot.total), f"spot, {money(spent.total - report.spot.total)} on-demand")
        )
    if ahead.live:
        until = f"now; {money(ahead.remaining.total)} more until the deadlines"
        lines.append(("an hour", money(ahead.hourly.total), until))
    if report.each is not None:
        average = f"average of terminated instances, {figures.average_duration_h:.2f} hours long"
        lines.append(("each", money(report.each), average))
    if figures.always_on_cost >= _LEAST_WORTH_SHOWING and figures.savings >= 0:
        against = f"{figures.savings_percent:.1f} % less than always on ({money(figures.always_on_cost)}), compute only"
        lines.append(("saved", money(figures.savings), against))
    return lines


def _bars(groups: Sequence[UsageGroup], side: str | None, width: int) -> "Table":
    from rich.bar import Bar

    heading = clean((side or "").removeprefix(TAG).upper())
    has_work = any(group.work for group in groups)
    per_unit = [right("PER UNIT")] if has_work else []
    grid = table(heading, right("INSTANCES"), right("HOURS"), right("COST"), *per_unit, "")
    names = [clean(group.key or "(none)") for group in groups]
    most = max((group.cost.total for group in groups), default=Decimal(0))
    bar_width = min(_LONGEST_BAR, width - max(len(name) for name in (heading, *names)) - 40)
    for name, group in zip(names, groups, strict=True):
        work = [_per_unit(group)] if has_work else []
        cells = (name, str(group.instance_count), f"{group.hours:.2f}", _cost(group.cost), *work)
        color = "yellow" if side == DAY else "cyan"
        bar = Bar(1, 0, float(group.cost.total / most), width=bar_width, color=color) if most and bar_width > 0 else ""
        grid.add_row(*cells, bar)
    return grid


def _per_unit(group: UsageGroup) -> str:
    if not group.work:
        return ""
    usd, unit = group.work[0].usd_per_unit, group.work[0].unit
    return f"? per {unit}" if usd is None else f"${usd:.4g} per {unit}"


def _cost(cost: CostSum) -> str:
    if cost.unknown_price_count and not cost.total:
        return "?"
    return money(cost.total) + ("*" if cost.unknown_price_count or cost.compute_only_count else "")
