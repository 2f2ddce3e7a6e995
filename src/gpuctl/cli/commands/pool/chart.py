"""Draws the instances of each policy over time as an SVG picture, above the demand."""

from collections.abc import Iterator, Sequence

from gpuctl.cli.commands.pool.render import Simulation
from gpuctl.cli.render.figures import counted
from gpuctl.cli.render.svg import MARGIN, WIDTH, label, opening
from gpuctl.domain.pools.timeline import average_counts, demand_counts

_TOP, _BAND, _PLOT, _BOTTOM = 96, 120, 76, 56
_PARTS = 400
_HOUR_S, _DAY_S = 3_600, 86_400
_STYLE = ".demand{fill:#cbd5e1}.instances{fill:none;stroke:#2f6fde;stroke-width:1.5}"


def chart(result: Simulation) -> str:
    """The text of the picture: a band for each policy, all on one scale."""
    height = _TOP + _BAND * len(result.played) + _BOTTOM
    lines = [*opening("Instances over time", height, _STYLE), *_heading(result)]
    if not result.jobs:
        lines.append(label(MARGIN, _TOP + 20, "no jobs to count", "note"))
    else:
        lines += _bands(result)
    lines.append("</svg>")
    return "\n".join(lines) + "\n"


def _heading(result: Simulation) -> Iterator[str]:
    yield label(MARGIN, 42, "Instances over time", "title")
    yield label(MARGIN, 66, f"{counted(len(result.jobs), 'job')}; gray: demand, blue: instances of the policy", "note")


def _bands(result: Simulation) -> Iterator[str]:
    since_s, until_s = result.span_s
    demand = average_counts(demand_counts(result.jobs), since_s, until_s, _PARTS)
    lines = [average_counts(played.replay.counts, since_s, until_s, _PARTS) for played in result.played]
    most = max(max(line) for line in [demand, *lines]) or 1.0
    left, right = MARGIN, WIDTH - MARGIN
    for number, (played, line) in enumerate(zip(result.played, lines, strict=True)):
        bottom = _TOP + number * _BAND + 24 + _PLOT
        ratio, replay = result.ratio(played), played.replay
        cost = "" if ratio is None else f", {ratio:.2f} of the oracle"
        wait = f"mean wait {replay.mean_wait_s:.0f} s, p95 {replay.wait_s(0.95):.0f} s, peak {replay.peak}"
        yield label(left, bottom - _PLOT - 8, played.name)
        yield label(right, bottom - _PLOT - 8, f"{wait}{cost}", "note end")
        yield f'<polygon class="demand" points="{_points(demand, most, bottom, closed=True)}"/>'
        yield f'<polyline class="instances" points="{_points(line, most, bottom, closed=False)}"/>'
        yield f'<line class="grid" x1="{left}" x2="{right}" y1="{bottom}" y2="{bottom}"/>'
    bottom = _TOP + len(lines) * _BAND
    yield label(left, bottom + 16, "0", "note")
    yield label(right, bottom + 16, _length(until_s - since_s), "note end")


def _points(line: Sequence[float], most: float, bottom: float, *, closed: bool) -> str:
    each = (WIDTH - 2 * MARGIN) / len(line)
    points = []
    for number, value in enumerate(line):
        y = bottom - value / most * _PLOT
        points += [(MARGIN + number * each, y), (MARGIN + (number + 1) * each, y)]
    if closed:
        points = [(MARGIN, bottom), *points, (WIDTH - MARGIN, bottom)]
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def _length(seconds: float) -> str:
    return f"{seconds / _DAY_S:.1f} days" if seconds >= 2 * _DAY_S else f"{seconds / _HOUR_S:.1f} hours"
