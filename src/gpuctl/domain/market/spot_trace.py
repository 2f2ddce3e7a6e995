"""A trace of spot capacity: when each zone had an instance to offer."""

import csv
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import isfinite

from gpuctl.domain.duration import as_typed
from gpuctl.errors import UsageError

COLUMNS = ("zone", "start_s", "length_s", "available")
# Three centuries: seconds that dates can be computed with.
LONGEST_S = 1e10
# Starts and lengths of fractions of a second do not add up exactly.
_ROUNDING_S = 1e-3
_WANTED = ",".join(COLUMNS)


@dataclass(frozen=True, slots=True)
class ZoneTrace:
    """The spells with capacity of one zone, in seconds, in order and apart from each other."""

    starts: tuple[float, ...]
    ends: tuple[float, ...]

    def up_until(self, at_s: float) -> float | None:
        """The end of the spell with capacity around that instant; None where there is none."""
        index = bisect_right(self.starts, at_s) - 1
        return self.ends[index] if index >= 0 and self.ends[index] > at_s else None


@dataclass(frozen=True, slots=True)
class Trace:
    """The zones of a trace, and the seconds at which it begins and ends. Outside of it no zone has capacity."""

    zones: Mapping[str, ZoneTrace]
    begin_s: float
    end_s: float


def parse_trace(lines: Iterable[str]) -> Trace:
    """The trace of a CSV file; `available` is the number of instances, and any above 0 is capacity.

    UsageError, naming the line, for anything else.
    """
    spells: dict[str, list[tuple[float, float, bool]]] = {}
    reader = csv.DictReader(lines)
    try:
        if not set(COLUMNS) <= set(reader.fieldnames or ()):
            raise UsageError(f"the trace must have the columns {_WANTED}", hint="check `--spot-trace`")
        for row in reader:
            start_s, length_s, available = (_number(row, column, reader.line_num) for column in COLUMNS[1:])
            zone = (row["zone"] or "").strip()
            if not zone or length_s < 0 or available < 0:
                raise UsageError(
                    f"line {reader.line_num} of the trace needs a zone, and no number below zero",
                    hint="check `--spot-trace`",
                )
            spells.setdefault(zone, []).append((start_s, start_s + length_s, available > 0))
    except csv.Error as error:
        raise UsageError(f"the trace is not CSV: {error}", hint="check `--spot-trace`") from error
    if not spells:
        raise UsageError("the trace has no rows", hint="check `--spot-trace`")
    return Trace(
        {zone: _zone_trace(zone, rows) for zone, rows in spells.items()},
        min(row[0] for rows in spells.values() for row in rows),
        max(row[1] for rows in spells.values() for row in rows),
    )


def _number(row: Mapping[str, str | None], column: str, line: int) -> float:
    text = row[column] or ""
    try:
        number = float(text)
    except ValueError:
        number = float("nan")
    if not isfinite(number) or abs(number) > LONGEST_S:
        raise UsageError(
            f"`{column}` in line {line} of the trace must be a number, not {as_typed(text)}",
            hint="check `--spot-trace`",
        )
    return number


def _zone_trace(zone: str, rows: Sequence[tuple[float, float, bool]]) -> ZoneTrace:
    ordered = sorted(rows)
    for (_, end, _), (start, _, _) in pairwise(ordered):
        if start < end - _ROUNDING_S:
            raise UsageError(
                f"two periods of {as_typed(zone)} in the trace overlap at {start:g} s", hint="check `--spot-trace`"
            )
    starts: list[float] = []
    ends: list[float] = []
    for start, end, is_up in ordered:
        if not is_up or end <= start:
            continue
        if ends and ends[-1] >= start - _ROUNDING_S:
            ends[-1] = end
        else:
            starts.append(start)
            ends.append(end)
    return ZoneTrace(tuple(starts), tuple(ends))
