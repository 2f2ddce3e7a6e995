"""The main job on Google Cloud, end to end: the same commands, against a Compute Engine on loopback."""

import json
from pathlib import Path

import pytest
from support.cli import Operator, Ran
from support.google import LoopbackGoogle
from support.wire import LOST, NEVER_ARRIVED, Fault, refuse_google

L4 = ("provision", "g2-standard-4", "--region", "us-central1")
T4 = ("provision", "n1-standard-4+1xnvidia-tesla-t4", "--region", "us-central1")


def active(google_cloud: LoopbackGoogle) -> list[str]:
    return [item["id"] for item in google_cloud.resources() if item["type"] != "firewall"]


def actions(ran: Ran) -> list[tuple[str, str]]:
    return [(action["action"], action["reason"]) for action in ran.json["actions"]]


@pytest.mark.parametrize(("words", "price"), [(L4, 0.7068), (T4, 0.54)])
def test_an_instance_is_started_costs_what_the_plan_said_and_is_terminated_by_the_reaper(
    operator: Operator, google_cloud: LoopbackGoogle, words: tuple[str, ...], price: float
) -> None:
    instance = operator.json(*words, "--user", "Ana.B", "--tag", "project=x").instance
    assert (instance["status"], instance["provider"], instance["market"]) == ("READY", "GCP", "on-demand")
    assert instance["costPerHour"] == pytest.approx(price, rel=0.05)
    assert instance["account"] == "sandbox-project/123456789012"
    assert (instance["zone"], instance["cloudInstanceId"]) == ("us-central1-a", f"us-central1-a/{instance['id']}")
    assert instance["publicIp"] and instance["privateIp"]
    operator.later(minutes=59)
    assert actions(operator.json("reap", "--sweep")) == []
    operator.later(minutes=1)
    assert actions(operator.json("reap", "--wait"))[:1] == [("terminate", "expired")]
    ended = operator.json("get", instance["id"]).instance
    assert (ended["status"], ended["totalCost"]) == ("TERMINATED", pytest.approx(price, rel=0.05))
    assert active(google_cloud) == []


def test_get_shows_both_timers_and_extend_moves_what_can_be_moved(
    operator: Operator, google_cloud: LoopbackGoogle
) -> None:
    instance = operator.json(*L4, "--ttl", "30", "--name", "n").instance
    timer = next(item for item in instance["safeguards"] if item["mechanism"] == "timer")
    assert (timer["status"], timer["actsAt"]) == ("configured", "2026-11-24T12:32:00Z")
    assert timer["detail"] == (
        "the guard is installed; it powers the instance off; after that, the disk still costs $10.00 a month until the "
        "reaper deletes the instance; Google itself deletes the instance at 2026-11-24T14:02:00Z if it still runs"
    )
    moved = operator.json("extend", "n", "--by", "30m").instance
    timer = next(item for item in moved["safeguards"] if item["mechanism"] == "timer")
    assert (moved["expiresAt"], timer["actsAt"]) == ("2026-11-24T13:00:00Z", "2026-11-24T13:02:00Z")


def test_extend_never_goes_past_googles_own_limit(operator: Operator, google_cloud: LoopbackGoogle) -> None:
    operator.json(*L4, "--name", "n")
    operator.later(minutes=30)
    refused = operator.run("extend", "n", "--ttl", "2h")
    assert refused.code == 2
    assert "the deadline can be at most 2026-11-24T14:00:00Z" in refused.err
    assert operator.json("get", "n").instance["expiresAt"] == "2026-11-24T13:00:00Z"
    assert operator.run("extend", "n", "--ttl", "90m").code == 0


@pytest.mark.parametrize("fault", [LOST, NEVER_ARRIVED], ids=["lost", "never arrived"])
@pytest.mark.parametrize("call", ["setMetadata", "setLabels"])
def test_a_deadline_that_could_not_be_moved_leaves_the_old_one(
    operator: Operator, google_cloud: LoopbackGoogle, call: str, fault: Fault
) -> None:
    operator.json(*L4, "--ttl", "30", "--name", "n")
    operator.wire.arm(f"POST instances/{call}", fault)
    assert operator.json("extend", "n", "--by", "30m").code == 8
    record = operator.json("get", "n").instance
    assert record["expiresAt"] == "2026-11-24T12:30:00Z"
    shown = google_cloud.get(record["cloudInstanceId"])
    entries = {item["key"]: item["value"] for item in shown["metadata"]["items"]}
    assert (entries["gpuctl-expires-at"], shown["labels"]["gpuctl-expires-at"]) == ("20261124t123000z",) * 2


