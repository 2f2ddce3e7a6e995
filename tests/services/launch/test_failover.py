"""Where there is no room the next place is tried: one record, one attempt after the other, at most one instance."""

import re
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from support.cli import Operator
from support.wire import LOST, NEVER_ARRIVED, Phase, Sent, refuse

from gpuctl.errors import Interrupted

FULL = refuse("InsufficientInstanceCapacity", 500)
NO_QUOTA = refuse("VcpuLimitExceeded")
REGIONS = "us-east-1,us-west-2,eu-west-1"


def regions_asked(operator: Operator) -> list[str]:
    return [call["region"] for call in operator.cloud.calls() if call["action"] == "RunInstances"]


def tokens(operator: Operator) -> list[str]:
    return [sent.form["ClientToken"] for sent in operator.wire.calls("RunInstances")]


def zones_asked(operator: Operator) -> list[str]:
    return [sent.form.get("Placement.AvailabilityZone", "") for sent in operator.wire.calls("RunInstances")]


def outcomes(shape: dict[str, Any]) -> list[tuple[str, str]]:
    return [(attempt["region"], attempt["outcome"]) for attempt in shape["attempts"]]


def at_each_create(operator: Operator, *happens: Callable[[], None]) -> None:
    """Do that when the first create was answered, when the second was, …"""
    waiting = list(happens)

    def watch(phase: Phase, sent: Sent) -> bool:
        if phase is Phase.DONE and sent.action == "RunInstances" and waiting:
            waiting.pop(0)()
        return True

    operator.wire.watch = watch


def test_two_full_regions_and_the_third_has_the_instance(operator: Operator) -> None:
    operator.wire.arm("RunInstances", FULL, FULL)
    ran = operator.json("provision", "g4dn.xlarge", "--region", REGIONS)
    (instance,) = operator.cloud.instances()
    shape = ran.instance
    assert (ran.code, instance["region"], shape["region"]) == (0, "eu-west-1", "eu-west-1")
    assert outcomes(shape) == [("us-east-1", "refused"), ("us-west-2", "refused"), ("eu-west-1", "created")]
    first, *later = [attempt["token"] for attempt in shape["attempts"]]
    assert (first, later) == (shape["id"], [f"{shape['id']}-2", f"{shape['id']}-3"])
    assert tokens(operator) == [first, *later]
    assert shape["costPerHour"] == 0.587
    assert all("InsufficientInstanceCapacity" in attempt["detail"] for attempt in shape["attempts"][:2])


def test_every_try_is_printed_with_its_reason_and_what_it_costs_more(operator: Operator) -> None:
    operator.wire.arm("RunInstances", FULL, FULL)
    output = operator.run("provision", "g4dn.xlarge", "--region", REGIONS).err
    assert "`InsufficientInstanceCapacity` (no); trying us-west-2 at $0.542/h, $0.54 until the deadline" in output
    dearer = re.search(
        r"trying eu-west-1 at \$(0\.\d{3})/h instead of \$(0\.\d{3}), \$0\.\d\d until the deadline", output
    )
    assert dearer is not None
    assert dearer[1] > dearer[2]


def test_the_next_attempt_is_on_disk_before_it_is_sent(operator: Operator) -> None:
    operator.wire.arm("RunInstances", FULL, FULL)
    calls: list[list[str]] = []

    def watch(phase: Phase, sent: Sent) -> bool:
        if phase is Phase.SENT and sent.action == "RunInstances":
            calls.append([attempt.token for attempt in operator.records[0].attempts])
            assert sent.form["ClientToken"] == calls[-1][-1]
        return True

    operator.wire.watch = watch
    operator.json("provision", "g4dn.xlarge", "--region", REGIONS)
    assert [len(item) for item in calls] == [1, 2, 3]
    assert operator.wire.bugs == []


def test_the_cloud_picks_the_zone_first_and_then_each_zone_is_tried(operator: Operator) -> None:
    operator.wire.arm("RunInstances", FULL, FULL)
    ran = operator.provision()
    assert ran.code == 0
    assert zones_asked(operator)[:2] == ["", "us-east-1a"]
    assert ran.instance["zone"] == zones_asked(operator)[2] == ran.instance["attempts"][2]["zone"]


def test_where_none_is_left_the_error_counts_the_zones_and_names_another_region(operator: Operator) -> None:
    operator.wire.arm("RunInstances", *[FULL] * 20)
    ran = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1")
    zones = len([text for text in zones_asked(operator) if text])
    assert zones > 1
    assert ran.code == 5
    assert f"no `g4dn.xlarge` left in `us-east-1` ({zones} zones tried); no instance was started" in ran.err
    assert "hint: gpuctl provision g4dn.xlarge --region us-east-2" in ran.err
    assert [record.status for record in operator.records] == ["FAILED"]


