"""`gpuctl stats`: machines, hours, cost and savings, summed up."""

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.context import Context
from gpuctl.cli.render.figures import money
from gpuctl.cli.render.result import Result
from gpuctl.cli.render.shapes import statistics_shape
from gpuctl.cli.render.text import clean
from gpuctl.domain.duration import parse_duration
from gpuctl.domain.statistics import Statistics, statistics
from gpuctl.services.inventory import everything

if TYPE_CHECKING:
    from rich.table import Table

_TELLING = Decimal("0.01")
EXAMPLES = """\
gpuctl stats --user ana
gpuctl stats --since 30d -o json"""


def command(
    ctx: typer.Context,
    user: options.User = None,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only machines asked for in that time, such as 30d")
    ] = None,
) -> Result:
    """Sum up all machines, archived ones too. Opens no socket."""
    context: Context = ctx.find_root().obj
    now = context.clock.now()
    span = parse_duration(since, option="--since") if since else None
    records = [
        one
        for one in everything(context.store, with_archived=True)
        if user in (None, one.user) and (span is None or now - one.created_at <= span)
    ]
    figures = statistics(records, now)
    shape = statistics_shape(figures)
    flat = {key: value for key, value in shape.items() if not isinstance(value, dict)}
    unreadable = context.store.unreadable_archive_lines()
    footer = [f"{figures.unpriced} machines of unknown price are in no sum of money"] if figures.unpriced else []
    footer += [f"unreadable, and not counted: {line}" for line in unreadable]
    return Result(
        document={"statistics": shape},
        columns=list(flat),
        rows=[[str(value) for value in flat.values()]],
        draw=lambda width: _drawn(figures),
        footer=footer,
    )


def _drawn(figures: Statistics) -> "Table":
    from rich.table import Table

    drawn = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    drawn.add_column(style="bold")
    drawn.add_column(justify="right")
    drawn.add_column(style="dim")
    running = f"{figures.currently_running} running, {figures.currently_billing} billing"
    saved = f"{figures.savings_percent:.1f} %" if figures.always_on_cost >= _TELLING else "too little to tell"
    for cells in (
        ("machines", str(figures.total_provisioned), running),
        ("cost", money(figures.total_cost), f"{money(figures.average_cost)} on average of those that ended"),
        ("hours", f"{figures.average_duration_h:.2f}", "on average of those that ended"),
        ("saved", money(figures.savings), f"{saved} against {money(figures.always_on_cost)} always on"),
    ):
        drawn.add_row(*cells)
    for heading, counts in (("clouds", figures.provider_breakdown), ("types", figures.instance_type_breakdown)):
        for number, (name, count) in enumerate(counts.items()):
            drawn.add_row("" if number else heading, str(count), clean(name))
    return drawn
