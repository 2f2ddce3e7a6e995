from collections.abc import Sequence
from dataclasses import replace
from datetime import date
from decimal import Decimal

import pytest
from support.instances import NOON, an_instance

from gpuctl.domain.instance import Attempt, Market, Outcome, Price, ProviderName, Status
from gpuctl.domain.lifecycle import IllegalTransition, attempted
from gpuctl.domain.market.candidates import Placement, exceeds_with, placements, rules_out
from gpuctl.domain.market.offers import Availability, InstanceType, Mismatch, Offer, Requirements, ranked
from gpuctl.errors import Extent
from gpuctl.providers.registry import facts_of


def a_type(name: str, vcpus: int = 4) -> InstanceType:
    return InstanceType(
        provider=ProviderName.AWS,
        name=name,
        gpu_model="T4",
        gpu_count=Decimal(1),
        gpu_memory_gib=Decimal(16),
        vcpus=vcpus,
        memory_gib=Decimal(16),
        arch="x86_64",
        availability=Availability.CURRENT,
        quotas=facts_of(ProviderName.AWS).quota_families(name),
    )


def an_offer(name: str, region: str, usd: str | None = "1", market: Market = Market.ON_DEMAND, vcpus: int = 4) -> Offer:
    price = Price(usd_per_hour=Decimal(usd), source="a test", as_of=date(2026, 8, 20)) if usd else None
    return Offer(a_type(name, vcpus), region, market, price)


def an_attempt_after(outcome: Outcome, status: Status = Status.PROVISIONING) -> Attempt:
    first = an_instance()
    tried = first.attempts[0].model_copy(update={"outcome": outcome})
    record = first.with_fields(attempts=(tried,), status=status)
    following = tried.model_copy(
        update={"number": 2, "token": f"{first.id}-2", "region": "us-west-2", "outcome": Outcome.PENDING}
    )
    return attempted(record, following, NOON).attempts[-1]


def test_all_regions_of_a_type_come_before_its_zones_and_those_before_the_next_type() -> None:
    offers = [an_offer("g4dn.xlarge", "r1"), an_offer("g4dn.xlarge", "r2"), an_offer("g5.xlarge", "r1")]
    ordered = placements(offers, lambda offer: [f"{offer.region}a", f"{offer.region}b"])
    assert [(placement.offer.type.name, placement.location) for placement in ordered] == [
        ("g4dn.xlarge", "r1"),
        ("g4dn.xlarge", "r2"),
        ("g4dn.xlarge", "r1a"),
        ("g4dn.xlarge", "r1b"),
        ("g4dn.xlarge", "r2a"),
        ("g4dn.xlarge", "r2b"),
        ("g5.xlarge", "r1"),
        ("g5.xlarge", "r1a"),
        ("g5.xlarge", "r1b"),
    ]


def test_a_cloud_that_picks_no_zone_is_tried_in_its_zones_only() -> None:
    offers = [an_offer("g4dn.xlarge", "r1"), an_offer("g4dn.xlarge", "r2"), an_offer("g5.xlarge", "r1")]
    ordered = placements(offers, lambda offer: [f"{offer.region}a", f"{offer.region}b"], lambda provider: False)
    assert [(placement.offer.type.name, placement.zone) for placement in ordered] == [
        ("g4dn.xlarge", "r1a"),
        ("g4dn.xlarge", "r1b"),
        ("g4dn.xlarge", "r2a"),
        ("g4dn.xlarge", "r2b"),
        ("g5.xlarge", "r1a"),
        ("g5.xlarge", "r1b"),
    ]


def test_zones_are_queried_only_when_they_are_tried() -> None:
    calls: list[str] = []

    def zones_of(offer: Offer) -> Sequence[str]:
        calls.append(offer.region)
        return ()

    ordered = placements([an_offer("g4dn.xlarge", "r1"), an_offer("g4dn.xlarge", "r2")], zones_of)
    assert [next(ordered).location, next(ordered).location, calls] == ["r1", "r2", []]


def test_spot_and_on_demand_are_different_placements_and_so_is_a_subnet() -> None:
    offer = an_offer("g4dn.xlarge", "r1")
    keys = {
        Placement(offer).cooldown_key(None),
        Placement(replace(offer, market=Market.SPOT)).cooldown_key(None),
        Placement(offer, "r1a").cooldown_key(None),
    }
    assert len(keys | {Placement(offer).cooldown_key("subnet-1")}) == 4


