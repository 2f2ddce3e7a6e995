"""What work with a deadline would have cost over a trace of spot capacity."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING

from gpuctl.cli.render.figures import cell, counted
from gpuctl.cli.render.result import Result
from gpuctl.cli.render.tables import right, table
from gpuctl.documents.offers import replay_shape
from gpuctl.domain.duration import as_typed, exact
from gpuctl.domain.market.spot_replay import SpotRun, TimedJob, replay
from gpuctl.domain.market.spot_trace import Trace, parse_trace
from gpuctl.errors import UsageError

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = ("start", "cost", "onDemandShare", "late", "interruptions", "switches")
_STARTS = 100
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Replay:
    """The options of a replay; without `starts`, there are 100 of them, evenly over the trace."""

    path: Path
    work: timedelta
    finish_by: timedelta
    is_checkpointed: bool
    starts: Sequence[float]
    spot_share: Decimal
    restart: timedelta


def replay_result(options: Replay) -> Result:
    """The replay of every start. UsageError where the trace cannot be read, or the deadline can never be met."""
    if options.work <= timedelta(0):
        raise UsageError("--work must be above zero")
    if options.finish_by < options.work:
        raise UsageError(
            f"--finish-by must be at least the duration of --work, not `{exact(options.finish_by)}`",
            hint=f"add `--finish-by {exact(2 * options.work)}`",
        )
    trace = _trace(options.path)
    for start_s in options.starts:
        if start_s >= trace.end_s:
            raise UsageError(
                f"--start {start_s:g} is not in the trace, which ends at {trace.end_s:g} s",
                hint="add an earlier `--start`",
            )
    job = TimedJob(options.work, options.finish_by, options.is_checkpointed, float(options.spot_share), options.restart)
    starts = options.starts or _even_starts(trace, options.finish_by.total_seconds())
    runs = [replay(trace, job, start_s) for start_s in starts]
    return Result(
        document={
            "spot": [replay_shape(run) for run in runs],
            "summary": {"cost": round(_mean_cost(runs), 6), "late": sum(run.is_late for run in runs)},
        },
        columns=COLUMNS,
        rows=[[cell(value) for value in replay_shape(run).values()] for run in runs],
        draw=lambda width: _table(runs),
        footer=_footer(runs, trace),
    )


def _trace(path: Path) -> Trace:
    try:
        with path.open(encoding="utf-8-sig", newline="") as lines:
            return parse_trace(lines)
    except OSError as error:
        raise UsageError(
            f"{as_typed(str(path))} cannot be read: {error.strerror}", hint="check `--spot-trace`"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{as_typed(str(path))} is not UTF-8 text", hint="check `--spot-trace`") from error


def _even_starts(trace: Trace, needed_s: float) -> list[float]:
    """Starts whose deadline is within the trace; its begin alone where none is."""
    span = trace.end_s - trace.begin_s - needed_s
    return [trace.begin_s + span * number / _STARTS for number in range(_STARTS)] if span > 0 else [trace.begin_s]


def _mean_cost(runs: Sequence[SpotRun]) -> float:
    return sum(run.cost for run in runs) / len(runs)


def _table(runs: Sequence[SpotRun]) -> "Table":
    grid = table(right("START"), right("COST"), right("ON-DEMAND"), "LATE", right("INTERRUPTIONS"), right("SWITCHES"))
    for run in runs[:_SHOWN]:
        grid.add_row(
            f"{run.start_s:g} s",
            f"{run.cost:.3f}",
            f"{run.on_demand_share:.0%}",
            "late" if run.is_late else "",
            str(run.interruptions),
            str(run.switches),
        )
    return grid


def _footer(runs: Sequence[SpotRun], trace: Trace) -> list[str]:
    more = [f"and {len(runs) - _SHOWN} more: add `-o json`"] if len(runs) > _SHOWN else []
    overdue = sum(run.is_late for run in runs)
    mean = (
        f"mean of {counted(len(runs), 'start')} over {counted(len(trace.zones), 'zone')}: {_mean_cost(runs):.3f} of "
        f"the cost on-demand, start-up included; {overdue} late"
    )
    return [*more, mean]
