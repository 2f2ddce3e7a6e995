"""What the caller agreed to is compared again with what an account shows only after it was prepared."""

from collections import Counter
from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

import pytest

from gpuctl.catalog.catalog import Catalog
from gpuctl.domain.instance import Market, Price
from gpuctl.domain.market.candidates import Placement
from gpuctl.domain.market.offers import Offer
from gpuctl.domain.market.request import Request
from gpuctl.domain.money.cost import Extras
from gpuctl.errors import UsageError
from gpuctl.providers.base import Image
from gpuctl.services.launch.launchable import Launchable
from gpuctl.services.launch.prepare import Prepared, prepare_account


def a_price(usd: str) -> Price:
    return Price(usd_per_hour=Decimal(usd), source="a test", as_of=date(2026, 8, 20))


class Logins:
    """An account whose images can be looked up once the user has agreed to prepare it."""

    def __init__(self, actual: Launchable) -> None:
        self.unchecked: str | None = "not registered yet"
        self.zone_failure = None
        self._found = actual

    def agree(self) -> None:
        self.unchecked = None

    def picks_zone(self, provider: object) -> bool:
        return True

    def launchable(self, placement: Placement) -> Launchable:
        return self._found


class NoRefusals:
    """Nothing was refused lately."""

    def of(self, placement: Placement) -> None:
        return None

    def needs_zones(self, offer: Offer) -> bool:
        return False


def prepared_and_found() -> tuple[Any, Launchable]:
    kind = Catalog().find("Standard_NC4as_T4_v3")
    placement = Placement(Offer(kind, "eastus", Market.ON_DEMAND, a_price("0.5")))
    request = Request(user="ana", ttl=timedelta(hours=1))
    session: Any = None
    planned = Launchable(placement, request, session, Image("", "", 0), Extras(disk=a_price("0.01")))
    actual = replace(planned, image=Image("an-image", "", 64), extras=Extras(disk=a_price("0.9")))
    nothing: Any = None
    logins, refusals = Logins(actual), NoRefusals()
    offers = (placement.offer,)
    return Prepared(nothing, offers, Counter(), planned, timedelta(hours=2), logins, refusals), actual  # type: ignore[arg-type]


def test_an_image_that_is_looked_up_late_and_costs_more_is_compared_with_what_was_agreed_to() -> None:
    prepared, actual = prepared_and_found()
    calls: list[tuple[Launchable, str]] = []

    def agree(present: Launchable, line: str) -> bool:
        calls.append((present, line))
        return False

    runtime: Any = SimpleNamespace(progress=None)
    with pytest.raises(UsageError, match="no instance was started"):
        prepare_account(prepared, runtime, agree)
    assert [present for present, _ in calls] == [actual]
    assert "trying eastus at $1.400/h instead of $0.510" in calls[0][1]


def test_an_image_that_is_agreed_to_is_what_is_launched() -> None:
    prepared, actual = prepared_and_found()
    runtime: Any = SimpleNamespace(progress=None)
    assert prepare_account(prepared, runtime, lambda present, line: True).first == actual
