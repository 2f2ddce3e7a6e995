"""The dependencies that services share: a store, provider sessions, a clock and a progress."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from gpuctl.clock import Clock
from gpuctl.domain.instance import Market, Price, ProviderName
from gpuctl.domain.money.budgets import Budgets
from gpuctl.domain.money.cost import Extras
from gpuctl.remote.access import Access
from gpuctl.services.progress import Progress
from gpuctl.services.rescue import NoRescue, Rescue
from gpuctl.services.sessions import Sessions
from gpuctl.store.base import RecordStore
from gpuctl.store.cooldown import Cooldown, NoCooldown

PriceOf = Callable[[ProviderName, str, str, Market], Price | None]
EveryRegion = Callable[[], Mapping[ProviderName, Collection[str]]]
ExtrasOf = Callable[[ProviderName, str, int | None], Extras]


@dataclass(frozen=True, slots=True)
class Runtime:
    """What most services need, as one argument.

    `price_of` returns the catalog's price of an instance type in a region and a market, `extras_of` those of a disk
    of that size in GB and of a public IP there. `max_ttl` is the longest TTL allowed. `every_region` returns, for each
    supported provider, every region in which the catalog has an instance type. `access` is how instances of this state
    are reached by SSH; None where no service connects. `cooldown` has the placements without capacity, `rescue` the
    records that the state could not take.
    """

    store: RecordStore
    sessions: Sessions
    clock: Clock
    progress: Progress
    price_of: PriceOf
    max_ttl: timedelta
    every_region: EveryRegion = dict
    budgets: Budgets = field(default_factory=Budgets)
    extras_of: ExtrasOf = lambda provider, region, disk_gb: Extras()
    access: Access | None = None
    cooldown: Cooldown = field(default_factory=NoCooldown)
    rescue: Rescue = field(default_factory=NoRescue)
