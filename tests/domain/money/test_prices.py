"""The gate that every price must pass, and what is said of a price's age."""

from datetime import date
from decimal import Decimal

import pytest

from gpuctl.domain.instance import Market, Price
from gpuctl.domain.money.prices import PriceKey, age_note, is_old, judged, newest, origin

TODAY = date(2026, 11, 24)
ON_DEMAND = PriceKey("g4dn.xlarge", "us-east-1", Market.ON_DEMAND)
SPOT = ON_DEMAND._replace(market=Market.SPOT)


def priced(usd: str, as_of: date = TODAY, source: str = "a list") -> Price:
    return Price(usd_per_hour=Decimal(usd), as_of=as_of, source=source)


def why(read: dict[PriceKey, str], last: dict[PriceKey, str] | None = None, *believed: str) -> dict[Market, str]:
    """What was refused, by market; everything else was taken as it was read."""
    known = {key: priced(usd) for key, usd in (last or {}).items()}
    usd = {key: Decimal(text) for key, text in read.items()}
    judgement = judged(usd, known.get, believed)
    refused = {refusal.key: refusal for refusal in judgement.refused}
    assert judgement.accepted == {key: value for key, value in usd.items() if key not in refused}
    assert all(refusal.usd is usd[key] for key, refusal in refused.items())
    return {key.market: refusal.why for key, refusal in refused.items()}


def test_the_first_price_and_one_that_moved_a_little_are_taken() -> None:
    assert why({ON_DEMAND: "0.526", SPOT: "0.526"}) == {}
    assert why({ON_DEMAND: "2.62"}, {ON_DEMAND: "0.526"}) == {}
    assert why({ON_DEMAND: "0.1053"}, {ON_DEMAND: "0.526"}) == {}


@pytest.mark.parametrize("usd", ["0", "-0", "-0.526", "NaN", "sNaN", "Infinity", "-Infinity"])
@pytest.mark.parametrize("believed", [(), ("g4dn.xlarge",)])
def test_what_is_not_above_zero_is_refused_whoever_believes_it(usd: str, believed: tuple[str, ...]) -> None:
    assert why({ON_DEMAND: usd}, {ON_DEMAND: "0.526"}, *believed) == {Market.ON_DEMAND: "not above zero"}
    assert why({SPOT: usd}, None, *believed) == {Market.SPOT: "not above zero"}


@pytest.mark.parametrize("usd", ["2.63", "0.1052", "5260", "0.000001"])
def test_five_times_up_or_down_is_refused_unless_the_type_is_believed(usd: str) -> None:
    last = {ON_DEMAND: "0.526"}
    assert "5 times away from the last one, $0.526 of 2026-11-24" in why({ON_DEMAND: usd}, last)[Market.ON_DEMAND]
    assert why({ON_DEMAND: usd}, last, "g4dn.xlarge") == {}
    assert why({ON_DEMAND: usd}, last, "g5.xlarge") != {}


def test_on_demand_below_spot_is_refused_whether_spot_was_read_or_known() -> None:
    assert why({ON_DEMAND: "0.2", SPOT: "0.3"}) == {Market.ON_DEMAND: "below the spot price of $0.3"}
    assert why({ON_DEMAND: "0.2"}, {SPOT: "0.3"}) == {Market.ON_DEMAND: "below the spot price of $0.3"}
    assert why({ON_DEMAND: "0.2", SPOT: "0.1"}, {SPOT: "0.3"}) == {}


def test_spot_above_the_on_demand_price_that_stands_is_refused_too() -> None:
    assert why({SPOT: "0.6"}, {ON_DEMAND: "0.526"}) == {Market.SPOT: "above the on-demand price of $0.526"}
    assert set(why({ON_DEMAND: "0.4", SPOT: "0.6"}, {ON_DEMAND: "0.526"})) == {Market.ON_DEMAND, Market.SPOT}
    assert set(why({ON_DEMAND: "0.4", SPOT: "0.5"}, {ON_DEMAND: "0.526"})) == {Market.ON_DEMAND}


def test_a_spot_price_that_is_refused_judges_no_other() -> None:
    assert why({ON_DEMAND: "0.526", SPOT: "9"}, {SPOT: "0.2"}) == {
        Market.SPOT: "5 times away from the last one, $0.2 of 2026-11-24"
    }


def test_the_newest_price_wins_and_the_first_of_two_alike() -> None:
    old, new, other = priced("1", date(2026, 1, 1)), priced("2"), priced("3")
    assert (newest(old, None, new), newest(new, other), newest(None)) == (new, new, None)


def test_a_price_is_old_after_thirty_days() -> None:
    assert not is_old(priced("1", date(2026, 10, 25)), TODAY)
    assert is_old(priced("1", date(2026, 10, 24)), TODAY)


def test_age_is_printed_in_one_line_and_only_where_it_matters() -> None:
    old, fresh = priced("1", date(2026, 7, 20)), priced("1")
    assert age_note([fresh, None], TODAY) is None
    assert age_note([old], TODAY) == "this price is 127 days old; update it with: gpuctl prices refresh"
    end = "older than 30 days (up to 127); update them with: gpuctl prices refresh"
    assert age_note([old, fresh, None], TODAY) == f"1 of these prices is {end}"
    assert age_note([old, old, fresh], TODAY) == f"2 of these prices are {end}"
    assert age_note([old, old], TODAY) == f"these prices are {end}"


def test_a_price_names_its_origin_by_whether_it_was_fetched() -> None:
    bundled = priced("1", source="a table")
    fetched = bundled.model_copy(update={"source": "a price list", "is_fetched": True})
    assert (origin(bundled), origin(fetched)) == ("bundled prices", "a price list")
