"""What ends an instance's bill on the loopback ARM without its owner: the daily shutdown schedule."""

from datetime import UTC, datetime
from typing import Any

import pytest
from support.azure import LoopbackAzure, machine

TEN = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


def daily(
    azure: LoopbackAzure, machine_id: str, at: str, *, method: str = "PUT", name: str = "vm", **changes: Any
) -> tuple[int, Any]:
    properties = {
        "status": "Enabled",
        "taskType": "ComputeVmShutdownTask",
        "dailyRecurrence": {"time": at},
        "timeZoneId": "UTC",
        "notificationSettings": {"status": "Disabled"},
        "targetResourceId": machine_id,
        **changes,
    }
    body = {"location": "eastus", "properties": properties} if method == "PUT" else None
    path = f"/subscriptions/{azure.subscription}/resourceGroups/theirs/providers/Microsoft.DevTestLab/schedules"
    status, _, reply = azure.raw(method, f"{path}/shutdown-computevm-{name}?api-version=2018-09-15", body)
    return status, reply


def state(azure: LoopbackAzure) -> tuple[str, float]:
    [instance] = azure.instances()
    return instance["state"], instance["billed_s"]


def viewed(azure: LoopbackAzure) -> str:
    vm = azure.compute.virtual_machines.get("theirs", "vm", expand="instanceView")
    return str(vm.instance_view.statuses[1].code)


def test_the_daily_timer_deallocates_at_its_time_even_if_the_next_query_is_later(azure: LoopbackAzure) -> None:
    azure.now = TEN
    machine_id = azure.launch()
    created, again = daily(azure, machine_id, "1130"), daily(azure, machine_id, "1130")

    azure.later(minutes=89)
    before = state(azure)
    azure.later(hours=5)

    assert (created[0], again[0]) == (201, 200)
    assert before == ("running", 89 * 60)
    assert state(azure) == ("deallocated", 90 * 60)
    assert viewed(azure) == "PowerState/deallocated"


def test_the_daily_timer_moves_when_it_is_written_again(azure: LoopbackAzure) -> None:
    azure.now = TEN
    machine_id = azure.launch()
    daily(azure, machine_id, "1130")
    daily(azure, machine_id, "0930")

    azure.later(hours=23)
    assert state(azure) == ("running", 23 * 3600)
    azure.later(minutes=30)
    assert state(azure) == ("deallocated", 23.5 * 3600)


def test_a_daily_timer_is_read_back_disabled(azure: LoopbackAzure) -> None:
    azure.now = TEN
    machine_id = azure.launch()
    daily(azure, machine_id, "1130", status="Disabled")

    azure.later(hours=2)

    assert state(azure)[0] == "running"
    shown = daily(azure, machine_id, "", method="GET")[1]
    assert (shown["properties"]["dailyRecurrence"], shown["properties"]["targetResourceId"]) == (
        {"time": "1130"},
        machine_id,
    )


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"dailyRecurrence": {"time": "24:00"}}, 400, "InvalidScheduleTime"),
        ({"timeZoneId": "Pacific Standard Time"}, 400, "InvalidTimeZoneId"),
        ({"taskType": "LabVmsShutdownTask"}, 400, "InvalidTaskType"),
        ({"targetResourceId": "/subscriptions/none"}, 404, "ResourceNotFound"),
        ({"hourlyRecurrence": {"minute": 1}}, 400, "InvalidRequestContent"),
    ],
)
def test_a_daily_timer_that_cannot_be_is_refused(
    azure: LoopbackAzure, changes: dict[str, Any], status: int, code: str
) -> None:
    answer = daily(azure, azure.launch(), "1130", **changes)

    assert (answer[0], answer[1]["error"]["code"]) == (status, code)
    assert azure.resources("schedules") == []


def test_a_daily_timer_has_the_name_of_its_instance(azure: LoopbackAzure) -> None:
    answer = daily(azure, azure.launch(), "1130", name="another")

    assert (answer[0], answer[1]["error"]["code"]) == (400, "InvalidScheduleId")


def test_a_daily_timer_goes_with_its_group_and_outlives_its_instance(azure: LoopbackAzure) -> None:
    azure.now = TEN
    daily(azure, azure.launch(), "1130")
    azure.compute.virtual_machines.begin_delete("theirs", "vm").result()
    assert len(azure.resources("schedules")) == 1

    azure.later(days=2)
    azure.groups.begin_delete("theirs").result()

    assert azure.resources() == []


@pytest.mark.parametrize("time", ["1300", "1130"], ids=["moved", "unchanged"])
def test_a_schedule_that_is_written_in_its_last_half_hour_acts_the_next_day(azure: LoopbackAzure, time: str) -> None:
    azure.now = TEN
    machine_id = azure.launch()
    daily(azure, machine_id, "1130")
    azure.later(minutes=61)
    daily(azure, machine_id, time)

    azure.later(hours=20)
    assert state(azure)[0] == "running"
    azure.later(hours=6)
    assert state(azure)[0] == "deallocated"


def test_a_schedule_that_is_written_late_may_act_at_its_old_time_all_the_same(azure: LoopbackAzure) -> None:
    azure.now = TEN
    azure.set(late_timer="old time too")
    machine_id = azure.launch()
    daily(azure, machine_id, "1130")
    azure.later(minutes=61)
    daily(azure, machine_id, "1300")

    azure.later(hours=1)

    assert state(azure) == ("deallocated", 90 * 60)


@pytest.mark.parametrize(("time", "is_today"), [("1031", True), ("1030", False)])
def test_a_schedule_acts_today_only_with_31_minutes_to_go(azure: LoopbackAzure, time: str, is_today: bool) -> None:
    azure.now = TEN
    daily(azure, azure.launch(), time)

    azure.later(hours=1)

    assert (state(azure)[0] == "deallocated") is is_today


def test_a_region_may_have_no_schedules_and_its_provider_says_so(azure: LoopbackAzure) -> None:
    azure.set(no_daily_timer=["eastus"])
    answer = daily(azure, azure.launch(), "1130")
    provider = f"/subscriptions/{azure.subscription}/providers/Microsoft.DevTestLab?api-version=2021-04-01"
    [kind] = azure.raw("GET", provider)[2]["resourceTypes"]

    assert (answer[0], answer[1]["error"]["code"]) == (400, "LocationNotAvailableForResourceType")
    assert (kind["resourceType"], "East US" in kind["locations"], "West US" in kind["locations"]) == (
        "schedules",
        False,
        True,
    )


def test_an_instance_that_is_being_created_takes_no_schedule(azure: LoopbackAzure) -> None:
    azure.break_next("StuckOperation", type="Microsoft.Compute/virtualMachines")
    azure.group()
    azure.vnet("theirs")
    body = machine("eastus", subnet=azure.subnet_id("theirs"))
    azure.compute.virtual_machines.begin_create_or_update("theirs", "vm", body, polling=False)
    machine_id = azure.instances()[0]["id"]

    refused = daily(azure, machine_id, "1130")
    azure.finish()

    assert (refused[0], refused[1]["error"]["code"]) == (409, "Conflict")
    assert daily(azure, machine_id, "1130")[0] == 201
