"""Google's price list: parts of instance types, their sums, and bad days."""

import json
from collections.abc import Iterator
from decimal import Decimal
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from support.clock import FakeClock
from support.serving import Request, Server, send

from gpuctl.catalog import Catalog
from gpuctl.domain.instance import Market, ProviderName
from gpuctl.domain.money.prices import PriceKey
from gpuctl.errors import CredentialsError, UnreachableError
from gpuctl.providers.base import Connection
from gpuctl.providers.gcp.prices import GcpPriceList, open_list, parts_of
from gpuctl.providers.retry import Retry

REGION = "us-central1"


def sku(
    description: str,
    usd: str,
    usage: str = "OnDemand",
    unit: str = "h",
    currency: str = "USD",
    family: str = "Compute",
) -> dict[str, Any]:
    """One SKU as the Cloud Billing Catalog lists it."""
    whole, _, fraction = usd.partition(".")
    price = {"currencyCode": currency, "units": whole, "nanos": int((fraction + "0" * 9)[:9])}
    expression = {"usageUnit": unit, "tieredRates": [{"startUsageAmount": 0, "unitPrice": price}]}
    return {
        "description": description,
        "category": {"resourceFamily": family, "usageType": usage},
        "serviceRegions": [REGION, "us-east1"],
        "pricingInfo": [{"pricingExpression": expression}],
    }


G2 = [
    sku("G2 Instance Core running in Americas", "0.024988"),
    sku("G2 Instance Ram running in Americas", "0.002927", unit="GiBy.h"),
    sku("Nvidia L4 GPU running in Americas", "0.560040"),
    sku("Spot Preemptible G2 Instance Core running in Americas", "0.01", "Preemptible"),
    sku("Spot Preemptible G2 Instance Ram running in Americas", "0.001", "Preemptible", "GiBy.h"),
    sku("Nvidia L4 GPU attached to Spot Preemptible VMs running in Americas", "0.2", "Preemptible"),
]
# What Google published for us-central1 in 2026.
ULTRA = [
    sku("A2 Instance Core running in Americas", "0.031611"),
    sku("A2 Instance Ram running in Americas", "0.004237", unit="GiBy.h"),
    sku("Nvidia Tesla A100 GPU running in Americas", "2.933908"),
    sku("Nvidia Tesla A100 80GB GPU running in Americas", "3.92808"),
    sku("SSD backed Local Storage", "0.08", unit="GiBy.mo", family="Storage"),
    sku("SSD backed Local Storage attached to Spot Preemptible VMs", "9", unit="GiBy.mo", family="Storage"),
    sku("SSD backed Local Storage attached to DWS VMs", "9", unit="GiBy.mo", family="Storage"),
    sku("Commitment v1: Local SSD in Americas for 1 Year", "9", "Commit1Yr", "GiBy.mo", family="Storage"),
]
OTHERS = [
    sku("Commitment v1: G2 Cpu in Americas for 1 Year", "9", "Commit1Yr"),
    sku("G2 Sole Tenancy Instance Core running in Americas", "9"),
    sku("DWS Defined Duration G2 Instance Core running in Americas", "9"),
    sku("G2 Instance Core running in Americas", "9000", currency="IDR"),
    sku("G2 Instance Core running in Americas", "9", unit="mo"),
    {"description": "G2 Instance Core running in Americas"},
]


class Billing(Server):
    """The Cloud Billing Catalog on loopback, two SKUs a page. `instead` answers the next calls."""

    def __init__(self, skus: list[dict[str, Any]]) -> None:
        self.skus = skus
        self.instead: list[tuple[int, Any]] = []
        self.keys: list[str | None] = []
        super().__init__(self._page)

    def _page(self, request: Request) -> None:
        self.keys.append(request.headers.get("X-Goog-Api-Key"))
        start = int(parse_qs(urlsplit(request.path).query).get("pageToken", ["0"])[0])
        page: dict[str, Any] = {"skus": self.skus[start : start + 2]}
        if start + 2 < len(self.skus):
            page["nextPageToken"] = str(start + 2)
        status, body = self.instead.pop(0) if self.instead else (200, page)
        send(request, status, json.dumps(body).encode())


@pytest.fixture
def billing() -> Iterator[Billing]:
    served = Billing([*G2, *OTHERS])
    yield served
    served.stop()


