"""The cooldown: placements without capacity, which no process of the same state tries again for three minutes."""

from datetime import datetime, timedelta
from typing import Protocol

COOLDOWN = timedelta(minutes=3)


class Cooldown(Protocol):
    """The placements that had no capacity in the last three minutes. Losing one costs one request. Never raises."""

    def active(self, now: datetime) -> dict[str, datetime]:
        """Each placement in cooldown, with the instant at which it had no capacity."""
        ...

    def start(self, placement: str, at: datetime) -> None:
        """Begin the cooldown of a placement for every process of this state, if the store can save it."""
        ...


class NoCooldown:
    """A `Cooldown` that saves nothing."""

    def active(self, now: datetime) -> dict[str, datetime]:
        return {}

    def start(self, placement: str, at: datetime) -> None:
        return None
