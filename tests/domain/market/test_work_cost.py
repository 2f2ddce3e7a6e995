"""Dollars per unit of work: by past runs, else by the throughput of the GPU."""

from datetime import date
from decimal import Decimal

from gpuctl.catalog.throughput import kind_of, relative_throughput
from gpuctl.domain.instance import Market, Price, ProviderName
from gpuctl.domain.market.offers import Availability, InstanceType, Offer
from gpuctl.domain.market.work_cost import REFERENCE_UNIT, Basis, WorkHistory, WorkRun, work_history


def kind(name: str, gpu: str, count: int = 1) -> InstanceType:
    return InstanceType(
        provider=ProviderName.AWS,
        name=name,
        gpu_model=gpu,
        gpu_count=Decimal(count),
        gpu_memory_gib=Decimal(16),
        vcpus=4,
        memory_gib=Decimal(16),
        arch="x86_64",
        availability=Availability.CURRENT,
    )


def offer(instance_type: InstanceType, usd: str | None, market: Market = Market.ON_DEMAND) -> Offer:
    price = Price(usd_per_hour=Decimal(usd), source="list", as_of=date(2026, 11, 1)) if usd else None
    return Offer(instance_type, "us-east-1", market, price)


SLOW, FAST, DOUBLE, NEW = kind("slow", "K80"), kind("fast", "V100"), kind("double", "V100", 2), kind("new", "X9")
TYPES = {each.name: each for each in (SLOW, FAST, DOUBLE, NEW)}


def history(*runs: WorkRun) -> WorkHistory:
    return work_history(runs, TYPES.get, lambda gpu: relative_throughput(gpu, "vision"))


def runs(instance_type: str, *hours: str, amount: int = 100, unit: str = "docs") -> list[WorkRun]:
    return [WorkRun(instance_type, Decimal(amount), unit, Decimal(each)) for each in hours]


def test_three_runs_rank_an_instance_type_by_their_median() -> None:
    learned = history(*runs("slow", "1", "1", "5"), *runs("fast", "0.5", "0.4", "0.6"))
    ranked = learned.ranked([offer(FAST, "3"), offer(SLOW, "0.9")])
    assert [cost.offer.type.name for cost in ranked] == ["slow", "fast"]
    first, second = ranked
    assert first.usd is not None and round(first.usd, 9) == Decimal("0.009")
    assert first.slow_usd is not None and round(first.slow_usd, 9) == Decimal("0.045")
    assert second.speed is not None and (second.speed.basis, second.speed.runs) == (Basis.HISTORY, 3)
    assert learned.unit == "docs"


def test_two_runs_say_too_little() -> None:
    learned = history(*runs("slow", "1", "1"))
    assert (learned.unit, learned.has_history) == (REFERENCE_UNIT, False)
    speed = learned.speed_of(SLOW)
    assert speed is not None and speed.basis is Basis.TABLE


def test_the_table_counts_from_what_the_runs_show() -> None:
    learned = history(*runs("fast", "1", "1", "1"))
    slow, double = learned.speed_of(SLOW), learned.speed_of(DOUBLE)
    assert slow is not None and double is not None
    assert abs(slow.hours - 0.01 / 0.152) < 1e-9
    assert abs(double.hours - 0.005) < 1e-9


def test_the_market_decides_between_offers_of_one_type() -> None:
    learned = history(*runs("slow", "1", "1", "1"), *runs("fast", "0.2", "0.2", "0.2"))
    spot = offer(FAST, "1", Market.SPOT)
    ranked = learned.ranked([offer(SLOW, "0.9"), offer(FAST, "9"), spot])
    assert ranked[0].offer is spot


def test_what_is_unknown_comes_last_and_has_no_figure() -> None:
    ranked = history().ranked([offer(NEW, "0.1"), offer(FAST, None), offer(SLOW, "0.9")])
    assert [(cost.offer.type.name, cost.usd is None) for cost in ranked] == [
        ("slow", False),
        ("new", True),
        ("fast", True),
    ]
    # Without an instance type whose GPU the table has, the table is in another unit than the runs.
    only_new = history(*runs("new", "1", "1", "1"))
    assert only_new.speed_of(FAST) is None and only_new.speed_of(NEW) is not None


def test_the_unit_of_most_runs_counts() -> None:
    learned = history(*runs("fast", "1", unit="pages"), *runs("fast", "1", "1", "1"))
    assert (learned.unit, learned.runs) == ("docs", 3)


def test_the_kind_of_workload_comes_from_the_words_of_the_purpose() -> None:
    assert [kind_of(text) for text in ("ResNet training", "LLM fine-tuning", "AI Analysis")] == [
        "vision",
        "language",
        None,
    ]
    assert relative_throughput("V100", None) == 1.0
    assert relative_throughput("A10G", "vision") == relative_throughput("A10", "vision")
    assert relative_throughput("T4", "vision") is None
