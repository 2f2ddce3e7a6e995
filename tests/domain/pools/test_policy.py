"""Policies of a pool as text."""

from decimal import Decimal

import pytest

from gpuctl.domain.pools.policy import ON_DEMAND, Policy, PolicyKind, idle_limit_s, parse_policy, waiting_value
from gpuctl.errors import UsageError


@pytest.mark.parametrize(
    "text",
    [
        "on-demand",
        "keep:10m",
        "keep:1h30m",
        "reactive",
        "predict",
        "predict:100",
        "predict:2.5",
        "tuned",
        "always:3",
        "auto",
    ],
)
def test_the_text_of_a_policy_is_read_back(text: str) -> None:
    assert str(parse_policy(text)) == text


def test_letter_case_and_spaces_do_not_matter() -> None:
    assert parse_policy(" Keep:600s ") == Policy(PolicyKind.KEEP, keep_s=600)


def test_keeping_for_no_time_is_on_demand() -> None:
    assert parse_policy("keep:0s") == ON_DEMAND


@pytest.mark.parametrize(
    "text",
    ["", "keep", "keep:", "keep:10", "always", "always:0", "always:-1", "always:x", "always:99999", "predict:0",
     "predict:", "predict:x", "on-demand:1", "on-demand:", "reactive:", "seasonal", "always:١"],
)  # fmt: skip
def test_anything_else_is_refused_with_the_name_of_the_option(text: str) -> None:
    with pytest.raises(UsageError, match="--policy"):
        parse_policy(text)


def test_each_policy_keeps_idle_instances_for_its_own_time() -> None:
    limits = {
        text: idle_limit_s(parse_policy(text)) for text in ("on-demand", "keep:10m", "reactive", "predict", "always:2")
    }
    assert limits == {"on-demand": 0, "keep:10m": 600, "reactive": 300, "predict": 300, "always:2": None}


def test_waiting_is_valued_in_prices_of_an_instance() -> None:
    assert waiting_value(Decimal(30), Decimal("0.50")) == 60
    assert (
        waiting_value(Decimal(30), None)
        == waiting_value(None, Decimal(1))
        == waiting_value(Decimal(1), Decimal(0))
        == 30
    )
