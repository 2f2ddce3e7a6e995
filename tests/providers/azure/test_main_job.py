"""The main job on Azure, end to end: the same commands, against an ARM cloud on loopback."""

import subprocess
import sys

from support.azure import LoopbackAzure
from support.cli import Operator, Ran
from support.wire import LOST, refuse, refuse_arm

from gpuctl.domain.instance import Outcome, Status

T4 = ("provision", "Standard_NC4as_T4_v3", "--region", "eastus")
# The first example of the document that gpuctl began with.
DOCUMENTED = (
    "provision", "Standard_NC6", "--region", "eastus", "--disk-size", "100", "--ttl", "60", "--user", "user-123",
    "--task", "task-456", "--tag", "environment=production", "--tag", "project=medical-analysis",
    "--purpose", "Medical Document Analysis",
)  # fmt: skip


def ours(azure_cloud: LoopbackAzure) -> list[str]:
    return [resource["id"] for resource in azure_cloud.resources() if "gpuctl" in resource["id"]]


def actions(ran: Ran) -> list[tuple[str, str]]:
    return [(action["action"], action["reason"]) for action in ran.json["actions"]]


def test_the_documents_example_is_started_costs_what_it_says_and_is_terminated_by_the_reaper(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    instance = operator.json(*DOCUMENTED, "--allow-retired").instance
    assert (instance["status"], instance["provider"], instance["costPerHour"]) == ("READY", "AZURE", 0.9)
    assert instance["publicIp"]
    assert instance["privateIp"]
    group = f"gpuctl-{instance['id']}"
    assert {"resourceGroup": group, "location": "eastus", "vmSize": "Standard_NC6"}.items() <= instance[
        "metadata"
    ].items()
    operator.later(minutes=59)
    assert actions(operator.json("reap", "--sweep")) == []
    operator.later(minutes=1)
    assert actions(operator.json("reap", "--wait"))[:1] == [("terminate", "expired")]
    ended = operator.json("get", instance["id"]).instance
    assert (ended["status"], ended["totalCost"]) == ("TERMINATED", 0.9)
    assert azure_cloud.resources() == []


def test_a_retired_type_is_refused_and_its_successor_named(operator: Operator, azure_cloud: LoopbackAzure) -> None:
    refused = operator.json(*DOCUMENTED)
    assert refused.code == 2
    assert "Standard_NC4as_T4_v3" in refused.json["error"]["hint"]
    assert azure_cloud.calls() == []


def test_get_shows_what_protects_it_and_extend_moves_all_of_it(operator: Operator, azure_cloud: LoopbackAzure) -> None:
    instance = operator.json(*T4, "--ttl", "30", "--name", "n").instance
    timer = next(item for item in instance["safeguards"] if item["mechanism"] == "timer")
    assert (timer["status"], timer["actsAt"]) == ("configured", "2026-11-24T12:35:00Z")
    moved = operator.json("extend", "n", "--by", "30m").instance
    timer = next(item for item in moved["safeguards"] if item["mechanism"] == "timer")
    assert (moved["expiresAt"], timer["actsAt"]) == ("2026-11-24T13:00:00Z", "2026-11-24T13:02:00Z")


def test_a_timer_that_cannot_be_moved_leaves_the_old_deadline(operator: Operator, azure_cloud: LoopbackAzure) -> None:
    operator.json(*T4, "--ttl", "30", "--name", "n")
    operator.wire.arm("PUT schedules", *[refuse_arm("AuthorizationFailed", 403)] * 4)
    assert operator.json("extend", "n", "--by", "30m").code == 8
    assert operator.json("get", "n").instance["expiresAt"] == "2026-11-24T12:30:00Z"


def test_a_ttl_of_a_day_exceeds_the_timer_and_is_refused(operator: Operator, azure_cloud: LoopbackAzure) -> None:
    (operator.folder / "config.toml").write_text('max_ttl = "2d"\n')
    refused = operator.run(*T4, "--ttl", "24h", environ={"GPUCTL_CONFIG": str(operator.folder / "config.toml")})
    assert (refused.code, ours(azure_cloud)) == (2, [])
    assert "a shutdown schedule has a time of day and no date" in refused.err


def test_no_capacity_leaves_nothing_and_may_be_asked_again(operator: Operator, azure_cloud: LoopbackAzure) -> None:
    azure_cloud.break_next("AllocationFailed", type="Microsoft.Compute/virtualMachines", method="PUT")
    refused = operator.json(*T4)
    assert (refused.code, refused.json["error"]["code"]) == (5, "capacity")
    assert "AllocationFailed" in refused.instance["attempts"][0]["detail"]
    assert ours(azure_cloud) == []
    operator.later(minutes=3)
    assert operator.json(*T4).code == 0


def test_no_capacity_in_one_region_leads_to_the_next_and_what_was_made_is_terminated(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    azure_cloud.break_next("AllocationFailed", type="Microsoft.Compute/virtualMachines", method="PUT")
    ran = operator.json("provision", "Standard_NC4as_T4_v3", "--region", "eastus,westus2")
    assert (ran.code, ran.instance["region"]) == (0, "westus2")
    first, second = ran.instance["attempts"]
    assert (first["outcome"], second["outcome"]) == ("leftovers", "created")
    assert second["token"] == f"{first['token']}-2"
    assert not [instance for instance in ours(azure_cloud) if f"gpuctl-{first['token']}/" in instance]
    operator.later(minutes=16)
    operator.run("reap", "--sweep")
    again = operator.json("get", ran.instance["id"]).instance
    assert [attempt["outcome"] for attempt in again["attempts"]] == ["ended", "created"]
    assert again["status"] == "READY"


def test_no_quota_in_one_region_leads_to_the_next(operator: Operator, azure_cloud: LoopbackAzure) -> None:
    azure_cloud.set(quotas={"eastus": {"Standard NCASv3_T4 Family": 0}})
    ran = operator.json("provision", "Standard_NC4as_T4_v3", "--region", "eastus,westus2")
    assert (ran.code, ran.instance["region"]) == (0, "westus2")


def test_where_one_cloud_has_no_quota_the_other_stands_in_for_it(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    operator.wire.arm("RunInstances", refuse("VcpuLimitExceeded"))
    ran = operator.json("provision", "--gpu", "T4", "--region", "us-east-1,westeurope", "--name", "n")
    assert (ran.code, ran.instance["provider"], ran.instance["region"]) == (0, "AZURE", "westeurope")
    assert [attempt["outcome"] for attempt in ran.instance["attempts"]] == ["refused", "created"]
    assert ran.instance["account"] != "123456789012"
    assert len(operator.wire.calls("RunInstances")) == 1
    operator.run("terminate", "n", "--yes")
    assert (operator.active, ours(azure_cloud)) == ([], [])


def test_what_one_cloud_still_holds_keeps_the_record_there(operator: Operator, azure_cloud: LoopbackAzure) -> None:
    azure_cloud.set(quotas={"eastus": {"Standard NCASv3_T4 Family": 0}})
    ran = operator.run("provision", "--gpu", "T4", "--region", "us-east-1,eastus", "--max-price", "0.53")
    assert ran.code == 6
    assert "us-east-1 is skipped until the leftovers in azure are removed" in ran.err
    assert (operator.active, ours(azure_cloud)) == ([], [])


def test_a_cloud_that_nobody_is_logged_in_to_is_left_out(operator: Operator, azure_cloud: LoopbackAzure) -> None:
    operator.wire.arm("GetCallerIdentity", *[refuse("InvalidClientTokenId", 403)] * 4)
    ran = operator.run("provision", "--gpu", "T4", "--region", "us-east-1,eastus", "-o", "json")
    assert (ran.code, ran.instance["provider"]) == (0, "AZURE")
    assert "aws is skipped: " in ran.err


def test_quota_is_exit_6_and_permission_exit_4(operator: Operator, azure_cloud: LoopbackAzure) -> None:
    azure_cloud.set(quotas={"eastus": {"Standard NCASv3_T4 Family": 0}})
    assert operator.json(*T4).code == 6
    azure_cloud.set(quotas={})
    operator.wire.arm("PUT networkSecurityGroups", refuse_arm("AuthorizationFailed", 403))
    assert operator.json(*T4).code == 4
    assert ours(azure_cloud) == []


def test_what_could_not_be_let_go_of_is_exit_8_and_the_reaper_goes_on(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    operator.wire.arm("PUT virtualMachines", refuse_arm("SkuNotAvailable"))
    operator.wire.arm("DELETE resourceGroups", *[refuse_arm("InternalServerError", 500)] * 4)
    left = operator.json(*T4)
    assert (left.code, len(ours(azure_cloud))) == (8, 3)
    operator.later(minutes=1)
    operator.run("reap")
    assert ours(azure_cloud) == []


def test_a_record_given_up_without_an_instance_takes_its_group_with_it(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    operator.wire.arm("PUT virtualMachines", *[LOST] * 4)
    azure_cloud.break_next("ServerTimeout", type="Microsoft.Compute/virtualMachines", method="PUT", times=4)
    assert operator.json(*T4).code == 5
    assert ours(azure_cloud) == []


def test_a_group_that_holds_something_of_others_stays_until_forced_and_its_instance_does_not(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    vm = operator.json(*T4, "--name", "n").instance
    azure_cloud.disk("precious", group=vm["cloudInstanceId"])
    spared = operator.json("terminate", "n", "--timeout", "1s")
    assert spared.code == 8
    assert "precious" in spared.json["error"]["message"]
    assert [vm["state"] for vm in azure_cloud.instances()] == ["terminated"]
    assert operator.json("terminate", "n", "--force").code == 0
    assert ours(azure_cloud) == []


def test_an_instance_that_was_powered_off_from_within_is_shown_to_bill_and_still_ends(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    instance = operator.json(*T4, "--name", "n").instance
    azure_cloud.shut_down(azure_cloud.instances()[0]["id"])
    observed = operator.json("get", "n", "--refresh").instance
    assert (observed["status"], observed["statusMessage"]) == ("READY", "powered off, but still billed")
    operator.later(minutes=61)
    operator.run("reap", "--wait")
    assert operator.json("get", instance["id"]).instance["status"] == "TERMINATED"
    assert ours(azure_cloud) == []


def test_the_reaper_sets_the_timer_if_the_create_was_killed_before_it(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    operator.wire.arm("PUT schedules", *[refuse_arm("InternalServerError", 500)] * 8)
    started = operator.json(*T4, "--name", "n")
    assert started.code == 0
    assert azure_cloud.resources("schedules") == []
    operator.later(minutes=6)
    operator.run("reap")
    assert len(azure_cloud.resources("schedules")) == 1


def test_instances_of_both_clouds_in_one_state(operator: Operator, azure_cloud: LoopbackAzure) -> None:
    operator.json(*T4, "--name", "blue")
    operator.provision("--name", "orange")
    assert {instance["provider"] for instance in operator.json("list").json["instances"]} == {"AZURE", "AWS"}
    assert operator.json("stats").json["statistics"]["providerBreakdown"] == {"AWS": 1, "AZURE": 1}
    operator.later(minutes=61)
    operator.wire.arm("GET subscriptions", *[refuse_arm("InternalServerError", 500)] * 20)
    half = operator.json("reap", "--wait")
    assert half.code == 8
    assert {vm["cloud"]: vm["state"] for vm in operator.cloud.instances()} == {
        "azure": "running",
        "aws": "terminated",
    }
    operator.wire.reset()
    assert operator.json("reap", "--wait").code == 0
    assert {vm["state"] for vm in operator.cloud.instances()} == {"terminated"}


def test_an_instance_in_no_record_is_adopted_while_in_time_and_terminated_when_late(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    instance = operator.json(*T4, "--name", "n").instance
    (operator.folder / "config.toml").write_text('[azure]\nregion = "eastus"\n')
    fields = {"GPUCTL_CONFIG": str(operator.folder / "config.toml")}
    state = operator.state.read_text()
    operator.state.unlink()
    assert operator.run("recover", "--yes", environ=fields).code == 0
    back = operator.json("get", instance["id"]).instance
    assert (back["name"], back["expiresAt"], back["tags"]) == ("n", instance["expiresAt"], {})
    assert state != operator.state.read_text()


def test_the_attempt_names_its_group_before_anything_is_made(operator: Operator, azure_cloud: LoopbackAzure) -> None:
    operator.wire.arm("PUT resourceGroups", refuse_arm("AuthorizationFailed", 403))
    operator.json(*T4)
    (record,) = operator.records
    assert (record.status, record.attempts[0].outcome) == (Status.FAILED, Outcome.REFUSED)
    assert any(entry.detail and record.attempts[0].token in entry.detail for entry in record.history)


def test_ending_and_listing_load_nothing_of_the_network_or_of_logins() -> None:
    code = """
import sys
from gpuctl.providers.azure import open_provider
from gpuctl.providers.base import Connection
from gpuctl.errors import GpuctlError
provider = open_provider(Connection(sandbox_url="http://127.0.0.1:1"))
for call in (lambda: provider.list_instances("eastus"), lambda: provider.terminate("eastus", ["gpuctl-x"])):
    try:
        call()
    except GpuctlError:
        pass
print([name for name in ("azure.mgmt.network", "azure.identity", "boto3") if name in sys.modules])
"""
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_an_interrupted_spot_instance_leaves_no_parts(operator: Operator, azure_cloud: LoopbackAzure) -> None:
    started = operator.json(*T4, "--spot", "--name", "n")
    assert started.code == 0, started.out
    operator.later(minutes=6)
    azure_cloud.interrupt(azure_cloud.instances()[0]["id"])
    operator.run("reap", "--sweep", "--wait")
    assert operator.json("get", "n").instance["statusReason"] == "interrupted"
    assert ours(azure_cloud) == []


def test_no_place_in_one_region_is_tried_in_the_next_and_what_was_made_there_is_terminated(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    azure_cloud.break_next("AllocationFailed", type="Microsoft.Compute/virtualMachines", method="PUT")
    started = operator.json("provision", "Standard_NC4as_T4_v3", "--region", "eastus,westus2", "--name", "n")
    assert started.code == 0, started.out
    instance = started.instance
    assert (instance["region"], instance["status"]) == ("westus2", "READY")
    assert [attempt["outcome"] for attempt in instance["attempts"]] == ["leftovers", "created"]
    assert instance["cloudInstanceId"] == f"gpuctl-{instance['id']}-2"
    assert {resource["location"] for resource in azure_cloud.resources() if "gpuctl" in resource["id"]} == {"westus2"}
    operator.later(minutes=20)
    operator.run("reap", "--sweep")
    assert [attempt["outcome"] for attempt in operator.json("get", "n").instance["attempts"]] == ["ended", "created"]


def test_what_a_first_attempt_left_behind_is_terminated_by_the_reaper_while_the_second_runs(
    operator: Operator, azure_cloud: LoopbackAzure
) -> None:
    operator.wire.arm("PUT virtualMachines", refuse_arm("SkuNotAvailable"))
    operator.wire.arm("DELETE resourceGroups", *[refuse_arm("InternalServerError", 500)] * 4)
    started = operator.json("provision", "Standard_NC4as_T4_v3", "--region", "eastus,westus2", "--name", "n")
    assert started.code == 0, started.out
    assert {resource["location"] for resource in azure_cloud.resources() if "gpuctl" in resource["id"]} == {
        "eastus",
        "westus2",
    }
    operator.later(minutes=1)
    operator.run("reap")
    assert {resource["location"] for resource in azure_cloud.resources() if "gpuctl" in resource["id"]} == {"westus2"}
    assert [vm["state"] for vm in azure_cloud.instances()] == ["running"]


def test_a_locked_group_is_reported_with_what_unlocks_it(operator: Operator, azure_cloud: LoopbackAzure) -> None:
    instance = operator.json(*T4).instance
    operator.wire.arm("DELETE resourceGroups", *[refuse_arm("ScopeLocked")] * 30)
    ended = operator.json("terminate", instance["id"], "--timeout", "5s")
    assert (ended.code, ended.json["error"]["hint"]) == (8, "az lock list, and delete the lock on that group")
    reaped = operator.json("reap", "--sweep")
    assert (reaped.code, reaped.json["error"]["hint"]) == (8, "az lock list, and delete the lock on that group")
