"""The savings table of an instance that runs only while it is used."""

from decimal import Decimal

import pytest

from gpuctl.domain.money.savings import Usage, savings

NC6 = Decimal("0.90")


def test_two_hours_a_day_against_always_on() -> None:
    figures = savings(NC6, Usage(Decimal(2)))
    assert (figures.always_on, figures.on_demand, figures.saved) == (648, 54, 594)
    assert (figures.always_on_a_year, figures.on_demand_a_year, figures.saved_a_year) == (7776, 648, 7128)
    assert f"{figures.percent:.1f}" == "91.7"


def test_a_hundred_users_with_an_instance_each() -> None:
    figures = savings(NC6, Usage(Decimal(2), users=100))
    assert (figures.always_on, figures.on_demand, figures.saved) == (64_800, 5_400, 59_400)
    assert (figures.saved_a_year, f"{figures.percent:.1f}") == (712_800, "91.7")


def test_what_is_always_on_is_on_at_the_weekend_too() -> None:
    figures = savings(Decimal(1), Usage(Decimal(8), days=22))
    assert (figures.always_on, figures.on_demand) == (720, 176)


@pytest.mark.parametrize("days", [30, 31])
def test_an_instance_that_is_used_all_day_every_day_saves_nothing(days: int) -> None:
    assert savings(Decimal(1), Usage(Decimal(24), days=days)).saved == 0