def test_a_deadline_that_moves_after_extend_has_given_up_is_not_believed(
    operator: Operator, google_cloud: LoopbackGoogle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import timedelta

    from gpuctl.providers.gcp import deadline

    monkeypatch.setattr(deadline, "_WITHIN", timedelta(0))
    operator.json(*L4, "--ttl", "30", "--name", "n")
    google_cloud.break_next("StuckOperation", method="instances.setLabels")
    refused = operator.json("extend", "n", "--by", "30m")
    assert (refused.code, "has not ended yet" in refused.json["error"]["message"]) == (8, True)
    google_cloud.finish()
    record = operator.json("get", "n", "--refresh").instance
    assert google_cloud.get(record["cloudInstanceId"])["labels"]["gpuctl-expires-at"] == "20261124t130000z"
    assert record["expiresAt"] == "2026-11-24T12:30:00Z"
    operator.later(minutes=31)
    assert actions(operator.json("reap", "--sweep", "--wait"))[:1] == [("terminate", "expired")]
    assert active(google_cloud) == []


def test_a_zone_without_room_leads_to_the_zone_that_google_names(
    operator: Operator, google_cloud: LoopbackGoogle
) -> None:
    google_cloud.set(sold_out={"us-central1-a": ["g2-standard-4"]}, advised=["us-central1-f"])
    ran = operator.json(*L4)
    assert (ran.code, ran.instance["zone"]) == (0, "us-central1-f")
    assert [attempt["outcome"] for attempt in ran.instance["attempts"]] == ["refused", "created"]
    assert len(active(google_cloud)) == 2


def test_a_region_without_room_leads_to_the_next_and_none_to_exit_5(
    operator: Operator, google_cloud: LoopbackGoogle
) -> None:
    full = {zone: ["g2-standard-4"] for zone in ("us-central1-a", "us-central1-b", "us-central1-c", "us-central1-f")}
    google_cloud.set(sold_out=full)
    ran = operator.json("provision", "g2-standard-4", "--region", "us-central1,us-east1")
    assert (ran.code, ran.instance["zone"]) == (0, "us-east1-b")
    operator.later(minutes=4)
    refused = operator.json(*L4)
    assert (refused.code, refused.json["error"]["code"]) == (5, "capacity")
    assert len(active(google_cloud)) == 2


def test_a_stockout_that_comes_late_leads_to_the_next_zone_too(
    operator: Operator, google_cloud: LoopbackGoogle, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import timedelta

    from gpuctl.providers.gcp import launch

    monkeypatch.setattr(launch, "_REFUSED_WITHIN", timedelta(0))
    google_cloud.set(polls=12, sold_out={"us-central1-a": ["g2-standard-4"]})
    ran = operator.json(*L4)
    assert (ran.code, ran.instance["zone"]) == (0, "us-central1-b")
    assert len(active(google_cloud)) == 2


def test_no_quota_is_exit_6_and_an_unreachable_cloud_exit_5(operator: Operator, google_cloud: LoopbackGoogle) -> None:
    google_cloud.set(quotas={"project": {"GPUS_ALL_REGIONS": 0}})
    refused = operator.json(*L4)
    assert (refused.code, refused.json["error"]["code"]) == (6, "quota")
    assert "Limit: 0.0 globally" in refused.json["error"]["message"]
    operator.wire.arm("GET project", *[refuse_google("backendError", 503)] * 3)
    unreachable = operator.json(*L4)
    assert (unreachable.code, unreachable.json["error"]["code"]) == (5, "unreachable")
    assert active(google_cloud) == []


def test_a_lost_reply_of_the_insert_is_one_instance(operator: Operator, google_cloud: LoopbackGoogle) -> None:
    operator.wire.arm("POST instances", LOST)
    assert operator.json(*L4).code == 0
    assert len(google_cloud.instances()) == 1


def test_spot_is_interrupted_and_the_operations_say_so(operator: Operator, google_cloud: LoopbackGoogle) -> None:
    instance = operator.json(*L4, "--spot", "--name", "n").instance
    assert instance["market"] == "spot"
    operator.later(minutes=20)
    google_cloud.interrupt(instance["cloudInstanceId"])
    operator.later(minutes=5)
    operator.run("reap", "--sweep")
    ended = operator.json("get", "n").instance
    assert (ended["status"], ended["statusReason"]) == ("TERMINATED", "interrupted")
    assert ended["terminatedAt"] == "2026-11-24T12:20:00Z"


def test_a_power_off_from_inside_is_terminated_at_the_deadline(
    operator: Operator, google_cloud: LoopbackGoogle
) -> None:
    instance = operator.json(*L4, "--name", "n").instance
    operator.later(minutes=20)
    google_cloud.shut_down(instance["cloudInstanceId"])
    operator.run("reap", "--sweep")
    stopped = operator.json("get", "n", "--refresh").instance
    timer = next(item for item in stopped["safeguards"] if item["mechanism"] == "timer")
    assert (stopped["status"], timer["actsAt"]) == ("READY", "2026-11-24T12:20:00Z")
    assert "powered off since 2026-11-24T12:20:00Z; after that, the disk still costs $10.00 a month" in timer["detail"]
    operator.later(minutes=40)
    operator.run("reap", "--wait")
    assert operator.json("get", "n").instance["status"] == "TERMINATED"
    assert active(google_cloud) == []


def test_an_instance_of_the_state_without_a_record_is_adopted_and_others_are_left(
    operator: Operator, google_cloud: LoopbackGoogle
) -> None:
    operator.json(*L4, "--name", "n")
    mine = {"gpuctl-id": "inst-0000000000zz", "gpuctl-state": operator.state_id}
    google_cloud.launch("inst-0000000000zz", labels=mine | {"gpuctl-expires-at": "20261124t121500z"})
    foreign = {"gpuctl-id": "inst-0000000000yy", "gpuctl-state": "another-state"}
    google_cloud.launch("inst-0000000000yy", labels=foreign | {"gpuctl-expires-at": "20261124t110000z"})
    google_cloud.launch("theirs")
    operator.later(minutes=20)
    operator.run("reap", "--sweep")
    running = [instance for instance in google_cloud.instances() if instance["state"] == "running"]
    names = sorted(instance["id"].split("/")[1] for instance in running)
    assert names == ["inst-0000000000yy", operator.records[0].id, "theirs"]


@pytest.mark.parametrize("how", ["warning", "unreachables", "error"])
def test_a_partial_list_closes_no_record(operator: Operator, google_cloud: LoopbackGoogle, how: str) -> None:
    operator.json(*L4, "--name", "n")
    google_cloud.set(zones_out={"us-central1-a": how})
    for _ in range(3):
        operator.later(minutes=10)
        assert operator.run("reap", "--sweep").code == 8
    assert operator.json("get", "n").instance["status"] == "READY"


def test_an_image_that_may_not_run_the_guard_is_reported_before_anything_is_written(
    operator: Operator, google_cloud: LoopbackGoogle
) -> None:
    other = "projects/cos-cloud/global/images/family/cos-stable"
    planned = operator.run(*L4, "--image", other, "--dry-run")
    assert operator.records == ()
    warned = operator.run(*L4, "--image", other)
    for ran in (planned, warned):
        assert ran.code == 0
        assert f"the guard may not run on the image `{other}`: it needs systemd" in ran.err
        assert "`max_ttl` + 2 min after its start (`max_ttl` is 2h)" in ran.err
    debian = "projects/debian-cloud/global/images/family/debian-12"
    assert "the guard may" not in operator.run(*L4, "--image", debian).err


@pytest.mark.parametrize(
    ("constraint", "needed"),
    [("compute.requireOsLogin", "need OS Login to be off"), ("compute.vmExternalIpAccess", "has a public IP")],
)
def test_an_organization_policy_is_named_with_what_it_forbids(
    operator: Operator, google_cloud: LoopbackGoogle, constraint: str, needed: str
) -> None:
    google_cloud.set(constraints=[constraint])
    refused = operator.json(*L4).json["error"]
    assert (refused["exitCode"], refused["code"]) == (4, "credentials")
    assert f"constraints/{constraint}" in refused["message"]
    assert needed in refused["hint"]
    assert active(google_cloud) == []


def test_a_lost_state_is_rebuilt_from_the_labels(operator: Operator, google_cloud: LoopbackGoogle) -> None:
    instance = operator.json(*L4, "--name", "n", "--user", "ana", "--tag", "project=x").instance
    operator.state.unlink()
    assert operator.run("recover", "--yes").code == 0
    operator.run("list", "--refresh")
    again = operator.json("get", instance["id"]).instance
    assert (again["name"], again["tags"], again["userId"]) == ("n", {"project": "x"}, "ana")
    assert again["cloudInstanceId"] == instance["cloudInstanceId"]


def test_doctor_looks_at_permissions_quota_and_zones(operator: Operator, google_cloud: LoopbackGoogle) -> None:
    argv = ("doctor", "--type", "g2-standard-4", "--region", "us-central1")
    checks = {item["check"]: item for item in operator.json(*argv).json["checks"]}
    named = ("credentials", "image", "create-permission", "terminate-permission", "quota", "zones")
    assert {name: checks[name]["status"] for name in named} == dict.fromkeys(named, "ok")
    assert "the project has billing" in checks["create-permission"]["message"]
    google_cloud.set(permissions=["compute.*"])
    (check,) = [item for item in operator.json(*argv).json["checks"] if item["check"] == "create-permission"]
    assert (check["status"], "has billing could not be queried" in check["message"]) == ("ok", True)
    google_cloud.set(permissions=["*"], billing="off")
    (check,) = [item for item in operator.json(*argv).json["checks"] if item["check"] == "create-permission"]
    assert (check["status"], check["message"]) == ("fail", "the project has no billing")
    google_cloud.set(permissions=["compute.projects.get", "compute.*.list", "compute.regions.*", "compute.images.*"])
    google_cloud.set(quotas={"us-central1": {"NVIDIA_L4_GPUS": 0}, "project": {"GPUS_ALL_REGIONS": 0}})
    checks = {item["check"]: item for item in operator.json(*argv).json["checks"]}
    assert checks["create-permission"]["status"] == checks["quota"]["status"] == "fail"
    assert "lacks `compute.instances.create`" in json.dumps(checks["create-permission"])
    assert google_cloud.instances() == []


def test_a_tag_that_is_no_label_is_refused_before_anything_is_written(
    operator: Operator, google_cloud: LoopbackGoogle, tmp_path: Path
) -> None:
    refused = operator.run(*L4, "--tag", "Env=prod")
    assert (refused.code, google_cloud.calls()) == (2, [])
    assert "does not accept" in refused.err
