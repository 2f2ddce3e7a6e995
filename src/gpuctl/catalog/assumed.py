"""Spot prices of the sandbox where the bundled list has none, so that the choice of the market can be tried there."""

from datetime import UTC, datetime, time
from decimal import Decimal

from gpuctl.catalog.catalog import Catalog
from gpuctl.domain.instance import Market, Price, ProviderName
from gpuctl.domain.money.prices import PriceBook, PriceKey

SHARE = Decimal("0.30")
SOURCE = f"the sandbox, {SHARE} of on-demand"


def assumed_spot_prices(provider: ProviderName) -> PriceBook | None:
    """A spot price for every offer of the bundled list that has an on-demand price only; None if there is no list."""
    bundled = Catalog()
    prices: dict[PriceKey, Price] = {}
    for offer in bundled.offers(provider):
        if offer.price is None or bundled.offer(offer.type, offer.region, Market.SPOT).price is not None:
            continue
        usd = (offer.price.usd_per_hour * SHARE).normalize()
        key = PriceKey(offer.type.name, offer.region, Market.SPOT)
        prices[key] = Price(usd_per_hour=usd, source=SOURCE, as_of=offer.price.as_of)
    if not prices:
        return None
    latest = max(price.as_of for price in prices.values())
    return PriceBook(provider, datetime.combine(latest, time(), UTC), prices)
