"""What every service is built of, handed in from above."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from datetime import timedelta

from gpuctl.clock import Clock
from gpuctl.domain.instance import Market, Price, ProviderName
from gpuctl.domain.money.budgets import Budgets
from gpuctl.domain.money.cost import Extras
from gpuctl.remote.access import Access
from gpuctl.services.progress import Talk
from gpuctl.services.sessions import Sessions
from gpuctl.store.base import Forgetful, Refusals, Store

PriceOf = Callable[[ProviderName, str, str, Market], Price | None]
ExtrasOf = Callable[[ProviderName, str, int | None], Extras]


@dataclass(frozen=True, slots=True)
class Parts:
    """A store, logins, a clock and somebody to talk to.

    `price_of` gives the catalog's price of a type in a region, `extras_of` those of a disk of that size and an address
    there, `max_ttl` the longest life a machine may be given.
    `every_region` gives, for each cloud there is, every region in which the catalog knows a type. `access` is how this
    state's machines are got onto; None where that is nobody's business. `refusals` is where there was no room lately.
    """

    store: Store
    sessions: Sessions
    clock: Clock
    talk: Talk
    price_of: PriceOf
    max_ttl: timedelta
    every_region: Callable[[], Mapping[ProviderName, Collection[str]]] = dict
    budgets: Budgets = field(default_factory=Budgets)
    extras_of: ExtrasOf = lambda provider, region, disk_gb: Extras()
    access: Access | None = None
    refusals: Refusals = field(default_factory=Forgetful)
