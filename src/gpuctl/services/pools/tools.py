"""What the services of pools share: the pools of the state, a way to choose offers, and the queues."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Protocol

from gpuctl.domain.pools.choice import RecentCosts
from gpuctl.domain.pools.events import PoolEvent
from gpuctl.domain.pools.forecast import Learned
from gpuctl.domain.pools.load import QueueReading
from gpuctl.domain.pools.spec import Pool
from gpuctl.errors import GpuctlError, NotFoundError
from gpuctl.services.runtime import Runtime
from gpuctl.store.pools import PoolStore

if TYPE_CHECKING:
    from gpuctl.domain.market.request import Request
    from gpuctl.services.launch.offers import Choice


class Forecasts(Protocol):
    """Where the counters of forecasts are kept between ticks. They can be computed again from the history."""

    def read(self, pool: str) -> Learned | None:
        """The counters of that pool; None where there are none, or none that can be read."""
        ...

    def write(self, pool: str, learned: Learned) -> None:
        """Keep the counters, as far as the disk allows. Never raises."""
        ...

    def read_costs(self, pool: str) -> RecentCosts | None:
        """The last comparison of that pool's policy with the fallback; None where there is none."""
        ...

    def write_costs(self, pool: str, costs: RecentCosts) -> None:
        """Keep the comparison, as far as the disk allows. Never raises."""
        ...


class NoForecasts:
    """`Forecasts` that keeps nothing."""

    def read(self, pool: str) -> Learned | None:
        return None

    def write(self, pool: str, learned: Learned) -> None:
        return None

    def read_costs(self, pool: str) -> RecentCosts | None:
        return None

    def write_costs(self, pool: str, costs: RecentCosts) -> None:
        return None


@dataclass(frozen=True, slots=True)
class PoolTools:
    """What the services of pools work with.

    `choose` finds the offers of a request without calling a cloud. `read_queue` reads the queue of a pool, and raises
    a GpuctlError where it cannot. `new_id` makes the random part of the IDs of leases.
    """

    runtime: Runtime
    pools: PoolStore
    choose: "Callable[[Request], Choice]"
    read_queue: Callable[[Pool], QueueReading]
    new_id: Callable[[], str]
    forecasts: Forecasts

    def append(self, pool: str, entries: Sequence[PoolEvent]) -> None:
        """Add to the history of a pool. A failure is a warning: the history only serves forecasts."""
        try:
            if entries:
                self.pools.append(pool, entries)
        except GpuctlError as error:
            self.runtime.progress.warn(f"the history of pool `{pool}` could not be written: {error.message}")

    def forget_old(self, age: timedelta) -> None:
        """Remove what is older from the histories of all pools, as far as the store can."""
        with suppress(GpuctlError):
            self.pools.forget(self.now() - age)

    def now(self) -> datetime:
        """The present instant."""
        return self.runtime.clock.now()


def pool_named(pools: PoolStore, name: str) -> Pool:
    """The pool of that name. NotFoundError if there is none."""
    every: Mapping[str, Pool] = pools.read()
    if name not in every:
        near = f"; there are {', '.join(f'`{other}`' for other in sorted(every)[:5])}" if every else ""
        raise NotFoundError(f"no pool is named `{name}`{near}", hint="gpuctl pool list")
    return every[name]
