"""Which size and which life fit a task."""

from datetime import date, timedelta
from decimal import Decimal

import pytest

from gpuctl.catalog import Catalog
from gpuctl.domain.instance import Market, Price, ProviderName
from gpuctl.domain.market.offers import Availability, GpuImage, InstanceType, Offer
from gpuctl.domain.market.sizing import Size, advice, cheapest

TWO_HOURS = timedelta(minutes=120)


def minutes(number: float) -> timedelta:
    return timedelta(minutes=number)


@pytest.mark.parametrize(
    ("docs", "size"),
    [(1, "light"), (9, "light"), (10, "medium"), (50, "medium"), (51, "heavy"), (100_000, "heavy")],
)
def test_documents_decide_the_size(docs: int, size: str) -> None:
    assert advice(docs, None, TWO_HOURS).size == size


@pytest.mark.parametrize(
    ("task", "ttl"), [(1, 30), (14.9, 30), (15, 60), (45, 60), (45.1, 120), (90, 120), (91, 120), (500, 120)]
)
def test_minutes_decide_the_ttl(task: float, ttl: int) -> None:
    assert advice(5, minutes(task), TWO_HOURS).ttl == minutes(ttl)


def test_what_is_unknown_follows_from_what_is_known() -> None:
    by_docs, by_time = advice(60, None, TWO_HOURS), advice(None, minutes(20), TWO_HOURS)
    assert (by_docs.size, by_docs.ttl) == (Size.HEAVY, minutes(120))
    assert (by_time.size, by_time.ttl) == (Size.MEDIUM, minutes(60))
    both = advice(5, minutes(80), TWO_HOURS)
    assert (both.size, both.ttl) == (Size.LIGHT, minutes(120))
    with pytest.raises(ValueError, match="neither"):
        advice(None, None, TWO_HOURS)


def test_a_longer_task_needs_a_third_more_and_gets_what_is_allowed() -> None:
    long = advice(None, minutes(180), minutes(600))
    assert (long.ttl, long.needed) == (minutes(240), minutes(240))
    cut = advice(None, minutes(100), TWO_HOURS)
    assert (cut.ttl, cut.needed) == (TWO_HOURS, minutes(135))
    assert advice(60, None, minutes(45)).ttl == minutes(45)


IMAGE = GpuImage("image", "NVIDIA 595", "x86_64", None, secure_boot=False)


def an_offer(name: str, usd: str | None, **facts: object) -> Offer:
    shape = {"gpu_model": "T4", "gpu_count": Decimal(1), "gpu_memory_gib": Decimal(16), "memory_gib": Decimal(32)}
    rest = {"vcpus": 8, "arch": "x86_64", "availability": Availability.CURRENT, "image": IMAGE}
    kind = InstanceType(provider=ProviderName.AWS, name=name, **(shape | rest | facts))  # type: ignore[arg-type]
    price = Price(usd_per_hour=Decimal(usd), source="a test", as_of=date(2026, 1, 1)) if usd else None
    return Offer(kind, "here-1", Market.ON_DEMAND, price)


@pytest.mark.parametrize(
    "unfit",
    [
        {"availability": Availability.RETIRED},
        {"arch": "arm64"},
        {"gpu_count": Decimal("0.5")},
        {"gpu_model": "Radeon Pro V710"},
        {"gpu_model": "MI300X"},
        {"image": None},
        {"gpu_memory_gib": Decimal(12)},
        {"gpu_memory_gib": None},
        {"memory_gib": Decimal(16)},
        {"memory_gib": None},
    ],
    ids=str,
)
def test_what_is_cheaper_and_does_not_fit_is_passed_over(unfit: dict[str, object]) -> None:
    choice = cheapest(
        [an_offer("cheap", "0.1", **unfit), an_offer("fits", "1"), an_offer("unknown", None)], Size.MEDIUM
    )
    assert choice is not None and choice.type.name == "fits"


def test_of_two_at_one_price_the_one_that_once_was_the_answer() -> None:
    choice = cheapest([an_offer("a", "1"), an_offer("g4dn.xlarge", "1")], Size.LIGHT)
    assert choice is not None and choice.type.name == "g4dn.xlarge"
    assert cheapest([], Size.LIGHT) is None


@pytest.mark.parametrize(
    ("cloud", "names"),
    [
        (ProviderName.AWS, ["g4dn.xlarge", "g4dn.2xlarge", "g6.xlarge"]),
        (ProviderName.AZURE, ["Standard_NC4as_T4_v3", "Standard_NC4as_T4_v3", "Standard_NC24ads_A100_v4"]),
    ],
)
def test_what_ships_has_an_answer_for_every_size(cloud: ProviderName, names: list[str]) -> None:
    catalog = Catalog()
    choice = [cheapest(catalog.offers(cloud), size) for size in Size]
    assert [offer.type.name for offer in choice if offer] == names
