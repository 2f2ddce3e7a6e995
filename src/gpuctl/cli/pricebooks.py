"""The books of fetched prices, and the catalog that uses them."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gpuctl.catalog import Catalog
from gpuctl.domain.instance import Market, Price, ProviderName
from gpuctl.domain.market.offers import InstanceType, Need, Offer, ranked
from gpuctl.domain.money.prices import PriceBook, age_note
from gpuctl.errors import StateUnusableError, UsageError

if TYPE_CHECKING:
    from gpuctl.cli.context import Context
    from gpuctl.home.prices import LocalPrices


def books(context: "Context") -> "LocalPrices":
    """Where they are: beside the state. UsageError where nobody has a home to keep one in."""
    from gpuctl.home.prices import LocalPrices

    return LocalPrices(context.state_path.parent / "prices")


def offer_for(context: "Context", kind: InstanceType, region: str | None, market: Market) -> tuple[Offer, str]:
    """The type's offer there, and where the place is from: as asked, as configured, or the cheapest region.

    UsageError for a region that the cloud has not. The price of the offer is None where it is not known.
    """
    known = context.catalog
    if region is not None:
        known.check_region(kind.provider, region)
        return known.offer(kind, region, market), ""
    configured = context.config.cloud(kind.provider).region
    if configured is not None and known.is_listed(kind, configured):
        offer = known.offer(kind, configured, market)
        if offer.price is not None:
            return offer, "configured"
    offers = [offer for offer in known.offers(kind.provider, market) if offer.type.name == kind.name]
    best = next(iter(ranked(offers, Need(with_retired=True))), None)
    if best is None:
        raise UsageError(f"no region has `{kind.name}`", hint="gpuctl types")
    return best, "the cheapest region"


def age_notes(context: "Context", prices: Iterable[Price | None]) -> list[str]:
    """A line about the prices that are older than 30 days; none in the sandbox, where nothing can be refreshed."""
    note = None if context.sandbox else age_note(prices, context.clock.now().date())
    return [] if note is None else [note]


def catalog(context: "Context") -> Catalog:
    """Shapes and prices, those read since included; in the sandbox only what ships."""

    def read_since(provider: ProviderName) -> PriceBook | None:
        try:
            kept = books(context)
        except UsageError:
            # Where nobody has a home nothing can have been kept.
            return None
        try:
            return kept.read(provider)
        except StateUnusableError as error:
            context.progress.warn(f"{error.message}; the bundled prices are used")
            return None

    return Catalog() if context.sandbox else Catalog(read_since)
