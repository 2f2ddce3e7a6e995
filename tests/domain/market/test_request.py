from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from support.instances import an_instance

from gpuctl.domain.instance import Market, ProviderName
from gpuctl.domain.market.request import MAX_COUNT, Request, check, differences
from gpuctl.errors import UsageError

MAX_TTL = timedelta(minutes=120)
GOOD = Request(user="ana", provider=ProviderName.AWS, instance_type="g4dn.xlarge", region="us-east-1")


def refusal(**request: Any) -> str:
    with pytest.raises(UsageError) as caught:
        check(replace(GOOD, **request), request.pop("max_ttl", MAX_TTL))
    return caught.value.message


def test_a_good_request_passes_at_every_edge() -> None:
    for edge in ({"disk_gb": 30}, {"disk_gb": 16384}, {"ttl": timedelta(minutes=5)}, {"ttl": MAX_TTL}, {"count": 50}):
        check(replace(GOOD, **edge), MAX_TTL)


def test_the_fixed_messages_stand_word_for_word() -> None:
    assert refusal(instance_type=None, provider=None) == "Provider is required"
    assert refusal(instance_type=None) == "Instance type is required"
    assert refusal(region=None) == "Region is required"
    assert refusal(disk_gb=29) == "Disk size must be at least 30GB"
    assert refusal(ttl=timedelta(minutes=4, seconds=59)) == "Auto-terminate must be at least 5 minutes"
    assert refusal(ttl=timedelta(minutes=120, seconds=1)) == "Auto-terminate must be at most 120 minutes"


def test_the_first_failure_wins_in_the_order_they_stand() -> None:
    wrong: dict[str, Any] = {"ttl": timedelta(minutes=2)}
    assert refusal(**wrong) == "Auto-terminate must be at least 5 minutes"
    wrong |= {"disk_gb": 10}
    assert refusal(**wrong) == "Disk size must be at least 30GB"
    wrong |= {"region": None}
    assert refusal(**wrong) == "Region is required"
    wrong |= {"instance_type": None}
    assert refusal(**wrong) == "Instance type is required"
    wrong |= {"provider": None}
    assert refusal(**wrong) == "Provider is required"


def test_the_longest_ttl_names_the_number_in_force() -> None:
    with pytest.raises(UsageError, match="^Auto-terminate must be at most 180 minutes$"):
        check(replace(GOOD, ttl=timedelta(hours=4)), timedelta(hours=3))


@pytest.mark.parametrize("count", [0, -1, MAX_COUNT + 1])
def test_a_count_outside_its_limits_is_refused(count: int) -> None:
    assert "--count must be 1 to 50" in refusal(count=count)


@pytest.mark.parametrize("name", ["", "A", "a_b", "a b", "inst-abc", "x" * 41, "é", "a\n", "../x"])
def test_a_name_that_looks_like_an_id_is_refused(name: str) -> None:
    assert "name" in refusal(name=name)


@pytest.mark.parametrize("field", ["user", "task", "purpose"])
@pytest.mark.parametrize("text", ["", "  ", "a\x00b", "a\nb", "\x1b[2J", "x" * 1001, "a\u202eb"])
def test_free_text_is_neither_empty_nor_huge_nor_full_of_control_characters(field: str, text: str) -> None:
    assert refusal(**{field: text}).startswith(f"--{field}")


@pytest.mark.parametrize("tags", [{"": "x"}, {"gpuctl-id": "x"}, {"GPUCTL-x": "y"}, {"a\nb": "x"}, {"a": "x\x1b"}])
def test_a_tag_that_is_ours_or_that_no_cloud_could_carry_is_refused(tags: dict[str, str]) -> None:
    assert "tag" in refusal(tags=tags)


def test_several_instances_of_one_name_are_numbered() -> None:
    assert replace(GOOD, name="n", count=3).named(2).name == "n-2"
    assert replace(GOOD, name="n").named(1).name == "n"


def test_an_active_instance_of_the_name_is_compared_with_the_request() -> None:
    existing = an_instance(name="n")
    assert differences(GOOD, existing, {"g4dn.xlarge"}) == []
    assert differences(GOOD, existing, {"g5.xlarge"}) == ["type"]
    other = replace(GOOD, disk_gb=200, region="us-west-2", market=Market.SPOT)
    assert differences(other, existing, {"g4dn.xlarge"}) == ["region", "market", "disk"]
    for alike in (replace(other, region="us-west-2,us-east-1"), replace(other, region="any")):
        assert differences(replace(alike, falls_back=True), existing, {"g4dn.xlarge"}) == ["disk"]
