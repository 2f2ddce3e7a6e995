"""`gpuctl stats`: instances, hours, cost and savings, summed up."""

from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.commands.stats.render import report_renderable
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import FILE, ParameterType, one_of, option
from gpuctl.cli.render.figures import exclusions, plain
from gpuctl.cli.render.result import Result
from gpuctl.cli.warnings import warn_if_moved
from gpuctl.documents.usage import group_shape, spending_shape, statistics_shape
from gpuctl.documents.values import instant
from gpuctl.domain.money.report import DAY, SIDES, TAG, UsageGroup, UsageReport, report
from gpuctl.domain.money.shares import shares
from gpuctl.services.query import all_records

EXAMPLES = """\
gpuctl stats --since 30d --by user
gpuctl stats --by tag:project -o csv
gpuctl stats --since 30d --by day --chart spending.svg"""


def _group_key(text: str, name: str) -> str:
    if text.startswith(TAG) and text != TAG:
        return text
    return one_of((*SIDES, DAY, f"{TAG}KEY"), text, name)


_GROUP_KEY = ParameterType("KEY", _group_key, lambda *_: (*SIDES, DAY, TAG))
PURPOSE = "purpose"
WORK_COLUMNS = ("workUnit", "workAmount", "costPerWork")
GROUP_COLUMNS = ("key", "instanceCount", "hours", "totalCost", "fullCost")


def command(
    ctx: typer.Context,
    user: options.User = None,
    since: options.Since = None,
    by: Annotated[
        str | None, option(_GROUP_KEY, "Group by user, task, purpose, type, provider, market, region, day or tag:KEY")
    ] = None,
    chart: Annotated[Path | None, option(FILE, "Also write a chart to FILE (SVG)")] = None,
) -> Result:
    """Show usage, cost and savings, archived records included. Sends no network requests.

    Amounts are full cost: compute, disk and public IP. With --since, only the cost within that period counts. Days are
    UTC.
    """
    context: Context = ctx.find_root().obj
    now = context.clock.now()
    side = by or (DAY if chart else None)
    start = None if since is None else now - since
    every = all_records(context.wiring.store, with_archived=True, since=start, note=partial(warn_if_moved, context))
    if user is not None:
        every = [share for record in every for share in shares(record, now) if share.user == user]
    spending = report(every, now, start, side)
    if chart is not None:
        _draw(chart, spending)
    shape = statistics_shape(spending.figures)
    flat = {key: value for key, value in shape.items() if not isinstance(value, dict)}
    document: dict[str, object] = {
        "statistics": shape,
        "spending": spending_shape(spending),
        "completeSince": instant(context.wiring.store.counts_from()),
    }
    if side is not None:
        document |= {"by": side, "groups": [group_shape(group) for group in spending.groups]}
    return Result(
        document=document,
        columns=(*GROUP_COLUMNS, *(WORK_COLUMNS if side == PURPOSE else ())) if side else list(flat),
        rows=[[*_row(group), *(_work(group) if side == PURPOSE else ())] for group in spending.groups]
        if side
        else [[str(value) for value in flat.values()]],
        draw=lambda width: report_renderable(spending, width),
        footer=[*_missing(context, spending), *([f"chart written to {chart}"] if chart else [])],
    )


def _missing(context: Context, spending: UsageReport) -> list[str]:
    missing = exclusions(spending.spent).removeprefix(" · ")
    lines = [missing] if missing else []
    lines += [f"unreadable record, not counted: {record}" for record in context.wiring.store.unreadable()]
    counts_from = context.wiring.store.counts_from()
    if counts_from is not None:
        lines.append(f"totals are complete since {counts_from:%Y-%m-%d}; older records were moved by `gpuctl archive`")
    return [*lines, "no instances"] if spending.side and not spending.groups else lines


def _draw(path: Path, spending: UsageReport) -> None:
    from gpuctl.cli.commands.stats.chart import chart
    from gpuctl.cli.render.svg import check_name, save

    check_name(path, "spending.svg")
    save(path, chart(spending))


def _row(group: UsageGroup) -> list[str]:
    return [
        group.key or "",
        str(group.instance_count),
        plain(group.hours),
        plain(group.cost.compute),
        plain(group.cost.total),
    ]


def _work(group: UsageGroup) -> list[str]:
    """The work of the unit that most instances have; empty without any."""
    if not group.work:
        return ["", "", ""]
    return [group.work[0].unit, plain(group.work[0].amount), plain(group.work[0].usd_per_unit)]
