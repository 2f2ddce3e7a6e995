"""The shutdown timer of an instance on Azure: when it is set, moved, left alone, and what is said of it."""

import json
from datetime import timedelta
from typing import Any

import pytest
from support.azure import LoopbackAzure
from support.instances import NOON
from support.wire import Fault, Wire, refuse_arm

from gpuctl.domain.instance import CloudState
from gpuctl.domain.safeguards import Safeguard, SafeguardStatus
from gpuctl.domain.tags import deadline_tag
from gpuctl.errors import CloudError, CredentialsError, NotReadyError, UsageError
from gpuctl.providers.azure import create as creation
from gpuctl.providers.azure import registration
from gpuctl.providers.azure.provider import AzureProvider
from gpuctl.providers.base import Order

REGION = "eastus"
GROUP = "gpuctl-inst-000000000001"
MINUTE = timedelta(minutes=1)
ELSEWHERE = "/subscriptions/s/resourceGroups/theirs/providers/Microsoft.Compute/virtualMachines/x"


def timer_of(provider: AzureProvider, minutes: int = 0) -> Safeguard:
    _, timer = provider.safeguards(REGION, GROUP, NOON + minutes * MINUTE)
    return timer


def nothing(line: str) -> None:
    raise AssertionError(line)


# setting and moving


def test_the_timer_is_armed_by_the_create_moved_with_the_deadline_and_read_back(
    provider: AzureProvider, order: Order
) -> None:
    provider.create(order)
    sweep, timer = provider.safeguards(REGION, GROUP, NOON)
    assert (timer.status, timer.acts_at) == (SafeguardStatus.CONFIGURED, NOON + 62 * MINUTE)
    assert (sweep.status, sweep.acts_at) == (SafeguardStatus.CONFIGURED, NOON + 60 * MINUTE)
    assert "changeable until 12:31 UTC" in timer.detail
    provider.set_deadline(REGION, GROUP, NOON + 90 * MINUTE)
    sweep, timer = provider.safeguards(REGION, GROUP, NOON)
    assert (sweep.acts_at, timer.acts_at) == (NOON + 90 * MINUTE, NOON + 92 * MINUTE)


def test_the_timer_really_ends_the_cost_of_the_instance(
    provider: AzureProvider, order: Order, arm: LoopbackAzure
) -> None:
    provider.create(order)
    arm.later(minutes=61)
    assert arm.instances()[0]["bills"]
    arm.later(minutes=2)
    assert not arm.instances()[0]["bills"]
    (observed,) = provider.list_instances(REGION)
    assert observed.state is CloudState.STOPPED


@pytest.mark.parametrize("late", ["tomorrow", "old time too"])
@pytest.mark.parametrize("minutes", [32, 40, 59])
def test_a_deadline_is_not_moved_in_the_last_31_minutes_of_the_timer(
    provider: AzureProvider, order: Order, arm: LoopbackAzure, wire: Wire, late: str, minutes: int
) -> None:
    arm.set(late_timer=late)
    provider.create(order)
    arm.later(minutes=minutes)
    wire.sent.clear()
    with pytest.raises(UsageError, match="acts at 13:02 UTC, and Azure takes no change of it in the last 31m"):
        provider.set_deadline(REGION, GROUP, NOON + 90 * MINUTE)
    assert {sent.action.partition(" ")[0] for sent in wire.sent} == {"GET"}
    arm.later(minutes=63 - minutes)
    assert not arm.instances()[0]["bills"]


def test_a_deadline_that_was_moved_in_time_holds(provider: AzureProvider, order: Order, arm: LoopbackAzure) -> None:
    provider.create(order)
    arm.later(minutes=30)
    provider.set_deadline(REGION, GROUP, NOON + 90 * MINUTE)
    arm.later(minutes=61)
    assert arm.instances()[0]["bills"]
    arm.later(minutes=2)
    assert not arm.instances()[0]["bills"]


def test_a_timer_that_serves_is_left_as_it_is(
    provider: AzureProvider, order: Order, arm: LoopbackAzure, wire: Wire
) -> None:
    provider.create(order)
    arm.later(minutes=40)
    provider.set_deadline(REGION, GROUP, order.expires_at)
    assert [len(wire.calls(text)) for text in ("PUT schedules", "PATCH resourceGroups", "PATCH virtualMachines")] == [
        1,
        0,
        0,
    ]
    arm.later(minutes=23)
    assert not arm.instances()[0]["bills"]


def test_a_short_ttl_has_a_timer_as_soon_as_azure_can_act(
    provider: AzureProvider, order: Order, arm: LoopbackAzure
) -> None:
    from dataclasses import replace

    provider.create(replace(order, expires_at=NOON + 5 * MINUTE))
    assert timer_of(provider).acts_at == NOON + 35 * MINUTE
    arm.later(minutes=36)
    assert not arm.instances()[0]["bills"]


def test_a_schedule_that_others_made_too_late_is_shown_to_act_the_next_day(
    provider: AzureProvider, order: Order, arm: LoopbackAzure, wire: Wire
) -> None:
    provider.create(order)

    def made_late(real: Any) -> Any:
        document = json.loads(real[2])
        document["properties"]["createdDate"] = "2026-11-24T12:40:00.0000000Z"
        return real[0], real[1], json.dumps(document).encode()

    wire.arm("GET schedules", Fault(True, made_late))
    assert timer_of(provider, 45).acts_at == NOON + timedelta(days=1, minutes=62)


