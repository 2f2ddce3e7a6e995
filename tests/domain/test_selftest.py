"""What an observation proves about a promise, and what a report must not contain."""

from dataclasses import replace
from datetime import date, timedelta
from decimal import Decimal

import pytest
from support.instances import NOON

from gpuctl.catalog import Catalog
from gpuctl.domain.instance import Price
from gpuctl.domain.resource import Resource
from gpuctl.domain.safeguards import Mechanism, Safeguard, SafeguardStatus
from gpuctl.domain.selftest import (
    CheckStatus,
    check_leftovers,
    judge_extend,
    judge_gpu,
    judge_price,
    judge_replay,
    judge_tags,
    judge_timer,
    redacted,
    short_account,
)
from gpuctl.domain.tags import deadline_tag

DEADLINE = NOON + timedelta(hours=1)
TAGS = {
    "gpuctl-id": "inst-000000000001",
    "gpuctl-state": "a-state-id",
    "gpuctl-owner": "ana",
    "gpuctl-expires-at": deadline_tag(DEADLINE),
}
VOLUME = Resource("volume", "vol-1", TAGS)
GROUP = Resource("security-group", "sg-1", {"gpuctl-state": "a-state-id"}, is_shared=True)
TIMER = Safeguard(
    mechanism=Mechanism.TIMER,
    status=SafeguardStatus.CONFIGURED,
    acts_at=DEADLINE + timedelta(minutes=2),
    checked_at=NOON,
)


def tags_of(*resources: Resource) -> CheckStatus:
    return judge_tags(resources, "inst-000000000001", "a-state-id").status


def test_complete_tags_are_ok_and_what_the_state_shares_needs_only_its_own() -> None:
    assert tags_of(VOLUME, GROUP) is CheckStatus.OK


@pytest.mark.parametrize("key", list(TAGS))
def test_each_tag_is_required(key: str) -> None:
    assert tags_of(replace(VOLUME, tags={name: value for name, value in TAGS.items() if name != key})) == "failed"


def test_tags_of_another_record_or_state_are_no_tags() -> None:
    assert tags_of(replace(VOLUME, tags={**TAGS, "gpuctl-id": "inst-000000000002"})) == "failed"
    assert tags_of(replace(GROUP, tags={"gpuctl-state": "another-id"})) == "failed"


def test_a_part_that_the_cloud_created_needs_no_tags_and_no_resource_at_all_is_a_failure() -> None:
    assert tags_of(VOLUME, Resource("disk", "os-disk", is_part=True)) is CheckStatus.OK
    assert tags_of() is CheckStatus.FAILED


@pytest.mark.parametrize(("after", "status"), [(-2, "failed"), (0, "ok"), (2, "ok"), (15, "ok"), (16, "failed")])
def test_a_timer_must_act_shortly_after_the_deadline(after: int, status: str) -> None:
    timer = TIMER.model_copy(update={"acts_at": DEADLINE + timedelta(minutes=after)})
    assert judge_timer([timer], DEADLINE).status == status


def test_a_timer_that_is_missing_or_has_no_time_fails() -> None:
    assert judge_timer([], DEADLINE).status == "failed"
    assert judge_timer([TIMER.model_copy(update={"status": SafeguardStatus.MISSING})], DEADLINE).status == "failed"
    assert judge_timer([TIMER.model_copy(update={"acts_at": None})], DEADLINE).status == "failed"


def test_an_extension_must_move_the_tag_and_a_timer_that_was_there() -> None:
    later = DEADLINE + timedelta(minutes=15)
    moved_tag = {**TAGS, "gpuctl-expires-at": deadline_tag(later)}
    moved_timer = TIMER.model_copy(update={"acts_at": later + timedelta(minutes=2)})
    assert judge_extend(DEADLINE, later, moved_tag, [moved_timer], had_timer=True).status == "ok"
    assert judge_extend(DEADLINE, later, TAGS, [moved_timer], had_timer=True).status == "failed"
    assert judge_extend(DEADLINE, later, moved_tag, [], had_timer=True).status == "failed"
    assert judge_extend(DEADLINE, later, moved_tag, [], had_timer=False).status == "ok"


