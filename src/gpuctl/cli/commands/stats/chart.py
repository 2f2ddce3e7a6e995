"""Draws what groups of instances cost as an SVG picture: columns for days, bars for everything else."""

from collections.abc import Iterator, Sequence
from datetime import UTC
from decimal import ROUND_CEILING, Decimal

from gpuctl.cli.render.figures import counted, exclusions, money
from gpuctl.cli.render.svg import MARGIN, WIDTH, label, opening, text
from gpuctl.cli.terminal.text import clean
from gpuctl.domain.money.report import DAY, TAG, CostSum, UsageGroup, UsageReport

_TOP, _BOTTOM = 96, 72
_ROW, _PLOT = 34, 260
_MOST_BARS = 30
_ZERO = Decimal(0)
_STYLE = ".on-demand{fill:#2f6fde}.spot{fill:#14b8a6}"


def chart(report: UsageReport) -> str:
    """The picture's text. Of very many bars the most expensive are drawn and the rest is one; days are all drawn."""
    side = report.side or DAY
    shown = list(report.groups) if side == DAY else _with_rest_summed(report.groups)
    height = _TOP + _BOTTOM + (_PLOT if side == DAY else _ROW * max(len(shown), 1))
    draw = _columns if side == DAY else _bars
    nothing = [label(MARGIN, _TOP + 20, "nothing was spent", "note")]
    lines = [
        *opening(_title(side), height, _STYLE),
        *_heading(report, side),
        *(draw(shown) if any(group.cost.total for group in shown) else nothing),
        label(MARGIN, height - 18, _note(report.spent), "note"),
        "</svg>",
    ]
    return "\n".join(lines) + "\n"


def _heading(report: UsageReport, side: str) -> Iterator[str]:
    span = f"{report.since.astimezone(UTC):%Y-%m-%d} to " if report.since else "up to "
    until = f"{report.now.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    yield label(MARGIN, 42, _title(side), "title")
    yield label(MARGIN, 66, f"{money(report.spent.total)} in all, {span}{until}", "note")
    if report.spot.total:
        right = WIDTH - MARGIN
        yield f'<rect class="on-demand" x="{right - 160}" y="32" width="11" height="11" rx="2"/>'
        yield label(right - 143, 42, "on-demand")
        yield f'<rect class="spot" x="{right - 56}" y="32" width="11" height="11" rx="2"/>'
        yield label(right - 39, 42, "spot")


def _bars(groups: Sequence[UsageGroup]) -> Iterator[str]:
    names = [_short(group.key) for group in groups]
    left = MARGIN + min(260, 24 + 8 * max(len(name) for name in names))
    longest = WIDTH - MARGIN - left - 90
    most = max(group.cost.total for group in groups)
    for number, (name, group) in enumerate(zip(names, groups, strict=True)):
        y = _TOP + number * _ROW
        long = [float(part / most * longest) for part in (group.cost.total - group.spot.total, group.spot.total)]
        yield "<g>" + _tooltip(group)
        yield label(left - 12, y + 17, name, "end")
        yield f'<rect class="on-demand" x="{left}" y="{y + 2}" width="{long[0]:.1f}" height="20" rx="3"/>'
        if group.spot.total:
            yield f'<rect class="spot" x="{left + long[0]:.1f}" y="{y + 2}" width="{long[1]:.1f}" height="20" rx="3"/>'
        yield label(left + sum(long) + 10, y + 17, money(group.cost.total)) + "</g>"


def _columns(groups: Sequence[UsageGroup]) -> Iterator[str]:
    top_usd, step = _scale(max(group.cost.total for group in groups))
    left, right, floor = MARGIN + 60, WIDTH - MARGIN, _TOP + _PLOT
    usd = _ZERO
    while usd <= top_usd:
        y = floor - float(usd / top_usd) * (_PLOT - 20)
        yield f'<line class="grid" x1="{left}" x2="{right}" y1="{y:.1f}" y2="{y:.1f}"/>'
        yield label(left - 10, y + 4, money(usd), "note end")
        usd += step
    each = (right - left) / len(groups)
    wide, every = min(each * 0.72, 48), -(-len(groups) // 14)
    for number, group in enumerate(groups):
        x = left + each * number + (each - wide) / 2
        parts = (group.spot.total, group.cost.total - group.spot.total)
        spot, rest = (float(part / top_usd) * (_PLOT - 20) for part in parts)
        yield "<g>" + _tooltip(group)
        yield f'<rect class="on-demand" x="{x:.1f}" y="{floor - rest:.1f}" width="{wide:.1f}" height="{rest:.1f}"/>'
        if group.spot.total:
            y = floor - rest - spot
            yield f'<rect class="spot" x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{spot:.1f}"/>'
        yield "</g>"
        if number % every == 0:
            yield label(x + wide / 2, floor + 20, (group.key or "")[5:], "note mid")


def _scale(most: Decimal) -> tuple[Decimal, Decimal]:
    """A round figure at or above the highest, and the step between its grid lines: 1, 2 or 5 of some power of ten."""
    power = Decimal(10) ** (most / 4).adjusted()
    step = next(power * number for number in (1, 2, 5, 10) if power * number * 4 >= most)
    return (most / step).quantize(Decimal(1), ROUND_CEILING) * step, step


def _with_rest_summed(groups: Sequence[UsageGroup]) -> list[UsageGroup]:
    if len(groups) <= _MOST_BARS:
        return list(groups)
    largest, rest = groups[: _MOST_BARS - 1], groups[_MOST_BARS - 1 :]
    return [
        *largest,
        UsageGroup(
            f"{len(rest)} others",
            instance_count=sum(group.instance_count for group in rest),
            hours=sum((group.hours for group in rest), _ZERO),
            cost=sum((group.cost for group in rest), CostSum()),
            spot=sum((group.spot for group in rest), CostSum()),
        ),
    ]


def _note(spent: CostSum) -> str:
    return f"Full cost: compute, disk and public IP, at the prices of the launch{exclusions(spent)}"


def _title(side: str) -> str:
    return f"GPU spending by {clean(side.removeprefix(TAG))}"


def _tooltip(group: UsageGroup) -> str:
    count = counted(group.instance_count, "instance")
    return f"<title>{text(group.key or '(none)')}: {money(group.cost.total)}, {count}, {group.hours:.2f} h</title>"


def _short(key: str | None) -> str:
    name = clean(key or "(none)")
    return name if len(name) <= 28 else f"{name[:27]}…"
