"""The public JSON of `gpuctl prices`."""

from typing import Any

from gpuctl.documents.values import dollars, instant
from gpuctl.domain.instance import Market
from gpuctl.domain.money.prices import RejectedPrice, is_old
from gpuctl.services.prices import PriceRefresh, PriceStatus


def price_status_shape(price_status: PriceStatus) -> dict[str, Any]:
    """The prices of one provider: how many are known, where they are from, and how old they are."""
    prices = price_status.prices
    shipped = sum(not price.is_fetched for price in prices)
    return {
        "provider": price_status.provider.upper(),
        "types": len({offer.type.name for offer in price_status.priced}),
        "regions": len({offer.region for offer in price_status.priced}),
        "onDemandPrices": price_status.counted(Market.ON_DEMAND),
        "spotPrices": price_status.counted(Market.SPOT),
        "fetchedPrices": len(prices) - shipped,
        "bundledPrices": shipped,
        "newest": price_status.newest.as_of.isoformat() if price_status.newest else None,
        "oldest": price_status.oldest.as_of.isoformat() if price_status.oldest else None,
        "olderThan30Days": sum(is_old(price, price_status.today) for price in prices),
        "fetchedAt": instant(price_status.book.read_at) if price_status.book else None,
        "sources": [{"source": source, "prices": count} for source, count in price_status.origins.items()],
        "rejected": [_rejected_shape(price) for price in (price_status.book.refused if price_status.book else ())],
        "file": price_status.file,
    }


def price_refresh_shape(refreshed: PriceRefresh, file: str) -> dict[str, Any]:
    """What a refresh of one provider changed; `file` keeps the prices."""
    return {
        "provider": refreshed.provider.upper(),
        "regions": list(refreshed.regions),
        "skippedRegions": list(refreshed.closed),
        "prices": refreshed.accepted,
        "new": refreshed.new,
        "up": refreshed.up,
        "down": refreshed.down,
        "unlisted": refreshed.unseen,
        "rejected": [_rejected_shape(price) for price in refreshed.refused],
        "file": file,
    }


def _rejected_shape(rejected: RejectedPrice) -> dict[str, Any]:
    return {
        "instanceType": rejected.key.instance_type,
        "region": rejected.key.region,
        "market": rejected.key.market.value,
        "costPerHour": dollars(rejected.usd),
        "reason": rejected.why,
    }