@pytest.mark.parametrize(
    ("name", "output", "code", "status"),
    [
        ("g4dn.xlarge", "Tesla T4, 550, 15360 MiB\n", 0, "ok"),
        ("g4dn.xlarge", "", 0, "failed"),
        ("g4dn.xlarge", "Tesla T4, 550, 15360 MiB\n", 9, "failed"),
        ("g4dn.12xlarge", "Tesla T4, 550, 15360 MiB\n", 0, "failed"),
        ("g4dn.12xlarge", "Tesla T4, 550, 15360 MiB\n" * 4, 0, "ok"),
        ("g5.xlarge", "NVIDIA A10G, 550, 23028 MiB\n", 0, "ok"),
        ("g5.xlarge", "Tesla T4, 550, 15360 MiB\n", 0, "failed"),
        ("g4ad.xlarge", "", 127, "skipped"),
    ],
)
def test_the_gpus_must_be_those_of_the_type(name: str, output: str, code: int, status: str) -> None:
    assert judge_gpu(output, code, Catalog().find(name)).status == status


def test_a_repeated_request_must_be_the_same_instance_and_no_other() -> None:
    assert judge_replay("i-1", "i-1", ["i-1"]).status == "ok"
    assert judge_replay("i-1", "i-1", []).status == "ok"
    assert judge_replay("i-1", "i-2", ["i-1", "i-2"]).status == "failed"
    assert judge_replay("i-1", "i-1", ["i-1", "i-2"]).status == "failed"


def test_a_price_must_be_the_one_that_is_listed_now() -> None:
    price = Price(usd_per_hour=Decimal("0.526"), source="list", as_of=date(2026, 7, 20))
    assert judge_price(price, Decimal("0.526"), NOON.date()).status == "ok"
    assert judge_price(price, Decimal("0.527"), NOON.date()).status == "failed"
    assert judge_price(price, None, NOON.date()).status == "failed"


def test_what_another_instance_needs_is_not_left_behind() -> None:
    assert check_leftovers([GROUP], is_group_needed=True).status == "ok"
    assert check_leftovers([GROUP], is_group_needed=False).status == "failed"
    assert check_leftovers([VOLUME], is_group_needed=True).status == "failed"


SUBSCRIPTION = "0a1b2c3d-1111-4222-8333-444455556666"


@pytest.mark.parametrize(
    ("text", "safe"),
    [
        ("arn:aws:iam::123456789012:user/x", "arn:aws:iam::…9012:user/x"),
        (f"/subscriptions/{SUBSCRIPTION}/x", "/subscriptions/…6666/x"),
        (f"/subscriptions/{SUBSCRIPTION.upper()}/x", "/subscriptions/…6666/x"),
        ("key AKIAIOSFODNN7EXAMPLE", "key AKIA…"),
        ("from 203.0.113.7/32", "from x.x.x.x/32"),
        ("from 2001:db8:85a3::8a2e:370:7334/128", "from x:x::x/128"),
        ("from [2001:DB8:0:0:1:2:3:4]:22, fe80::1", "from [x:x::x]:22, x:x::x"),
        ("::/0, ::1 and ::ffff:203.0.113.7", "::/0, x:x::x and ::ffff:x.x.x.x"),
        ("arn:aws:iam::aws:policy/x at 2026-11-24T12:00:00Z", "arn:aws:iam::aws:policy/x at 2026-11-24T12:00:00Z"),
        ("profile prod-admin here", "profile …dmin here"),
        ("i-0123456789abcdef0 vol-123456789012", "i-0123456789abcdef0 vol-123456789012"),
    ],
)
def test_a_report_has_no_account_no_key_and_no_address(text: str, safe: str) -> None:
    assert redacted(text, ["prod-admin"]) == safe


def test_an_account_is_shown_by_its_last_characters() -> None:
    assert short_account("123456789012") == "…9012"
    assert short_account(f"{SUBSCRIPTION}/{SUBSCRIPTION}") == "…6666/…6666"
