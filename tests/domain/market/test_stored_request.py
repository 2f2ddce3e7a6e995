"""A request survives its way through a record."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest

from gpuctl.domain.instance import Market, ProviderName
from gpuctl.domain.market.request import Request
from gpuctl.domain.market.ssh_source import SshSource
from gpuctl.domain.market.stored_request import request_of, stored

FULL = Request(
    user="ana",
    provider=ProviderName.AWS,
    region="us-east-1,us-west-2",
    ttl=timedelta(minutes=90),
    tags={"project": "x"},
    gpu="T4",
    min_gpus=Decimal("0.5"),
    max_price=Decimal("1.20"),
    market=Market.SPOT,
    ssh_from=SshSource("10.0.0.0/8", is_demanded=True),
)


def test_a_request_is_read_as_it_was_stored() -> None:
    assert request_of(json.loads(json.dumps(stored(FULL, has_fixed_ttl=True)))) == FULL
    assert set(stored(Request(user="ana", region="any"), has_fixed_ttl=False)) == {"user", "region"}


def test_an_unknown_field_is_refused_rather_than_left_out() -> None:
    with pytest.raises(ValueError, match="unknown fields of a request: future"):
        request_of({"user": "ana", "future": 1})
