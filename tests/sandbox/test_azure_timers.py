"""What ends a machine's bill on the loopback ARM without its owner: the daily shutdown and the one-shot."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from support.azure import LoopbackAzure

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
    place = f"/subscriptions/{azure.subscription}/resourceGroups/theirs/providers/Microsoft.DevTestLab/schedules"
    status, _, said = azure.raw(method, f"{place}/shutdown-computevm-{name}?api-version=2018-09-15", body)
    return status, said


def scheduled(azure: LoopbackAzure, what: str, body: dict[str, Any]) -> tuple[int, Any]:
    place = f"/subscriptions/{azure.subscription}/providers/Microsoft.ComputeSchedule/locations/eastus"
    status, _, said = azure.raw("POST", f"{place}/virtualMachines{what}?api-version=2025-05-01", body)
    return status, said


def submit(azure: LoopbackAzure, machine_id: str, at: datetime, **changes: Any) -> tuple[int, Any]:
    body = {
        "schedule": {"deadline": at.isoformat(), "timezone": "UTC", "deadlineType": "InitiateAt"},
        "executionParameters": {"retryPolicy": {"retryCount": 3, "retryWindowInMinutes": 30}},
        "resources": {"ids": [machine_id]},
        "correlationid": "6f1a4f6c-3f0e-4c8a-9d0a-2f4f0f8f0e4d",
        **changes,
    }
    return scheduled(azure, "SubmitDeallocate", body)


def about(*operation_ids: str) -> dict[str, Any]:
    return {"operationIds": list(operation_ids), "correlationid": "6f1a4f6c-3f0e-4c8a-9d0a-2f4f0f8f0e4d"}


def state(azure: LoopbackAzure) -> tuple[str, float]:
    [one] = azure.machines()
    return one["state"], one["billed_s"]


def test_the_daily_timer_deallocates_at_its_time_though_nobody_looks_until_later(azure: LoopbackAzure) -> None:
    azure.now = TEN
    machine_id = azure.launch()
    made, again = daily(azure, machine_id, "1130"), daily(azure, machine_id, "1130")

    azure.later(minutes=89)
    before = state(azure)
    azure.later(hours=5)

    assert (made[0], again[0]) == (201, 200)
    assert before == ("running", 89 * 60)
    assert state(azure) == ("deallocated", 90 * 60)
    assert azure.compute.virtual_machines.instance_view("theirs", "vm").statuses[1].code == "PowerState/deallocated"


def test_the_daily_timer_comes_again_every_day_and_moves_when_it_is_written_anew(azure: LoopbackAzure) -> None:
    azure.now = TEN
    machine_id = azure.launch()
    daily(azure, machine_id, "1130")
    daily(azure, machine_id, "0930")

    azure.later(hours=23)
    assert state(azure) == ("running", 23 * 3600)
    azure.later(minutes=30)
    assert state(azure) == ("deallocated", 23.5 * 3600)
    azure.compute.virtual_machines.begin_start("theirs", "vm").result()
    azure.later(days=1)
    assert state(azure) == ("deallocated", 47.5 * 3600)


def test_a_daily_timer_is_read_back_disabled_and_removed(azure: LoopbackAzure) -> None:
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
    assert daily(azure, machine_id, "", method="DELETE")[0] == 200
    assert daily(azure, machine_id, "", method="DELETE")[0] == 204
    assert daily(azure, machine_id, "", method="GET")[0] == 404


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


def test_a_daily_timer_bears_the_name_of_its_machine(azure: LoopbackAzure) -> None:
    answer = daily(azure, azure.launch(), "1130", name="another")

    assert (answer[0], answer[1]["error"]["code"]) == (400, "InvalidScheduleId")


def test_a_daily_timer_goes_with_its_group_and_outlives_its_machine(azure: LoopbackAzure) -> None:
    azure.now = TEN
    daily(azure, azure.launch(), "1130")
    azure.compute.virtual_machines.begin_delete("theirs", "vm").result()
    assert len(azure.resources("schedules")) == 1

    azure.later(days=2)
    azure.groups.begin_delete("theirs").result()

    assert azure.resources() == []


def test_the_one_shot_timer_deallocates_once(azure: LoopbackAzure) -> None:
    azure.now = TEN
    machine_id = azure.launch()

    status, said = submit(azure, machine_id, TEN + timedelta(minutes=62))

    [result] = said["results"]
    operation = result["operation"]["operationId"]
    assert (status, result["errorCode"], result["operation"]["state"]) == (200, None, "Scheduled")
    azure.later(hours=3)
    assert state(azure) == ("deallocated", 62 * 60)
    [told] = scheduled(azure, "GetOperationStatus", about(operation))[1]["results"]
    assert told["operation"]["state"] == "Succeeded"
    assert told["operation"]["completedAt"].startswith("2026-11-24T11:02:00")
    azure.compute.virtual_machines.begin_start("theirs", "vm").result()
    azure.later(days=2)
    assert state(azure)[0] == "running"


def test_a_one_shot_timer_that_was_cancelled_does_nothing(azure: LoopbackAzure) -> None:
    azure.now = TEN
    operation = submit(azure, azure.launch(), TEN + timedelta(hours=1))[1]["results"][0]["operation"]["operationId"]

    [told] = scheduled(azure, "CancelOperations", about(operation))[1]["results"]

    assert told["operation"]["state"] == "Cancelled"
    azure.later(hours=2)
    assert state(azure)[0] == "running"


def test_a_one_shot_timer_tells_of_a_machine_that_is_not_there(azure: LoopbackAzure) -> None:
    azure.now = TEN
    machine_id = azure.launch()
    operation = submit(azure, machine_id, TEN + timedelta(hours=1))[1]["results"][0]["operation"]["operationId"]
    azure.compute.virtual_machines.begin_delete("theirs", "vm").result()

    [refused] = submit(azure, machine_id, TEN + timedelta(hours=1))[1]["results"]
    azure.later(hours=2)
    [failed] = scheduled(azure, "GetOperationStatus", about(operation))[1]["results"]
    [unknown] = scheduled(azure, "GetOperationStatus", about("6f1a4f6c-3f0e-4c8a-9d0a-2f4f0f8f0e4d"))[1]["results"]

    assert (refused["errorCode"], refused["operation"]) == ("ResourceNotFound", None)
    assert failed["operation"]["state"] == "Failed"
    assert unknown["errorCode"] == "OperationNotFound"


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": {"deadline": "2026-11-24T09:59:00Z", "timezone": "UTC", "deadlineType": "InitiateAt"}},
        {"schedule": {"deadline": "soon", "timezone": "UTC", "deadlineType": "InitiateAt"}},
        {"schedule": {"deadline": "2026-11-24T11:00:00Z", "timezone": "UTC", "deadlineType": "About"}},
        {"resources": {"ids": []}},
        {"correlationid": None},
        {"when": "2026-11-24T11:00:00Z"},
    ],
)
def test_a_one_shot_timer_that_cannot_be_is_refused(azure: LoopbackAzure, changes: dict[str, Any]) -> None:
    azure.now = TEN

    status, said = submit(azure, azure.launch(), TEN + timedelta(hours=1), **changes)

    assert status == 400
    assert said["error"]["code"] in ("BadRequest", "InvalidRequestContent", "InvalidParameter")


def test_the_one_shot_timer_can_be_missing_from_a_region_or_a_subscription(azure: LoopbackAzure) -> None:
    azure.now = TEN
    machine_id = azure.launch()
    azure.set(no_one_shot_timer=["eastus"], unregistered=["Microsoft.ComputeSchedule"])

    unregistered = submit(azure, machine_id, TEN + timedelta(hours=1))
    azure.set(unregistered=[])
    nowhere = submit(azure, machine_id, TEN + timedelta(hours=1))

    assert (unregistered[0], unregistered[1]["error"]["code"]) == (409, "MissingSubscriptionRegistration")
    assert (nowhere[0], nowhere[1]["error"]["code"]) == (400, "NoRegisteredProviderFound")
