"""Disks and addresses have list prices with a source and a date, and say where another region's stands in."""

from decimal import Decimal

import pytest

from gpuctl.catalog import Catalog
from gpuctl.catalog.extras import ExtraPrices
from gpuctl.domain.instance import Price, ProviderName

AWS, AZURE, GCP = ProviderName.AWS, ProviderName.AZURE, ProviderName.GCP
MONTH = 730


@pytest.fixture(scope="module")
def prices() -> ExtraPrices:
    return ExtraPrices()


def disk(prices: ExtraPrices, provider: ProviderName, region: str, gb: int) -> Price:
    price = prices.of(provider, region, gb).disk
    assert price is not None
    return price


def test_a_hundred_gigabytes_of_gp3_cost_eight_dollars_a_month(prices: ExtraPrices) -> None:
    price = disk(prices, AWS, "us-east-1", 100)
    assert round(price.usd_per_hour * MONTH, 4) == 8
    assert "gp3 at $0.08 a GB-month of 730 h in us-east-1" in price.source


@pytest.mark.parametrize(("gb", "monthly"), [(100, "9.60"), (128, "9.60"), (129, "19.20"), (1024, "76.80")])
def test_azure_bills_the_next_larger_size_of_a_disk(prices: ExtraPrices, gb: int, monthly: str) -> None:
    assert round(disk(prices, AZURE, "eastus", gb).usd_per_hour * MONTH, 4) == Decimal(monthly)


@pytest.mark.parametrize(
    ("provider", "region", "dearest"),
    [(AWS, "il-central-1", 15.2), (AZURE, "westus2", 17.92), (GCP, "asia-southeast3", 16)],
)
def test_an_unknown_region_is_counted_at_the_most_expensive_known_one_and_says_so(
    prices: ExtraPrices, provider: ProviderName, region: str, dearest: float
) -> None:
    price = disk(prices, provider, region, 100)
    assert float(round(price.usd_per_hour * MONTH, 4)) == dearest
    assert f"in place of `{region}` whose rate is not known" in price.source


def test_no_region_is_more_expensive_than_the_assumed_region(prices: ExtraPrices) -> None:
    for provider, stand_in in ((AWS, "sa-east-1"), (AZURE, "brazilsouth"), (GCP, "me-central2")):
        highest = disk(prices, provider, stand_in, 128).usd_per_hour
        for region in Catalog().regions(provider):
            assert disk(prices, provider, region, 128).usd_per_hour <= highest


@pytest.mark.parametrize(
    ("region", "monthly"),
    [("us-central1", "10.00"), ("asia-northeast1", "13.00"), ("northamerica-northeast1", "11.00")],
)
def test_a_disk_on_google_cloud_costs_the_rate_of_its_own_region(
    prices: ExtraPrices, region: str, monthly: str
) -> None:
    price = disk(prices, GCP, region, 100)
    assert round(price.usd_per_hour * MONTH, 4) == Decimal(monthly)
    assert price.source.endswith(f"in {region}")


def test_an_address_costs_half_a_cent_an_hour_in_every_cloud(prices: ExtraPrices) -> None:
    for provider, region in ((AWS, "us-east-1"), (AZURE, "eastus"), (GCP, "us-central1")):
        address = prices.of(provider, region, 100).public_ip
        assert address is not None and address.usd_per_hour == Decimal("0.005") and address.source and address.as_of


def test_what_is_not_known_is_unknown(prices: ExtraPrices) -> None:
    assert prices.of(AWS, "us-east-1", None).disk is None