@pytest.mark.parametrize("code", ["UnauthorizedOperation", "InvalidParameterValue", "OptInRequired"])
def test_a_login_or_a_request_that_is_wrong_is_tried_nowhere_else(operator: Operator, code: str) -> None:
    operator.wire.arm("RunInstances", refuse(code))
    ran = operator.json("provision", "g4dn.xlarge", "--region", REGIONS)
    assert ran.code in (1, 4)
    assert len(tokens(operator)) == 1


@pytest.mark.parametrize("trouble", [LOST, NEVER_ARRIVED])
@pytest.mark.parametrize("then", [FULL, NO_QUOTA])
def test_a_lost_reply_in_the_second_attempt_never_leads_to_a_third(operator: Operator, trouble: Any, then: Any) -> None:
    operator.wire.arm("RunInstances", FULL, trouble, then)
    ran = operator.json("provision", "g4dn.xlarge", "--region", REGIONS)
    assert {token.rpartition("-")[2] for token in tokens(operator)[1:]} == {"2"}
    assert len(ran.instance["attempts"]) == 2
    assert set(regions_asked(operator)) <= {"us-west-2"}
    operator.later(minutes=20)
    operator.run("reap", "--sweep")
    operator.later(minutes=45)
    operator.run("reap", "--sweep")
    operator.later(minutes=2)
    operator.run("reap", "--sweep")
    assert operator.active == []
    assert [record.status.is_ended for record in operator.records] == [True]


def test_a_quota_leads_to_the_next_region_and_not_to_its_zones(operator: Operator) -> None:
    operator.wire.arm("RunInstances", NO_QUOTA)
    ran = operator.json("provision", "g4dn.xlarge", "--region", REGIONS)
    assert (ran.code, ran.instance["region"]) == (0, "us-west-2")
    assert zones_asked(operator) == ["", ""]


def test_a_quota_rules_out_its_family_in_that_region(operator: Operator) -> None:
    operator.wire.arm("RunInstances", NO_QUOTA)
    ran = operator.json("provision", "--gpu", "T4", "--gpu-count", "1", "--region", "us-east-1")
    assert (ran.code, ran.json["error"]["code"]) == (6, "quota")
    assert len(tokens(operator)) == 1


@pytest.mark.parametrize(
    ("troubles", "exit_code", "code"),
    [([FULL] * 9, 5, "capacity"), ([NO_QUOTA] * 9, 6, "quota"), ([NO_QUOTA, *[FULL] * 9], 8, "partial")],
)
def test_one_code_if_all_failed_alike(operator: Operator, troubles: list[Any], exit_code: int, code: str) -> None:
    operator.wire.arm("RunInstances", *troubles, *[FULL] * 20)
    ran = operator.json("provision", "g4dn.xlarge", "--region", "us-east-1,us-west-2")
    assert (ran.code, ran.json["error"]["code"]) == (exit_code, code)
    assert "no instance was started" in ran.json["error"]["message"]
    assert operator.active == []


def test_too_near_its_deadline_no_further_attempt_is_made(operator: Operator) -> None:
    operator.wire.arm("RunInstances", FULL, FULL)
    at_each_create(operator, lambda: None, lambda: operator.later(minutes=6))
    ran = operator.json("provision", "g4dn.xlarge", "--region", REGIONS, "--ttl", "10")
    assert ran.code == 5
    assert len(tokens(operator)) == 2
    assert operator.records[0].status == "FAILED"


def test_a_record_terminated_between_two_attempts_gets_no_further_attempt(operator: Operator) -> None:
    operator.wire.arm("RunInstances", FULL, FULL)
    at_each_create(operator, lambda: operator.run("terminate", "--all", "--yes", "--no-wait") and None)
    ran = operator.json("provision", "g4dn.xlarge", "--region", REGIONS)
    assert ran.code != 0
    assert len(tokens(operator)) == 1
    assert [record.status.is_ended for record in operator.records] == [True]
    assert operator.active == []