@pytest.fixture
def prices(billing: Billing) -> GcpPriceList:
    environ = {"GPUCTL_GCP_PRICES_ENDPOINT": billing.url, "GPUCTL_GCP_API_KEY": "a-key"}
    return open_list(Connection(environ=environ), Retry(FakeClock()))


def test_a_price_is_the_sum_of_the_parts_on_demand_and_as_spot(prices: GcpPriceList, billing: Billing) -> None:
    read = prices.read(REGION, ["g2-standard-4", "g2-standard-24", "a3-megagpu-8g"]).prices
    core, ram, gpu = Decimal("0.024988"), Decimal("0.002927"), Decimal("0.56004")
    assert read == {
        PriceKey("g2-standard-4", REGION, Market.ON_DEMAND): 4 * core + 16 * ram + gpu,
        PriceKey("g2-standard-4", REGION, Market.SPOT): Decimal("0.256"),
        PriceKey("g2-standard-24", REGION, Market.ON_DEMAND): 24 * core + 96 * ram + 2 * gpu,
        PriceKey("g2-standard-24", REGION, Market.SPOT): Decimal("0.736"),
    }
    pages = len(billing.keys)
    assert prices.read("us-east1", ["g2-standard-4"]).prices and len(billing.keys) == pages
    assert set(billing.keys) == {"a-key"}


def test_a_type_of_which_a_part_is_missing_has_no_price(prices: GcpPriceList, billing: Billing) -> None:
    billing.skus = [item for item in G2 if "L4" not in item["description"]]
    assert prices.read(REGION, ["g2-standard-4"]).prices == {}


def test_local_ssds_that_come_with_a_type_are_part_of_its_price(prices: GcpPriceList, billing: Billing) -> None:
    billing.skus = ULTRA
    read = prices.read(REGION, ["a2-ultragpu-1g", "a2-highgpu-1g"]).prices
    prices_now = {key.instance_type: round(usd, 6) for key, usd in read.items()}
    assert prices_now == {"a2-ultragpu-1g": Decimal("5.068798"), "a2-highgpu-1g": Decimal("3.673385")}


def test_a_share_of_a_gpu_costs_its_share(prices: GcpPriceList, billing: Billing) -> None:
    billing.skus = [
        sku("G4 Instance Core running in Iowa", "0.05"),
        sku("G4 Instance Ram running in Iowa", "0.005", unit="GiBy.h"),
        sku("RTX 6000 96GB running in Iowa", "0.8"),
    ]
    (usd,) = prices.read(REGION, ["g4-standard-6"]).prices.values()
    assert usd == Decimal("0.3") + Decimal("0.11") + Decimal("0.1")


def test_the_parts_agree_with_the_catalog() -> None:
    kinds = {kind.name: kind for kind in Catalog().types(ProviderName.GCP)}
    composed = {name: parts for name in kinds if (parts := parts_of(name)) is not None}
    assert {name.partition("-")[0] for name in composed} == {"n1", "g2", "g4", "a2", "a3"}
    for name, parts in composed.items():
        kind = kinds[name]
        assert (parts.vcpus, parts.gib, parts.gpus) == (kind.vcpus, kind.memory_gib, kind.gpu_count), name


def test_a_page_that_cannot_be_had_is_tried_again_and_then_reported(prices: GcpPriceList, billing: Billing) -> None:
    billing.instead = [(503, {}), (200, {"odd": 1})]
    assert prices.read(REGION, ["g2-standard-4"]).prices
    fresh = GcpPriceList(billing.url, Retry(FakeClock()), "a-key", {})
    billing.instead = [(200, {"skus": G2[:1], "nextPageToken": "2"}), *[(503, {})] * 9]
    with pytest.raises(UnreachableError):
        fresh.read(REGION, ["g2-standard-4"])


def test_a_refusal_says_what_to_switch_on(prices: GcpPriceList, billing: Billing) -> None:
    error = {"code": 403, "message": "Cloud Billing API has not been used", "errors": [{"reason": "forbidden"}]}
    billing.instead = [(403, {"error": error})]
    with pytest.raises(CredentialsError) as caught:
        prices.read(REGION, ["g2-standard-4"])
    assert "cloudbilling.googleapis.com" in (caught.value.hint or "")
