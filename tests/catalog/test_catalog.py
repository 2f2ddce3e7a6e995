"""The catalog that ships is whole, and says of every figure where it came from."""

import importlib.util
import sys
from datetime import date
from decimal import Decimal
from pathlib import Path
from types import ModuleType

import pytest

from gpuctl.catalog import Catalog
from gpuctl.domain.instance import Market, ProviderName
from gpuctl.domain.market.offers import Availability, InstanceType, Offer, Requirements, ranked
from gpuctl.errors import UsageError

AWS, AZURE = ProviderName.AWS, ProviderName.AZURE
DATA = Path(__file__).parents[2] / "src" / "gpuctl" / "catalog" / "data"
REFERENCE = [
    ("Standard_NC6", "eastus", "K80", 1, 6, 56, "0.90"),
    ("Standard_NC12", "eastus", "K80", 2, 12, 112, "1.80"),
    ("Standard_NC24", "eastus", "K80", 4, 24, 224, "3.60"),
    ("Standard_NV6", "eastus", "M60", 1, 6, 56, "1.14"),
    ("Standard_NV12", "eastus", "M60", 2, 12, 112, "2.28"),
    ("p2.xlarge", "us-east-1", "K80", 1, 4, 61, "0.90"),
    ("p2.8xlarge", "us-east-1", "K80", 8, 32, 488, "7.20"),
    ("p3.2xlarge", "us-east-1", "V100", 1, 8, 61, "3.06"),
    ("g4dn.xlarge", "us-east-1", "T4", 1, 4, 16, "0.526"),
    ("g4dn.12xlarge", "us-east-1", "T4", 4, 48, 192, "3.912"),
]


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog()


@pytest.fixture(scope="module")
def everything(catalog: Catalog) -> list[Offer]:
    return [offer for provider in (AWS, AZURE) for offer in catalog.offers(provider)]


def test_it_holds_every_type_region_and_price_of_both_clouds(catalog: Catalog, everything: list[Offer]) -> None:
    assert (len(catalog.types(AWS)), len(catalog.types(AZURE))) == (83, 110)
    assert (len(catalog.regions(AWS)), len(catalog.regions(AZURE))) == (30, 52)
    priced = [offer for offer in everything if offer.price is not None]
    assert sum(offer.type.provider is AWS for offer in priced) == 825
    assert sum(offer.type.provider is AZURE for offer in priced) == 1505


@pytest.mark.parametrize(("name", "region", "gpu", "count", "vcpus", "memory", "price"), REFERENCE)
def test_the_reference_types_have_their_shapes_and_prices(
    catalog: Catalog, name: str, region: str, gpu: str, count: int, vcpus: int, memory: int, price: str
) -> None:
    kind = catalog.find(name)
    assert (kind.gpu_model, kind.gpu_count, kind.vcpus, kind.memory_gib) == (gpu, count, vcpus, memory)
    offered = catalog.offer(kind, region).price
    assert offered is not None
    assert offered.usd_per_hour == Decimal(price)


def test_every_price_is_above_zero_and_has_a_date_and_a_source(everything: list[Offer]) -> None:
    for offer in everything:
        if offer.price is not None:
            assert offer.price.usd_per_hour > 0
            assert date(2020, 1, 1) < offer.price.as_of < date(2027, 1, 1)
            assert offer.price.source


def test_spot_is_never_above_on_demand(catalog: Catalog) -> None:
    spots = [offer for offer in catalog.offers(AZURE, Market.SPOT) if offer.price]
    assert spots
    for offer in spots:
        on_demand = catalog.offer(offer.type, offer.region).price
        assert on_demand is None or (offer.price and offer.price.usd_per_hour <= on_demand.usd_per_hour)


def test_every_retired_type_has_a_successor_that_can_be_started(catalog: Catalog) -> None:
    for provider in (AWS, AZURE):
        for kind in catalog.types(provider):
            assert (kind.successor is not None) == (kind.availability is Availability.RETIRED)
            if kind.successor is not None:
                successor = catalog.find(kind.successor, provider)
                assert successor.availability is not Availability.RETIRED
                assert successor.gpu_memory_gib is not None


def test_shapes_make_sense(catalog: Catalog) -> None:
    for provider in (AWS, AZURE):
        for kind in catalog.types(provider):
            assert 0 < kind.gpu_count <= 16
            assert kind.arch in ("x86_64", "arm64")
            assert kind.vcpus is None or kind.vcpus > 0


def test_a_name_matches_in_any_case(catalog: Catalog) -> None:
    assert catalog.find("standard_nc6").name == "Standard_NC6"