@pytest.mark.parametrize("terminal", [True, False])
def test_ctrl_c_between_two_attempts_leaves_nothing(
    operator: Operator, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpuctl.services.launch import attempts

    def interrupted(*_: object) -> str:
        raise Interrupted("ended by SIGINT", signal_number=2)

    monkeypatch.setattr(attempts, "next_attempt_message", interrupted)
    operator.wire.arm("RunInstances", FULL)
    ran = operator.run("provision", "g4dn.xlarge", "--region", REGIONS, terminal=terminal)
    assert ran.code == 130
    assert ("nothing was created" in ran.err) is terminal
    assert [record.status for record in operator.records] == ["FAILED"]
    assert operator.active == []


def test_a_region_without_capacity_is_not_tried_by_another_process_for_three_minutes(operator: Operator) -> None:
    operator.wire.arm("RunInstances", *[FULL] * 20)
    operator.provision()
    knocks = len(tokens(operator))
    again = operator.provision()
    assert (again.code, again.json["error"]["code"]) == (5, "capacity")
    assert "not retried yet" in again.json["error"]["message"]
    assert len(tokens(operator)) == knocks
    assert len(operator.records) == 1
    operator.wire.reset()
    operator.later(minutes=3)
    assert operator.provision().code == 0


def test_what_was_refused_a_moment_ago_is_passed_over_for_the_next(operator: Operator) -> None:
    operator.wire.arm("RunInstances", *[FULL] * 20)
    operator.provision()
    operator.wire.reset()
    ran = operator.json("provision", "g4dn.xlarge", "--region", REGIONS)
    assert (ran.code, ran.instance["region"], len(ran.instance["attempts"])) == (0, "us-west-2", 1)
    dry = operator.json("provision", "g4dn.xlarge", "--region", REGIONS, "--dry-run").json
    assert {"reason": "no_recent_capacity", "count": 1} in dry["skipped"]


def test_a_memory_that_is_lost_or_garbled_means_nothing(operator: Operator) -> None:
    operator.wire.arm("RunInstances", *[FULL] * 20)
    operator.provision()
    operator.wire.reset()
    operator.state.with_name("state.json.refused.json").write_text("{nonsense")
    assert operator.provision().code == 0


def test_retries_wait_out_what_passes_and_each_is_an_attempt_of_its_own(operator: Operator) -> None:
    throttled = refuse("RequestLimitExceeded", 503)
    operator.wire.arm("RunInstances", *[throttled] * 8)
    began = operator.clock.now()
    ran = operator.provision("--retries", "2", "--backoff", "7s")
    assert (ran.code, len(ran.instance["attempts"])) == (0, 3)
    # 1 + 3 + 6 s within each of two attempts, then 7 s and twice 7 s between them.
    assert operator.clock.now() - began >= timedelta(seconds=2 * 10 + 7 + 14)
    assert len(operator.active) == 1


def test_retries_come_to_an_end(operator: Operator) -> None:
    operator.wire.arm("RunInstances", *[refuse("RequestLimitExceeded", 503)] * 99)
    ran = operator.provision("--retries", "1")
    assert (ran.code, ran.json["error"]["code"], len(ran.instance["attempts"])) == (5, "throttled", 2)
    assert operator.provision("--retries", "21").code == 2


def test_retries_wait_out_a_cloud_that_cannot_be_reached_before_anything_is_written(operator: Operator) -> None:
    operator.wire.arm("GetCallerIdentity", *[NEVER_ARRIVED] * 4)
    assert operator.provision("--retries", "1").code == 0


def test_several_instances_find_their_places_each_for_itself(operator: Operator) -> None:
    operator.wire.arm("RunInstances", None, FULL)
    ran = operator.json("provision", "g4dn.xlarge", "--region", REGIONS, "--count", "3")
    assert ran.code == 0
    assert [instance["region"] for instance in ran.json["instances"]] == ["us-east-1", "us-west-2", "us-west-2"]
    # The third was never sent to the full region: its first attempt says so.
    assert "not retried yet" in ran.json["instances"][2]["attempts"][0]["detail"]
    assert len(tokens(operator)) == 4


def test_a_more_expensive_region_needs_confirmation_on_a_terminal(operator: Operator) -> None:
    operator.environ["GPUCTL_CONFIRM_ABOVE_USD"] = "0.55"
    operator.wire.arm("RunInstances", FULL, FULL)
    ran = operator.run("provision", "g4dn.xlarge", "--region", REGIONS, terminal=True, typed="n\n")
    assert ran.code == 5
    assert "Try that?" in ran.err
    assert operator.active == []
    operator.later(minutes=4)
    operator.wire.arm("RunInstances", FULL, FULL)
    assert operator.run("provision", "g4dn.xlarge", "--region", REGIONS, terminal=True, typed="y\n").code == 0


def test_a_region_whose_image_is_missing_is_left_out(operator: Operator) -> None:
    operator.provision()
    image = operator.wire.calls("RunInstances")[0].form["ImageId"]
    operator.wire.arm("RunInstances", FULL)
    ran = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1,us-west-2", "--image", image)
    assert "us-west-2 is skipped" in ran.err
    assert ran.code == 0
