"""The result of a simulation as a table with a chart, and as JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gpuctl.cli.commands.pool.scores import seconds
from gpuctl.cli.render.figures import counted, money
from gpuctl.cli.render.tables import right, table
from gpuctl.domain.duration import approximate
from gpuctl.domain.pools.demand import Job
from gpuctl.domain.pools.policy import Policy
from gpuctl.domain.pools.replay import Replay, Setup
from gpuctl.domain.pools.timeline import average_counts, demand_counts

if TYPE_CHECKING:
    from rich.console import RenderableType
    from rich.table import Table

COLUMNS = ("policy", "machineSeconds", "costRatio", "waitMean", "waitP50", "waitP95", "peakMachines")
_BLOCKS = " ▁▂▃▄▅▆▇█"
_WIDEST_CHART = 100
_HOUR_S = 3_600


@dataclass(frozen=True, slots=True)
class Played:
    """One policy: as requested, the one that was replayed (`tuned` stands for another), and the result."""

    requested: Policy
    policy: Policy
    replay: Replay

    @property
    def name(self) -> str:
        """The policy as requested."""
        return str(self.requested)


@dataclass(frozen=True, slots=True)
class Simulation:
    """What is shown. `jobs` are those that count, `price` is that of an instance, in dollars an hour."""

    jobs: Sequence[Job]
    setup: Setup
    price: Decimal
    oracle_s: float
    played: Sequence[Played]

    def ratio(self, played: Played) -> float | None:
        """The instance seconds relative to the oracle; None where nothing counts."""
        return played.replay.instance_s / self.oracle_s if self.oracle_s else None

    @property
    def span_s(self) -> tuple[float, float]:
        """The first and the last instant that counts."""
        return self.played[0].replay.since_s, max(played.replay.until_s for played in self.played)

    def cost(self, seconds: float) -> Decimal:
        """What so many instance seconds cost."""
        return Decimal(seconds) / _HOUR_S * self.price

    def with_waits(self, played: Played) -> Decimal:
        """What instances and waits cost together."""
        return self.cost(played.replay.total_cost_s(self.setup.waiting_value))


def shape(result: Simulation) -> dict[str, Any]:
    """The document. The words are those of scripts that exist: a machine is an instance."""
    return {
        "jobs": len(result.jobs),
        "oracle": {"machineSeconds": round(result.oracle_s, 3)},
        "policies": [_policy_shape(result, played) for played in result.played],
    }


def row(result: Simulation, played: Played) -> list[str]:
    """The same for csv and tsv."""
    ratio, replay = result.ratio(played), played.replay
    waits = (replay.mean_wait_s, replay.wait_s(0.5), replay.wait_s(0.95))
    figures = ["" if ratio is None else f"{ratio:.4f}", *(f"{wait:.3f}" for wait in waits), str(replay.peak)]
    return [played.name, f"{replay.instance_s:.3f}", *figures]


def report_renderable(result: Simulation, width: int) -> "RenderableType":
    """The figures of each policy, and below them the number of instances over time."""
    from rich.console import Group

    return Group(_figures(result), "", _chart(result, width)) if result.jobs else _figures(result)


def footer(result: Simulation) -> list[str]:
    """What the figures mean."""
    if not result.jobs:
        return ["no jobs to count"]
    setup, cheapest = result.setup, min(result.played, key=result.with_waits)
    return [
        f"{counted(len(result.jobs), 'job')}, {result.oracle_s / _HOUR_S:,.1f} instance hours for an oracle that never "
        f"lets a job wait; an hour of waiting costs as much as {_instances(setup.waiting_value)}",
        *(f"{played.name}: {played.policy}" for played in result.played if played.policy != played.requested),
        f"cheapest with waits: {cheapest.name}",
    ]


def _policy_shape(result: Simulation, played: Played) -> dict[str, Any]:
    ratio, replay = result.ratio(played), played.replay
    return {
        "policy": played.name,
        "machineSeconds": round(replay.instance_s, 3),
        "costRatio": None if ratio is None else round(ratio, 6),
        "waitSeconds": {
            "mean": round(replay.mean_wait_s, 3),
            "p50": round(replay.wait_s(0.5), 3),
            "p95": round(replay.wait_s(0.95), 3),
        },
        "peakMachines": replay.peak,
    }


def _figures(result: Simulation) -> "Table":
    waits = right("MEAN WAIT"), right("P50"), right("P95")
    grid = table(
        "POLICY", right("HOURS"), right("COST"), right("/ ORACLE"), *waits, right("PEAK"), right("COST WITH WAITS")
    )
    for played in result.played:
        ratio, replay = result.ratio(played), played.replay
        grid.add_row(
            played.name,
            f"{replay.instance_s / _HOUR_S:,.1f}",
            money(result.cost(replay.instance_s)),
            "" if ratio is None else f"{ratio:.2f}",
            *(seconds(wait) for wait in (replay.mean_wait_s, replay.wait_s(0.5), replay.wait_s(0.95))),
            str(replay.peak),
            money(result.with_waits(played)),
        )
    return grid


def _chart(result: Simulation, width: int) -> "Table":
    """A line of blocks for the demand and for each policy: average numbers of instances over time, on one scale."""
    names = ["demand", *(played.name for played in result.played)]
    columns = max(10, min(_WIDEST_CHART, width - max(map(len, names)) - 2))
    since_s, until_s = result.span_s
    lines = [demand_counts(result.jobs), *(played.replay.counts for played in result.played)]
    averages = [average_counts(counts, since_s, until_s, columns) for counts in lines]
    most = max(max(line) for line in averages) or 1.0
    grid = table("", f"INSTANCES OVER {approximate(timedelta(seconds=until_s - since_s))}, UP TO {most:.1f}")
    for name, line in zip(names, averages, strict=True):
        grid.add_row(name, "".join(_BLOCKS[min(8, -int(-value * 8 // most))] for value in line))
    return grid


def _instances(value: float) -> str:
    """`1 instance`, `57 instances`."""
    return f"{value:.4g} instance{'' if value == 1 else 's'}"
