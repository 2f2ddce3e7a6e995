"""The demand of the next hours, and numbers over time."""

from datetime import UTC, datetime, timedelta

import pytest

from gpuctl.domain.pools.demand import Job
from gpuctl.domain.pools.hours import forecast_hours
from gpuctl.domain.pools.timeline import average_counts, highest_counts

MONDAY = datetime(2026, 11, 30, 12, 10, tzinfo=UTC)


def a_job(days_ago: int, hour: int, minutes: float) -> Job:
    at = (MONDAY - timedelta(days=days_ago)).replace(hour=hour, minute=0)
    return Job(at.timestamp(), minutes * 60)


def test_without_a_past_nothing_is_expected() -> None:
    (hour,) = forecast_hours([], MONDAY, 1)
    assert (hour.starts_at, hour.average, hour.days) == (MONDAY.replace(minute=0), 0, 0)


def test_an_hour_is_expected_to_be_like_the_same_hour_of_past_working_days() -> None:
    # Friday half an hour, Thursday a whole one; the Sunday between does not count for a Monday.
    jobs = sorted([a_job(3, 14, 30), a_job(4, 14, 60), a_job(1, 14, 60), a_job(4, 0, 1)])
    hours = {hour.starts_at.hour: hour for hour in forecast_hours(jobs, MONDAY, 6)}
    assert (hours[14].average, hours[14].highest, hours[14].days) == (pytest.approx(0.75), 1, 2)
    assert hours[15].average == 0


def test_all_days_count_where_no_day_of_the_kind_is_known() -> None:
    (_, hour) = forecast_hours([a_job(1, 0, 1), a_job(1, 13, 60)], MONDAY, 2)
    assert (hour.average, hour.days) == (pytest.approx(1), 1)


def test_averages_and_highest_numbers_in_parts() -> None:
    counts = [(0.0, 2), (5.0, 0), (15.0, 4)]
    assert average_counts(counts, 0, 20, 2) == [1, 2]
    assert highest_counts(counts, 0, 20, 2) == [2, 4]
    assert average_counts(counts, 7, 7, 2) == [0, 0]