def test_a_timer_that_was_not_set_as_requested_moves_no_deadline(
    provider: AzureProvider, order: Order, arm: LoopbackAzure, wire: Wire
) -> None:
    provider.create(order)
    wire.arm("PUT schedules", Fault(False, lambda _: (200, {"Content-Type": "application/json"}, b"{}")))
    with pytest.raises(CloudError, match="Azure shows another time"):
        provider.set_deadline(REGION, GROUP, NOON + 90 * MINUTE)
    assert arm.instances()[0]["tags"]["gpuctl-expires-at"] == deadline_tag(order.expires_at)


def test_a_deadline_a_day_off_is_more_than_the_timer_can_hold(provider: AzureProvider, order: Order) -> None:
    provider.create(order)
    with pytest.raises(UsageError, match="cannot hold a deadline"):
        provider.set_deadline(REGION, GROUP, NOON + timedelta(hours=23))


def test_an_instance_whose_timer_could_not_be_set_exists_and_shows_why(
    provider: AzureProvider, order: Order, wire: Wire
) -> None:
    wire.arm("PUT schedules", *[refuse_arm("AuthorizationFailed", 403)] * 4)
    assert provider.create(order).ready
    timer = timer_of(provider)
    assert timer.status is SafeguardStatus.MISSING
    assert "no shutdown schedule: it could not be set: `AuthorizationFailed`" in timer.detail


@pytest.mark.parametrize(
    "change",
    [{"status": "Disabled"}, {"timeZoneId": "Pacific Standard Time"}, {"targetResourceId": ELSEWHERE}],
    ids=lambda change: next(iter(change)),
)
def test_a_schedule_that_would_not_end_this_instance_is_no_timer(
    provider: AzureProvider, order: Order, wire: Wire, change: dict[str, str]
) -> None:
    provider.create(order)

    def changed(real: Any) -> Any:
        document = json.loads(real[2])
        document["properties"] |= change
        return real[0], real[1], json.dumps(document).encode()

    wire.arm("GET schedules", Fault(True, changed))
    assert timer_of(provider).status is SafeguardStatus.MISSING


# while the instance is being created


def test_an_instance_that_takes_a_while_gets_its_timer_when_it_is_there(
    provider: AzureProvider, order: Order, arm: LoopbackAzure, wire: Wire
) -> None:
    arm.set(polls=3)
    provider.create(order)
    assert timer_of(provider).status is SafeguardStatus.CONFIGURED
    assert len(wire.calls("PUT schedules")) == 2


@pytest.mark.parametrize("update", ["refused", "preempts"])
def test_a_deadline_is_moved_without_a_write_to_an_instance_that_is_being_created(
    provider: AzureProvider,
    order: Order,
    arm: LoopbackAzure,
    wire: Wire,
    monkeypatch: pytest.MonkeyPatch,
    update: str,
) -> None:
    monkeypatch.setattr(creation, "_VM_WITHIN_S", 0.05)
    arm.set(update_while_creating=update, no_timer_while_creating=False)
    arm.break_next("StuckOperation", type="Microsoft.Compute/virtualMachines", method="PUT")
    provider.create(order)
    provider.set_deadline(REGION, GROUP, NOON + 90 * MINUTE)
    assert timer_of(provider).acts_at == NOON + 92 * MINUTE
    assert wire.calls("PATCH virtualMachines") == []
    arm.finish()
    assert [vm["state"] for vm in arm.instances()] == ["running"]


# what the subscription must have


def test_what_is_not_registered_is_registered_and_said_before_anything_is_made(
    provider: AzureProvider, arm: LoopbackAzure, wire: Wire
) -> None:
    arm.set(registered=["Microsoft.Compute"], registering=2)
    text: list[str] = []
    provider.prepare(REGION, text.append)
    (line,) = text
    assert "registering Microsoft.DevTestLab, Microsoft.Network in subscription" in line
    assert len(wire.calls("POST register")) == 2
    provider.prepare(REGION, nothing)
    assert arm.resources() == []


def test_a_registration_that_does_not_end_is_not_waited_for_without_end(
    provider: AzureProvider, arm: LoopbackAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "POLLS", 3)
    arm.set(registered=[], registering=None)
    with pytest.raises(NotReadyError, match="Azure did not finish registering Microsoft.DevTestLab, Microsoft.Compute"):
        provider.prepare(REGION, lambda line: None)


def test_credentials_that_may_not_register_get_the_missing_permission_in_the_hint(
    provider: AzureProvider, arm: LoopbackAzure, wire: Wire
) -> None:
    arm.set(registered=["Microsoft.Compute", "Microsoft.Network"])
    wire.arm("POST register", refuse_arm("AuthorizationFailed", 403))
    with pytest.raises(CredentialsError) as caught:
        provider.prepare(REGION, lambda line: None)
    assert (
        caught.value.hint
        == "ask someone with that permission to run: az provider register --namespace Microsoft.DevTestLab"
    )


def test_the_sdk_registers_nothing_behind_our_back_and_waits_for_nothing(
    provider: AzureProvider, order: Order, arm: LoopbackAzure, wire: Wire
) -> None:
    arm.set(registered=["Microsoft.Compute"], registering=None)
    with pytest.raises(Exception, match="MissingSubscriptionRegistration"):
        provider.create(order)
    assert wire.calls("POST register") == []


def test_a_region_without_timers_is_refused_before_anything_is_made(
    provider: AzureProvider, arm: LoopbackAzure
) -> None:
    with pytest.raises(UsageError, match="Azure has no shutdown timer in `polandcentral`"):
        provider.check_ttl("polandcentral", timedelta(hours=1))
    provider.check_ttl(REGION, timedelta(hours=1))
    assert arm.resources() == []