@pytest.mark.parametrize(
    ("other", "exceeds"),
    [
        (an_offer("g4dn.2xlarge", "r1", vcpus=8), True),
        (an_offer("g5.xlarge", "r1"), True),
        (an_offer("g4dn.large", "r1", vcpus=2), False),
        (an_offer("p4d.24xlarge", "r1", vcpus=96), False),
        (an_offer("g4dn.xlarge", "r2"), False),
        (an_offer("g4dn.xlarge", "r1", market=Market.SPOT), False),
        (an_offer("gr6.4xlarge", "r1", vcpus=16), True),
    ],
)
def test_a_quota_is_for_a_family_in_a_region_and_a_market(other: Offer, exceeds: bool) -> None:
    assert exceeds_with(an_offer("g4dn.xlarge", "r1"), other) is exceeds


def test_a_type_whose_quota_is_not_known_has_a_quota_of_its_own() -> None:
    kind = replace(a_type("g4dn.xlarge"), quotas=None)
    assert kind.quota_family(Market.ON_DEMAND) == "g4dn.xlarge"
    spot = replace(kind, quotas=("g", "g-spot")).quota_family(Market.SPOT)
    assert spot == "g-spot"


@pytest.mark.parametrize(
    ("extent", "placement", "is_stored"),
    [
        (Extent.ZONE, Placement(an_offer("g5.xlarge", "r1"), "r1a"), True),
        (Extent.ZONE, Placement(an_offer("g5.xlarge", "r1"), "r1b"), False),
        (Extent.REGION, Placement(an_offer("g5.xlarge", "r1")), True),
        (Extent.REGION, Placement(an_offer("g5.xlarge", "r2")), False),
        (Extent.REGION, Placement(an_offer("g5.2xlarge", "r1")), False),
        (Extent.MARKET, Placement(an_offer("g4dn.xlarge", "r2")), True),
        (Extent.MARKET, Placement(an_offer("g5.xlarge", "r1", market=Market.SPOT)), False),
        (Extent.EVERYWHERE, Placement(an_offer("g5.xlarge", "r1"), "r1a"), False),
    ],
)
def test_a_refusal_rules_out_what_it_reaches_and_nothing_else(
    extent: Extent, placement: Placement, is_stored: bool
) -> None:
    assert rules_out(extent, Placement(an_offer("g5.xlarge", "r1"), "r1a"), placement) is is_stored


def test_an_unknown_spot_price_ranks_by_what_it_costs_on_demand_and_after_all_known_ones() -> None:
    cheap, dear = an_offer("cheap", "r1", None, Market.SPOT), an_offer("adear", "r1", None, Market.SPOT)
    offers = [
        replace(dear, on_demand=an_offer("adear", "r1", "9").price),
        replace(cheap, on_demand=an_offer("cheap", "r1", "2").price),
        an_offer("known", "r1", "20", Market.SPOT),
    ]
    assert [offer.type.name for offer in ranked(offers, Requirements())] == ["known", "cheap", "adear"]


@pytest.mark.parametrize(
    ("usd", "market", "lack"),
    [
        ("1", Market.ON_DEMAND, None),
        ("1.01", Market.ON_DEMAND, Mismatch.ABOVE_MAX_PRICE),
        (None, Market.ON_DEMAND, Mismatch.UNKNOWN_PRICE),
        (None, Market.SPOT, None),
        ("1.01", Market.SPOT, Mismatch.ABOVE_MAX_PRICE),
    ],
)
def test_the_cap_stands_in_for_a_spot_price_and_for_no_other(
    usd: str | None, market: Market, lack: Mismatch | None
) -> None:
    need = Requirements(max_usd_per_hour=Decimal(1), capped=True)
    assert need.mismatch(an_offer("g4dn.xlarge", "r1", usd, market)) is lack


@pytest.mark.parametrize(("requested", "fits"), [("24", True), ("22", True), ("26", False)])
def test_memory_is_requested_as_it_is_sold(requested: str, fits: bool) -> None:
    offer = an_offer("g5.xlarge", "r1")
    sold = replace(offer, type=replace(offer.type, gpu_memory_gib=Decimal("22.35")))
    assert Requirements(min_memory_gib=Decimal(requested)).is_met_by(sold) is fits


def test_a_further_attempt_follows_a_refusal() -> None:
    assert an_attempt_after(Outcome.REFUSED).token.endswith("-2")
    assert an_attempt_after(Outcome.LEFTOVERS).token.endswith("-2")


def test_a_further_attempt_follows_one_of_which_nothing_is_left() -> None:
    assert an_attempt_after(Outcome.ENDED).token.endswith("-2")


@pytest.mark.parametrize("outcome", [Outcome.PENDING, Outcome.UNKNOWN, Outcome.CREATED])
def test_an_attempt_that_may_have_created_an_instance_has_no_next_attempt(outcome: Outcome) -> None:
    with pytest.raises(IllegalTransition):
        an_attempt_after(outcome)


@pytest.mark.parametrize("status", [status for status in Status if status is not Status.PROVISIONING])
def test_an_event_without_a_hook_is_not_retried(status: Status) -> None:
    with pytest.raises(IllegalTransition):
        an_attempt_after(Outcome.REFUSED, status)
