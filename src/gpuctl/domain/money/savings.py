"""What an instance costs that runs only while it is used, against one that is always on."""

from dataclasses import dataclass
from decimal import Decimal

HOURS_A_DAY = 24
DAYS_A_MONTH = 30
MONTHS_A_YEAR = 12
_HUNDRED = Decimal(100)


@dataclass(frozen=True, slots=True)
class Usage:
    """How much an instance is used: hours on each of so many days a month, by so many users with one instance each."""

    hours_per_day: Decimal
    days: int = DAYS_A_MONTH
    users: int = 1

    @property
    def hours(self) -> Decimal:
        """Instance hours a month, all users together."""
        return self.hours_per_day * self.days * self.users

    @property
    def always_on_hours(self) -> Decimal:
        """Instance hours a month if each user's instance were never ended: 30 days, or more if it is used on more."""
        return Decimal(HOURS_A_DAY * max(self.days, DAYS_A_MONTH) * self.users)


@dataclass(frozen=True, slots=True)
class Savings:
    """Dollars a month for all users together, and what follows from them for a year of twelve such months."""

    always_on: Decimal
    on_demand: Decimal

    @property
    def saved(self) -> Decimal:
        """Dollars saved a month."""
        return self.always_on - self.on_demand

    @property
    def percent(self) -> Decimal:
        """The part of the always-on cost that is saved."""
        return self.saved * _HUNDRED / self.always_on

    @property
    def always_on_a_year(self) -> Decimal:
        """Dollars a year, always on."""
        return self.always_on * MONTHS_A_YEAR

    @property
    def on_demand_a_year(self) -> Decimal:
        """Dollars a year, only while it is used."""
        return self.on_demand * MONTHS_A_YEAR

    @property
    def saved_a_year(self) -> Decimal:
        """Dollars saved a year."""
        return self.saved * MONTHS_A_YEAR


def savings(usd_per_hour: Decimal, usage: Usage) -> Savings:
    """What that usage costs at that price, against the same instances always on."""
    return Savings(always_on=usd_per_hour * usage.always_on_hours, on_demand=usd_per_hour * usage.hours)