@pytest.mark.parametrize(
    ("name", "near"), [("g4dn.xlrge", "g4dn.xlarge"), ("Standard_NC4as_T4", "Standard_NC4as_T4_v3")]
)
def test_an_unknown_name_is_answered_with_the_nearest(catalog: Catalog, name: str, near: str) -> None:
    with pytest.raises(UsageError) as caught:
        catalog.find(name)
    assert f"`{near}`" in (caught.value.hint or "")


def test_an_unknown_region_is_answered_with_the_nearest(catalog: Catalog) -> None:
    with pytest.raises(UsageError) as caught:
        catalog.check_region(AWS, "us-esat-1")
    assert "`us-east-1`" in (caught.value.hint or "")


def test_a_price_that_is_not_known_is_none(catalog: Catalog) -> None:
    assert catalog.offer(catalog.find("g4dn.xlarge"), "nowhere-1").price is None


def test_the_files_are_small_enough_to_read_at_every_start() -> None:
    assert all(path.stat().st_size < 80_000 for path in DATA.glob("*.json"))


# building it


@pytest.fixture(scope="module")
def builder() -> ModuleType:
    path = Path(__file__).parents[2] / "scripts" / "build_catalog.py"
    spec = importlib.util.spec_from_file_location("build_catalog", path)
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["build_catalog"] = module
    spec.loader.exec_module(module)
    return module


ROW = {
    "provider": "aws",
    "instance_type": "x.large",
    "gpu_model": "T4",
    "gpu_count": "1",
    "gpu_memory_gib_each": "16",
    "vcpus": "4",
    "memory_gib": "",
    "arch": "x86_64",
    "region": "here-1",
    "on_demand_usd_per_hour": "0.10000000000000000001",
    "spot_usd_per_hour": "",
    "price_as_of": "2026-08-20",
    "status": "current",
    "source": "a table",
}


def _quotas(name: str) -> tuple[str, str]:
    return name[0], f"{name[0]}-spot"


def test_a_price_goes_through_as_text_and_a_blank_stays_unknown(builder: ModuleType) -> None:
    text = builder.built([ROW], {}, _quotas)
    assert '["here-1","0.10000000000000000001",null,0,0]' in text
    assert '"quotas":["x","x-spot"]' in text


@pytest.mark.parametrize(
    "wrong",
    [
        {"on_demand_usd_per_hour": "0"},
        {"on_demand_usd_per_hour": "-1"},
        {"on_demand_usd_per_hour": "NaN"},
        {"on_demand_usd_per_hour": "free"},
        {"spot_usd_per_hour": "0.2"},
        {"status": "retired"},
    ],
)
def test_a_figure_that_cannot_be_true_is_refused(builder: ModuleType, wrong: dict[str, str]) -> None:
    with pytest.raises(builder.BadTable):
        builder.built([ROW | wrong], {}, _quotas)


# choosing


def offer(name: str, gpu: str, price: str | None, memory: str = "16", count: str = "1") -> Offer:
    from gpuctl.domain.instance import Price

    kind = InstanceType(AWS, name, gpu, Decimal(count), Decimal(memory), 4, Decimal(16), "x86_64", Availability.CURRENT)
    known = Price(usd_per_hour=Decimal(price), source="a test", as_of=date(2026, 1, 1)) if price else None
    return Offer(kind, "here-1", Market.ON_DEMAND, known)


def test_the_cheapest_comes_first_and_unknown_prices_last() -> None:
    offers = [offer("b", "T4", None), offer("c", "T4", "2"), offer("a", "T4", "1")]
    assert [offer.type.name for offer in ranked(offers, Requirements())] == ["a", "c", "b"]


@pytest.mark.parametrize(
    ("requested", "model", "fits"),
    [
        ("t4", "T4", True),
        ("T4", "T4G", False),
        ("A100", "A100 80GB", True),
        ("A100 80GB", "A100 40GB", False),
        ("A10", "A100 40GB", False),
        ("rtxpro6000", "RTX PRO 6000", True),
    ],
)
def test_a_gpu_is_requested_by_whole_words(requested: str, model: str, fits: bool) -> None:
    assert Requirements(gpu=requested).is_met_by(offer("a", model, "1")) is fits


def test_an_unknown_price_does_not_meet_a_highest_price() -> None:
    assert not Requirements(max_usd_per_hour=Decimal(9)).is_met_by(offer("a", "T4", None))
    assert Requirements(max_usd_per_hour=Decimal(1)).is_met_by(offer("a", "T4", "1"))


def test_a_slice_of_a_gpu_is_named_as_one() -> None:
    assert offer("a", "A10", "1", count="0.166667").type.gpu_label == "1/6 A10"
    assert offer("a", "T4", "1", count="4").type.gpu_label == "4x T4"
