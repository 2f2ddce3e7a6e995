"""The demand of the next hours, as it was in the same hours of past days."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from gpuctl.domain.pools.demand import Job
from gpuctl.domain.pools.timeline import average_counts, demand_counts, highest_counts

_HOUR_S = 3_600.0
_SATURDAY = 5


@dataclass(frozen=True, slots=True)
class HourForecast:
    """One hour: the average demand, and the highest, over past days. `days` is how many there were."""

    starts_at: datetime
    average: float
    highest: int
    days: int


def forecast_hours(jobs: Sequence[Job], now: datetime, count: int) -> list[HourForecast]:
    """The next hours, the present one first.

    Each is compared with the same hour of past days of its kind, working days or weekends; of all days, where there is
    no such day yet. `days` is 0 where there is no past day at all.
    """
    begin = now.replace(minute=0, second=0, microsecond=0)
    if not jobs:
        return [HourForecast(begin + timedelta(hours=number), 0.0, 0, 0) for number in range(count)]
    counts = demand_counts(jobs)
    past = int((begin.timestamp() - jobs[0].arrival_s) // _HOUR_S)
    since_s = begin.timestamp() - past * _HOUR_S
    averages = average_counts(counts, since_s, begin.timestamp(), past) if past > 0 else []
    highest = highest_counts(counts, since_s, begin.timestamp(), past) if past > 0 else []
    return [_hour(begin, timedelta(hours=number), averages, highest) for number in range(count)]


def _hour(begin: datetime, ahead: timedelta, averages: Sequence[float], highest: Sequence[int]) -> HourForecast:
    starts_at = begin + ahead
    places = [
        (place, (begin - timedelta(hours=len(averages) - place)))
        for place in range(len(averages))
        if (place - len(averages) - int(ahead.total_seconds() // _HOUR_S)) % 24 == 0
    ]
    same_kind = [place for place, at in places if _is_weekend(at) == _is_weekend(starts_at)]
    chosen = same_kind or [place for place, _ in places]
    if not chosen:
        return HourForecast(starts_at, 0.0, 0, 0)
    average = sum(averages[place] for place in chosen) / len(chosen)
    return HourForecast(starts_at, average, max(highest[place] for place in chosen), len(chosen))


def _is_weekend(at: datetime) -> bool:
    return at.weekday() >= _SATURDAY
