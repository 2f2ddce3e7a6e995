"""`--idle` reaches the instance, and an instance is said to have ended idle only where its own console says so."""

import base64

import pytest
from support.cli import Operator
from support.wire import console_output

from gpuctl.providers.azure.provider import AzureProvider

LAST_WORDS = (
    "gpuctl-guard: powering off at 20261124t121500z: idle for 900s: no GPU at work, nobody logged in, load below 0.5"
)


def powered_off(operator: Operator, console: str, *argv: str) -> dict[str, object]:
    """An instance that powered itself off after twenty minutes, as the reaper then closes it."""
    instance = operator.provision("--name", "n", *argv).instance
    operator.later(minutes=20)
    operator.cloud.power_off(instance["cloudInstanceId"])
    operator.wire.arm("GetConsoleOutput", *[console_output(console)] * 10)
    assert operator.run("reap", "--sweep").code == 0
    ended: dict[str, object] = operator.json("get", "n").instance
    assert ended["status"] == "TERMINATED"
    return ended


def test_an_instance_whose_console_says_so_ended_idle(operator: Operator) -> None:
    ended = powered_off(operator, f"boot\n{LAST_WORDS}\n", "--idle", "15m")
    assert ended["statusReason"] == "idle"
    last = operator.json("events").json["events"][-1]
    assert (last["event"], last["reason"]) == ("instance:terminated", "idle")


@pytest.mark.parametrize(
    "console", ["", "gpuctl-guard: armed, ends at 20261124t130000z (tag)\n", f"x{LAST_WORDS}"[:20]]
)
def test_without_that_it_only_vanished(operator: Operator, console: str) -> None:
    assert powered_off(operator, console, "--idle", "15m")["statusReason"] == "vanished"


def test_the_words_of_an_idle_watch_mean_nothing_on_an_instance_without_one(operator: Operator) -> None:
    assert powered_off(operator, LAST_WORDS)["statusReason"] == "vanished"
    calls_before = len(operator.wire.calls("GetConsoleOutput"))
    operator.run("reap", "--sweep")
    assert len(operator.wire.calls("GetConsoleOutput")) == calls_before


def test_an_instance_that_a_person_terminated_is_not_reported_as_idle(operator: Operator) -> None:
    operator.provision("--name", "n", "--idle", "15m")
    operator.wire.arm("GetConsoleOutput", *[console_output(LAST_WORDS)] * 10)
    operator.json("terminate", "n")
    assert operator.json("get", "n").instance["statusReason"] == "user"


def test_an_instance_that_was_terminated_without_gpuctl_is_not_reported_as_idle(operator: Operator) -> None:
    instance = operator.provision("--name", "n", "--idle", "15m").instance
    operator.later(minutes=20)
    operator.cloud.client("ec2").terminate_instances(InstanceIds=[instance["cloudInstanceId"]])
    operator.wire.arm("GetConsoleOutput", *[console_output(LAST_WORDS)] * 10)
    operator.run("reap", "--sweep")
    assert operator.json("get", "n").instance["statusReason"] == "vanished"


def test_it_is_in_the_user_data_and_a_person_sees_it(operator: Operator) -> None:
    operator.provision("--name", "n", "--idle", "15m")
    (sent,) = operator.wire.calls("RunInstances")
    assert "gpuctl-guard 7200 idle 900\n" in base64.b64decode(sent.form["UserData"]).decode()
    assert "terminated after 15m without activity" in operator.run("get", "n", terminal=True).out
    assert operator.provision("--name", "n", "--idle", "15m").json["created"] is False
    assert "another idle" in operator.provision("--name", "n").json["error"]["message"]
    safeguards = {
        item["mechanism"]: item["status"] for item in operator.json("get", "n", "--refresh").instance["safeguards"]
    }
    assert safeguards["timer"] != "missing"


@pytest.mark.parametrize("span", ["4m", "3h", "15", "soon", ""])
def test_a_span_that_makes_no_sense_is_refused_before_any_request(operator: Operator, span: str) -> None:
    assert operator.provision("--idle", span).code == 2
    assert operator.wire.sent == []


def test_on_a_cloud_where_powering_off_ends_nothing_it_is_refused(operator: Operator) -> None:
    ran = operator.json("provision", "Standard_NC4as_T4_v3", "--region", "eastus", "--idle", "15m")
    assert (ran.code, operator.records) == (2, ())
    assert "is still billed" in ran.json["error"]["message"]
    assert not AzureProvider.capabilities.idle_ends
