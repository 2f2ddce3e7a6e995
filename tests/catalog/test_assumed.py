"""The spot prices of the sandbox."""

from decimal import Decimal

from gpuctl.catalog import Catalog
from gpuctl.catalog.assumed import SOURCE, assumed_spot_prices
from gpuctl.domain.instance import Market, ProviderName


def test_the_sandbox_assumes_a_spot_price_only_where_the_bundled_list_has_none() -> None:
    bundled, assumed = Catalog(), Catalog(assumed_spot_prices)
    kind = bundled.find("g4dn.xlarge")
    assert bundled.offer(kind, "us-east-1", Market.SPOT).price is None
    on_demand, spot = (assumed.offer(kind, "us-east-1", market).price for market in Market)
    assert on_demand is not None and spot is not None
    assert (spot.usd_per_hour, spot.source) == (on_demand.usd_per_hour * Decimal("0.30"), SOURCE)
    known = [offer for offer in bundled.offers(ProviderName.AZURE, Market.SPOT) if offer.price]
    assert known
    assert all(assumed.offer(offer.type, offer.region, Market.SPOT).price == offer.price for offer in known)
