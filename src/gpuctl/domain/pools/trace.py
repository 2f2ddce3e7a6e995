"""Reads a trace of jobs: CSV with the columns `arrival_s` and `duration_s`, or JSON lines with these keys."""

import csv
import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain
from math import isfinite

from gpuctl.domain.duration import as_typed
from gpuctl.domain.pools.demand import Job
from gpuctl.errors import UsageError

COLUMNS = ("arrival_s", "duration_s")
_HINT = "a trace is CSV with the columns `arrival_s,duration_s`, or JSON lines with these keys"
_LATEST_S = 100_000_000_000.0
_LONGEST_S = 1_000_000_000.0


def jobs_of_trace(lines: Iterable[str], name: str) -> list[Job]:
    """The jobs in order of arrival; further columns are ignored. UsageError, with the line, for anything unusable."""
    rest = iter(lines)
    first = next(rest, "").removeprefix("\ufeff")
    rows = _json_rows if first.lstrip().startswith("{") else _csv_rows
    jobs = [
        Job(_number(row, "arrival_s", -_LATEST_S, _LATEST_S, place), _number(row, "duration_s", 0.0, _LONGEST_S, place))
        for place, row in rows(chain([first], rest), name)
    ]
    jobs.sort()
    return jobs


def _csv_rows(lines: Iterable[str], name: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    lines = iter(lines)
    header = next(lines)
    reader = csv.reader(chain([header], lines), delimiter="\t" if "\t" in header and "," not in header else ",")
    place = f"{as_typed(name)} line 1"
    try:
        columns = [column.strip() for column in next(reader, [])]
        for column in COLUMNS:
            if column not in columns:
                raise UsageError(f"{place}: no column `{column}`", hint=_HINT)
        for row in reader:
            place = f"{as_typed(name)} line {reader.line_num}"
            if row:
                yield place, dict(zip(columns, row, strict=False))
    except csv.Error as error:
        raise UsageError(f"{place}: {error}", hint=_HINT) from error


def _json_rows(lines: Iterable[str], name: str) -> Iterator[tuple[str, Mapping[str, object]]]:
    for number, line in enumerate(lines, 1):
        place = f"{as_typed(name)} line {number}"
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise UsageError(f"{place}: not JSON", hint=_HINT) from error
        if not isinstance(row, dict):
            raise UsageError(f"{place}: not a JSON object", hint=_HINT)
        yield place, row


def _number(row: Mapping[str, object], column: str, least: float, most: float, place: str) -> float:
    value = row.get(column)
    if value is None or value == "":
        raise UsageError(f"{place}: `{column}` is missing", hint=_HINT)
    try:
        number = float(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else float("nan")
    except (ValueError, OverflowError):
        number = float("nan")
    if not isfinite(number):
        raise UsageError(f"{place}: `{column}` must be a number of seconds, not {as_typed(str(value))}", hint=_HINT)
    if not least <= number <= most:
        limit = "0 or more" if number < 0 == least else f"at most {most:.0f}"
        raise UsageError(f"{place}: `{column}` must be {limit}, not {as_typed(str(value))}", hint=_HINT)
    return number
