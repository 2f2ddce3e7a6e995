"""What a user sees of Azure's shutdown timer: before a create, at a late extend, and while an instance starts."""

import pytest
from support.azure import LoopbackAzure
from support.cli import Operator
from support.wire import refuse_arm

T4 = ("provision", "Standard_NC4as_T4_v3", "--region", "eastus", "--name", "n")
NOT_CHECKED = (
    "not checked: Microsoft.Compute is not registered in this subscription yet; "
    "the first `gpuctl provision` registers it"
)
WRITES = ("PUT schedules", "PATCH resourceGroups", "PATCH virtualMachines")


def timer(operator: Operator) -> dict[str, str]:
    problems = operator.json("get", "n").instance["safeguards"]
    return next(item for item in problems if item["mechanism"] == "timer")


def written(operator: Operator) -> list[int]:
    return [len(operator.wire.calls(write)) for write in WRITES]


# before anything is made


def test_a_new_subscription_is_registered_once_and_the_timer_is_set(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    azure_cloud.set(registered=[])
    started = operator.run(*T4)
    assert started.code == 0
    assert "registering Microsoft.DevTestLab, Microsoft.Compute, Microsoft.Network in subscription" in started.err
    assert timer(operator)["status"] == "configured"
    assert "registering" not in operator.run(*T4[:-1], "second").err


def test_a_dry_run_registers_nothing(operator: Operator, azure_cloud: LoopbackAzure) -> None:
    azure_cloud.set(registered=["Microsoft.Compute"])
    assert operator.json(*T4, "--dry-run").code == 0
    assert operator.wire.calls("POST register") == []


def test_a_dry_run_on_a_new_subscription_shows_the_plan_without_the_image_check(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    azure_cloud.set(registered=[])
    ran = operator.run(*T4, "--dry-run")
    assert ran.code == 0, ran.err
    assert "Standard_NC4as_T4_v3" in ran.out
    assert NOT_CHECKED in ran.err
    assert operator.json(*T4, "--dry-run").json["count"] == 1
    assert operator.wire.calls("POST register") == []


def test_doctor_reports_what_a_new_subscription_keeps_it_from_checking(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    azure_cloud.set(registered=[])
    ran = operator.json("doctor", "--provider", "azure", "--region", "eastus")
    checks = {check["check"]: check for check in ran.json["checks"]}
    assert (checks["image"]["status"], checks["image"]["message"]) == ("unknown", NOT_CHECKED)
    assert (checks["quota"]["status"], checks["quota"]["message"]) == ("unknown", NOT_CHECKED)


def test_nothing_is_registered_before_the_cost_was_shown_and_confirmed(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    azure_cloud.set(registered=[])
    refused = operator.run(*T4[:-2], "--count", "2", terminal=True, typed="n\n")
    assert (refused.code, operator.wire.calls("POST register")) == (2, [])
    assert "until the deadline" in refused.err
    assert NOT_CHECKED not in refused.err
    agreed = operator.run(*T4[:-2], "--count", "2", terminal=True, typed="y\n").err
    assert agreed.index("until the deadline") < agreed.index("registering Microsoft.DevTestLab")
    assert len(azure_cloud.instances()) == 2


def test_an_image_that_does_not_exist_on_a_new_subscription_is_rejected_before_anything_is_made(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    azure_cloud.set(registered=[])
    ran = operator.json(*T4, "--image", "canonical:ubuntu:none:latest")
    assert (ran.code, list(operator.records), azure_cloud.resources()) == (2, [], [])


def test_a_size_that_a_new_subscription_may_not_have_leads_to_the_next_region(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    azure_cloud.set(registered=[], restrictions={"eastus": {T4[1]: "NotAvailableForSubscription"}})
    ran = operator.json("provision", T4[1], "--region", "eastus,westus2")
    assert (ran.code, ran.instance["region"]) == (0, "westus2"), ran.err


def test_a_login_that_may_not_register_makes_nothing_and_writes_nothing_down(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    azure_cloud.set(registered=["Microsoft.Compute", "Microsoft.Network"])
    operator.wire.arm("POST register", refuse_arm("AuthorizationFailed", 403))
    refused = operator.json(*T4)
    assert (refused.code, list(operator.records), azure_cloud.resources()) == (4, [], [])
    assert "az provider register --namespace Microsoft.DevTestLab" in refused.json["error"]["hint"]


def test_a_region_without_timers_is_refused_or_left_for_the_next(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    azure_cloud.set(no_daily_timer=["eastus"])
    refused = operator.json(*T4)
    assert (refused.code, list(operator.records), azure_cloud.resources()) == (2, [], [])
    assert "Azure has no shutdown timer in `eastus`" in refused.json["error"]["message"]
    elsewhere = operator.json("provision", "Standard_NC4as_T4_v3", "--region", "eastus,westus2")
    assert (elsewhere.code, elsewhere.instance["region"]) == (0, "westus2")


# extend


def test_an_extend_that_the_timer_cannot_follow_is_refused_and_the_instance_still_ends(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    operator.json(*T4)
    operator.later(minutes=40)
    refused = operator.json("extend", "n", "--by", "30m")
    assert (refused.code, refused.json["error"]["code"]) == (2, "usage")
    assert "its shutdown timer acts at 13:02 UTC" in refused.json["error"]["message"]
    assert "the deadline stays 2026-11-24 13:00:00 +0000" in refused.json["error"]["message"]
    operator.later(minutes=23)
    assert not azure_cloud.instances()[0]["bills"]


def test_an_extend_that_the_timer_serves_as_it_stands_needs_no_write_to_it(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    operator.json(*T4, "--ttl", "10")
    operator.later(minutes=9)
    assert operator.json("extend", "n", "--by", "20m").instance["expiresAt"] == "2026-11-24T12:30:00Z"
    assert len(operator.wire.calls("PUT schedules")) == 1
    operator.later(minutes=27)
    assert not azure_cloud.instances()[0]["bills"]


# what is written, and when


def test_an_instance_that_takes_its_time_is_written_to_once_and_not_while_it_is_made(
    operator: Operator, azure_cloud: LoopbackAzure, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gpuctl.providers.azure.create._VM_WITHIN_S", 0.05)
    azure_cloud.break_next("StuckOperation", type="Microsoft.Compute/virtualMachines", method="PUT")
    assert operator.json(*T4, "--timeout", "40s", "--keep").code == 8
    assert written(operator) == [1, 0, 0]
    operator.later(minutes=2)
    operator.run("reap", "--sweep")
    assert written(operator) == [1, 0, 0]
    azure_cloud.finish()
    operator.later(minutes=2)
    operator.run("reap", "--sweep")
    operator.run("reap", "--sweep")
    assert written(operator) == [2, 0, 0]
    assert timer(operator)["status"] == "configured"


def test_a_timer_that_is_set_is_read_once_and_not_written_again(operator: Operator, azure_cloud: LoopbackAzure) -> None:
    operator.json(*T4, "--no-wait")
    for _ in range(5):
        operator.later(minutes=6)
        operator.run("reap", "--sweep")
    assert written(operator) == [1, 0, 0]
    assert timer(operator)["actsAt"] == "2026-11-24T13:02:00Z"


# what is said


def test_get_shows_what_is_billed_after_the_timer_has_acted(operator: Operator, azure_cloud: LoopbackAzure) -> None:
    operator.json(*T4)
    assert timer(operator)["detail"] == (
        "stops the instance at 13:02 UTC (changeable until 12:31 UTC); after that, disk and public IP still cost "
        "$13.25 a month until the reaper deletes the instance"
    )
