"""Every command on Google Cloud that the main job does not show: at work on an instance, and about it."""

import os
from datetime import timedelta
from typing import Any

import pytest
from support.cli import Operator
from support.google import LoopbackGoogle
from support.reachable import Reachable

from gpuctl.providers.gcp import launch

L4_TYPE, T4_TYPE = "g2-standard-4", "n1-standard-4+1xnvidia-tesla-t4"
L4 = (L4_TYPE, "--region", "us-central1", "--name", "n")
T4 = (T4_TYPE, "--region", "us-central1", "--name", "n")


@pytest.fixture
def on_google(reachable: Reachable, google_cloud: LoopbackGoogle) -> Reachable:
    """An operator whose instances on Google Cloud lead to a real OpenSSH server."""
    names = ("GPUCTL_GCP_ENDPOINT", "GOOGLE_CLOUD_PROJECT")
    reachable.operator.environ |= {name: os.environ[name] for name in names}
    return reachable


def disks_and_instances(google_cloud: LoopbackGoogle) -> list[str]:
    return [item["id"] for item in google_cloud.resources() if item["type"] != "firewall"]


def event_names(operator: Operator, *argv: str) -> list[str]:
    return [event["event"].removeprefix("instance:") for event in operator.json("events", *argv).json["events"]]


@pytest.mark.parametrize(("words", "code"), [(L4, 0), (T4, 7)])
def test_run_returns_the_code_of_its_command_and_deletes_instance_and_disk(
    on_google: Reachable, google_cloud: LoopbackGoogle, words: tuple[str, ...], code: int
) -> None:
    operator = on_google.operator
    operator.cloud.now = operator.clock.now
    ran = operator.run("run", *words, "--", "bash", "-c", f"echo out; exit {code}")
    assert (ran.code, ran.out) == (code, "out\n"), ran.err
    assert disks_and_instances(google_cloud) == []
    shown = operator.json("get", "n").instance
    assert (shown["status"], shown["provider"], shown["instanceType"]) == ("TERMINATED", "GCP", words[0])


def test_ssh_runs_a_command_on_the_instance(on_google: Reachable, google_cloud: LoopbackGoogle) -> None:
    assert on_google.operator.json("provision", *L4).code == 0
    done = on_google.run("ssh", "n", "--", "bash", "-c", "echo there; exit 7")
    assert (done.returncode, done.stdout) == (7, b"there\n"), done.stderr


def test_wait_returns_when_it_is_ready_and_when_it_is_gone(
    operator: Operator, google_cloud: LoopbackGoogle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(launch, "_REFUSED_WITHIN", timedelta(0))
    google_cloud.set(polls=12)
    created = operator.json("provision", *L4, "--no-wait").instance
    assert created["status"] in ("CONFIGURING", "PROVISIONING")
    assert operator.json("wait", "n").instance["status"] == "READY"
    operator.json("terminate", "n", "--no-wait")
    assert operator.json("wait", created["id"], "--for", "terminated").instance["status"] == "TERMINATED"


def test_events_and_stats_show_a_lifecycle_with_its_cost(operator: Operator, google_cloud: LoopbackGoogle) -> None:
    operator.json("provision", *T4, "--ttl", "30", "--user", "ana", "--tag", "project=x")
    operator.json("extend", "n", "--by", "30m")
    operator.later(minutes=60)
    operator.run("reap", "--wait")
    assert event_names(operator, "--id", "n") == [
        "provisioning", "attempt", "provisioned", "ready", "extended", "stopping", "terminated",
    ]  # fmt: skip
    statistics = operator.json("stats").json["statistics"]
    assert statistics["providerBreakdown"] == {"GCP": 1}
    assert statistics["instanceTypeBreakdown"] == {T4_TYPE: 1}
    assert statistics["totalCost"] == pytest.approx(0.54, abs=0.02)


def test_events_name_a_power_off_and_an_interruption(operator: Operator, google_cloud: LoopbackGoogle) -> None:
    spot = operator.json("provision", *L4, "--spot").instance
    operator.later(minutes=6)
    google_cloud.shut_down(spot["cloudInstanceId"])
    operator.run("reap", "--sweep")
    assert event_names(operator)[-1] == "powered_off"
    other = operator.json("provision", *L4[:-1], "m", "--spot").instance
    operator.later(minutes=6)
    google_cloud.interrupt(other["cloudInstanceId"])
    operator.run("reap", "--sweep")
    assert event_names(operator, "--id", "m")[-1] == "terminated"
    assert operator.json("get", "m").instance["statusReason"] == "interrupted"


def test_a_budget_refuses_what_it_has_no_room_for_and_the_reaper_terminates_the_newest(
    operator: Operator, google_cloud: LoopbackGoogle
) -> None:
    operator.json("provision", *L4)
    operator.later(minutes=1)
    operator.json("provision", *L4[:-1], "m")
    folder = operator.folder / "gpuctl"
    folder.mkdir()
    (folder / "config.toml").write_text('[budget]\ndaily_usd = 1.0\naction = "terminate"\n')
    refused = operator.json("provision", *L4[:-1], "o")
    assert (refused.code, refused.json["error"]["code"]) == (7, "budget")
    operator.later(minutes=1)
    operator.run("reap", "--wait")
    statuses: dict[Any, str] = {record.name: record.status.value for record in operator.records}
    assert statuses == {"n": "READY", "m": "TERMINATED"}
    assert operator.json("get", "m").instance["statusReason"] == "budget"


def test_what_needs_no_account_knows_both_kinds_of_types(operator: Operator, google_cloud: LoopbackGoogle) -> None:
    for name, hourly in ((L4_TYPE, 0.7068), (T4_TYPE, 0.54)):
        listed = operator.json("types", "--provider", "gcp", "--region", "us-central1").json["types"]
        assert name in [kind["instanceType"] for kind in listed]
        figures = operator.json("estimate", name, "--region", "us-central1").json["estimate"]
        assert figures["costPerHour"] == pytest.approx(hourly, abs=0.001)
        offered = operator.run("complete", "--", "provision", name[:-1]).out
        assert name in [line.partition("\t")[0] for line in offered.splitlines()]
    regions = operator.run("complete", "--", "provision", T4_TYPE, "--region", "us-cen").out
    assert regions.split() == ["us-central1"]
    picked = operator.json("recommend", "--docs", "5", "--provider", "gcp", "--region", "us-central1").json
    assert picked["success"] and T4_TYPE in str(picked)
    assert google_cloud.calls() == []
