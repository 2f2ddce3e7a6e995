"""The examples of the service that gpuctl re-implements, and its promise: from command line to the cloud's books."""

from datetime import timedelta

import pytest
from support.cli import Operator
from support.clock import StepClock
from support.instances import NOON
from support.wire import LOST, NEVER_ARRIVED, Answer, Fault, refuse

from gpuctl.domain.instance import Reason, Status
from gpuctl.domain.lifecycle import advance
from gpuctl_sandbox.aws.images import IMAGES


def test_the_instance_of_the_document_is_ready_and_costs_what_the_document_says(operator: Operator) -> None:
    started = operator.provision("--disk-size", "50", "--ttl", "30")
    assert started.code == 0
    instance = started.instance
    assert (instance["status"], instance["costPerHour"], instance["diskSizeGB"]) == ("READY", 0.526, 50)
    assert (instance["provider"], instance["autoTerminateMinutes"], instance["expiresAt"]) == (
        "AWS",
        30,
        "2026-11-24T12:30:00Z",
    )
    assert instance["metadata"]["availabilityZone"] == "us-east-1a"
    operator.later(minutes=30)
    assert operator.json("get", instance["id"]).instance["totalCost"] == 0.263


def test_the_reaper_terminates_an_instance_at_its_deadline_and_not_before(operator: Operator) -> None:
    instance = operator.provision("--ttl", "30").instance
    operator.later(minutes=29, seconds=59)
    assert operator.run("reap", "--sweep").code == 0
    assert operator.active == [instance["cloudInstanceId"]]
    operator.later(seconds=1)
    reaped = operator.json("reap").json["actions"]
    assert [(item["id"], item["action"], item["reason"]) for item in reaped] == [
        (instance["id"], "terminate", "expired")
    ]
    assert operator.active == []
    operator.later(minutes=1)
    operator.run("reap")
    ended = operator.json("get", instance["id"]).instance
    assert (ended["status"], ended["statusReason"], ended["terminatedAt"]) == (
        "TERMINATED",
        "expired",
        "2026-11-24T12:30:00Z",
    )
    assert ended["totalCost"] == 0.263


def test_terminating_twice_succeeds(operator: Operator) -> None:
    instance = operator.provision().instance
    first = operator.json("terminate", instance["id"])
    assert (first.code, first.json["message"]) == (0, "Instance terminated successfully")
    assert first.instance["status"] == "TERMINATED"
    assert operator.active == []
    assert operator.json("terminate", instance["id"]).code == 0


def test_an_unknown_id_is_not_found(operator: Operator) -> None:
    for command in ("get", "terminate"):
        ran = operator.json(command, "inst-zzzzzzzzzzzz")
        assert ran.code == 3
        assert ran.json["error"]["message"] == "Instance not found"


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["g4dn.xlarge", "--region", "us-east-1", "--disk-size", "10"], "Disk size must be at least 30GB"),
        (["g4dn.xlarge", "--region", "us-east-1", "--ttl", "2"], "Auto-terminate must be at least 5 minutes"),
        (
            ["g4dn.xlarge", "--region", "us-east-1", "--auto-terminate", "121"],
            "Auto-terminate must be at most 120 minutes",
        ),
        ([], "Provider is required"),
        (["--provider", "aws"], "Instance type is required"),
        (["g4dn.xlarge"], "Region is required"),
    ],
)
def test_invalid_values_are_refused_before_anything_is_written_or_called(
    operator: Operator, argv: list[str], text: str
) -> None:
    ran = operator.json("provision", *argv)
    assert (ran.code, ran.json["error"]["code"], ran.json["error"]["message"]) == (2, "usage", text)
    assert operator.wire.sent == []
    assert not operator.state.exists()


def test_a_retired_type_is_refused_with_its_successor(operator: Operator) -> None:
    ran = operator.json("provision", "p3.2xlarge", "--region", "us-east-1")
    assert ran.code == 2
    assert "2026-05-01" in ran.json["error"]["message"]
    assert "g6.xlarge" in ran.json["error"]["hint"]
    own = IMAGES[0].image_id("us-east-1")
    allowed = operator.json("provision", "p3.2xlarge", "--region", "us-east-1", "--allow-retired", "--image", own)
    assert (allowed.instance["status"], allowed.instance["costPerHour"]) == ("READY", 3.06)


def test_statistics_after_two_were_started_and_one_ended(operator: Operator) -> None:
    first = operator.provision().instance
    operator.provision()
    operator.later(minutes=30)
    operator.run("terminate", first["id"])
    figures = operator.json("stats").json["statistics"]
    assert (figures["totalProvisioned"], figures["currentlyRunning"], figures["currentlyBilling"]) == (2, 1, 1)
    assert figures["averageCost"] == 0.263
    assert figures["averageDuration"] == 0.5
    assert figures["totalCost"] == pytest.approx(0.526, abs=0.001)
    assert figures["providerBreakdown"] == {"AWS": 2}
    assert figures["instanceTypeBreakdown"] == {"g4dn.xlarge": 2}


def test_statistics_of_an_unknown_user_are_all_zero(operator: Operator) -> None:
    operator.provision()
    figures = operator.json("stats", "--user", "nobody").json["statistics"]
    assert set(map(str, figures.values())) <= {"0", "0.0", "{}"}


def test_the_record_is_on_disk_before_the_first_call_that_could_create_anything(operator: Operator) -> None:
    operator.state.parent.joinpath("state.json.lock").mkdir()
    ran = operator.provision()
    assert (ran.code, ran.json["error"]["code"]) == (9, "state_unusable")
    assert operator.wire.calls("RunInstances") == []


def test_when_the_create_arrives_its_record_has_account_region_and_deadline(operator: Operator) -> None:
    calls = []

    def look(answer: Answer | None) -> Answer | None:
        calls.extend(operator.records)
        return answer

    operator.wire.arm("RunInstances", Fault(True, look))
    operator.provision("--ttl", "30")
    (record,) = calls
    assert record.id == operator.wire.calls("RunInstances")[0].form["ClientToken"]
    assert (record.status, record.account, record.region) == (Status.PROVISIONING, "123456789012", "us-east-1")
    assert record.expires_at == NOON + timedelta(minutes=30)


def test_a_lost_reply_and_a_refused_repeat_is_not_called_refused_and_is_found_by_its_tag(operator: Operator) -> None:
    operator.wire.arm("RunInstances", LOST, refuse("VcpuLimitExceeded"))
    ran = operator.provision()
    assert ran.code == 0
    assert ran.instance["status"] == "READY"
    assert [attempt["outcome"] for attempt in ran.instance["attempts"]] == ["created"]
    assert len({sent.form["ClientToken"] for sent in operator.wire.calls("RunInstances")}) == 1
    assert len(operator.active) == 1


def test_a_lost_reply_without_waiting_is_still_found_by_its_tag(operator: Operator) -> None:
    operator.wire.arm("RunInstances", LOST, refuse("VcpuLimitExceeded"))
    ran = operator.provision("--no-wait")
    assert (ran.code, ran.instance["status"]) == (0, "CONFIGURING")
    assert ran.instance["cloudInstanceId"] == operator.active[0]


def test_a_lost_reply_is_repeated_with_the_very_same_request_and_makes_one_instance(operator: Operator) -> None:
    operator.wire.arm("RunInstances", LOST)
    assert operator.provision().code == 0
    first, second = operator.wire.calls("RunInstances")
    assert first.form == second.form
    assert len(operator.active) == 1


def test_a_reply_that_arrives_for_a_stopping_record_terminates_the_instance(operator: Operator) -> None:
    def terminated_meanwhile(answer: Answer | None) -> Answer | None:
        (record,) = operator.records
        operator.store.update(
            record.id, lambda record: advance(record, Status.STOPPING, operator.clock.now(), Reason.USER)
        )
        return answer

    operator.wire.arm("RunInstances", Fault(True, terminated_meanwhile))
    ran = operator.provision()
    assert (ran.code, ran.json["error"]["code"]) == (5, "not_ready")
    assert ran.instance["cloudInstanceId"]
    assert operator.active == []


def test_a_reply_that_arrives_for_a_record_that_was_given_up_terminates_the_instance(operator: Operator) -> None:
    def given_up_meanwhile(answer: Answer | None) -> Answer | None:
        (record,) = operator.records
        operator.store.update(
            record.id, lambda record: advance(record, Status.FAILED, operator.clock.now(), Reason.ABANDONED)
        )
        return answer

    operator.wire.arm("RunInstances", Fault(True, given_up_meanwhile))
    assert operator.provision().code != 0
    assert operator.active == []


def test_a_create_without_an_answer_stays_pending_and_is_never_refused(operator: Operator) -> None:
    operator.wire.arm("RunInstances", NEVER_ARRIVED, refuse("VcpuLimitExceeded"))
    ran = operator.provision()
    assert (ran.code, ran.json["error"]["code"]) == (8, "unresolved")
    assert ran.instance["status"] == "STOPPING"
    assert ran.instance["attempts"][0]["outcome"] == "unknown"
    operator.later(minutes=16)
    operator.run("reap")
    operator.later(minutes=1)
    operator.run("reap")
    ended = operator.json("get", ran.instance["id"]).instance
    assert (ended["status"], ended["totalCost"]) == ("TERMINATED", 0)


@pytest.mark.parametrize(
    ("code", "exit_code", "text"),
    [
        ("InsufficientInstanceCapacity", 5, "capacity"),
        ("VcpuLimitExceeded", 6, "quota"),
        ("UnauthorizedOperation", 4, "credentials"),
        ("InvalidParameterValue", 1, "cloud"),
    ],
)
def test_a_refusal_starts_nothing_and_leaves_a_record_that_says_why(
    operator: Operator, code: str, exit_code: int, text: str
) -> None:
    # EC2 answers a lack of capacity with a 5xx, everything else here with a 4xx.
    status = 500 if code.startswith("Insufficient") else 400
    operator.wire.arm("RunInstances", *[refuse(code, status)] * 9)
    ran = operator.provision()
    assert (ran.code, ran.json["error"]["code"]) == (exit_code, text)
    assert (ran.instance["status"], ran.instance["totalCost"]) == ("FAILED", 0)
    assert code in ran.instance["lastError"]
    assert operator.active == []


def test_throttling_is_waited_out(operator: Operator) -> None:
    operator.wire.arm("RunInstances", *[refuse("RequestLimitExceeded", 503)] * 3)
    assert operator.provision().code == 0
    operator.wire.arm("RunInstances", *[refuse("RequestLimitExceeded", 503)] * 4)
    assert operator.provision().code == 5
    assert len(operator.active) == 1


def test_an_instance_that_is_not_ready_in_time_is_terminated(operator: Operator) -> None:
    operator.wire.arm("DescribeInstanceStatus", *[refuse("InternalError", 500)] * 99)
    ran = operator.provision("--timeout", "60s")
    assert (ran.code, ran.json["error"]["code"], ran.json["error"]["retryable"]) == (5, "not_ready", True)
    assert operator.active == []


def test_an_instance_that_is_not_ready_in_time_may_be_kept(operator: Operator) -> None:
    operator.wire.arm("DescribeInstanceStatus", *[refuse("InternalError", 500)] * 99)
    ran = operator.provision("--timeout", "60s", "--keep")
    assert (ran.code, ran.instance["status"]) == (8, "CONFIGURING")
    assert len(operator.active) == 1


def test_the_same_name_requested_alike_is_the_same_instance(operator: Operator) -> None:
    first, second = operator.provision("--name", "n"), operator.provision("--name", "n")
    assert (first.json["created"], second.json["created"], second.code) == (True, False, 0)
    assert first.instance["id"] == second.instance["id"]
    assert len(operator.active) == 1


def test_the_same_name_while_its_instance_is_starting_is_waited_for(operator: Operator) -> None:
    operator.provision("--name", "n", "--no-wait")
    unwaited = operator.provision("--name", "n", "--no-wait")
    assert (unwaited.code, unwaited.instance["status"]) == (0, "CONFIGURING")
    second = operator.provision("--name", "n")
    assert (second.code, second.json["created"], second.instance["status"]) == (0, False, "READY")
    assert len(operator.active) == 1


def test_an_instance_of_another_call_that_is_not_ready_in_time_is_not_terminated(operator: Operator) -> None:
    operator.provision("--name", "n", "--no-wait")
    operator.wire.arm("DescribeInstanceStatus", *[refuse("InternalError", 500)] * 99)
    ran = operator.provision("--name", "n", "--timeout", "60s")
    assert (ran.code, ran.json["created"], ran.instance["status"]) == (8, False, "CONFIGURING")
    assert ran.json["error"]["code"] == "unresolved"
    assert len(operator.active) == 1


def test_an_instance_of_another_call_that_is_terminated_before_it_is_ready_is_not_ready(operator: Operator) -> None:
    operator.provision("--name", "n", "--no-wait")
    operator.wire.arm("DescribeInstanceStatus", *[refuse("InternalError", 500)] * 99)
    operator.clock = StepClock(operator.clock.now(), [lambda: operator.run("terminate", "n")])
    ran = operator.provision("--name", "n")
    assert (ran.code, ran.json["created"], ran.json["error"]["code"]) == (5, False, "not_ready")


def test_the_same_name_requested_otherwise_is_refused_with_the_differences(operator: Operator) -> None:
    operator.provision("--name", "n")
    ran = operator.provision("--name", "n", "--disk-size", "200")
    assert ran.code == 2
    assert "disk" in ran.json["error"]["message"]
    assert len(operator.active) == 1


def test_a_name_is_free_again_when_its_instance_is_terminated(operator: Operator) -> None:
    operator.provision("--name", "n")
    operator.run("terminate", "n")
    assert operator.provision("--name", "n").json["created"] is True


def test_a_name_is_not_free_while_its_instance_is_stopping(operator: Operator) -> None:
    operator.provision("--name", "n")
    operator.wire.arm("TerminateInstances", *[refuse("InternalError", 500)] * 99)
    operator.run("terminate", "n", "--no-wait")
    assert operator.provision("--name", "n").code == 5


def test_several_instances_are_numbered_and_each_has_a_record_and_a_token(operator: Operator) -> None:
    ran = operator.provision("--count", "3", "--name", "n")
    assert (ran.code, ran.json["count"]) == (0, 3)
    assert [instance["name"] for instance in ran.json["instances"]] == ["n-1", "n-2", "n-3"]
    assert "instance" not in ran.json
    assert len({sent.form["ClientToken"] for sent in operator.wire.calls("RunInstances")}) == 3
    assert len(operator.active) == 3


def test_fewer_than_requested_is_partial_and_those_up_stay(operator: Operator) -> None:
    operator.wire.arm("RunInstances", None, refuse("InvalidParameterValue"), None)
    ran = operator.provision("--count", "3")
    assert (ran.code, ran.json["error"]["code"]) == (8, "partial")
    assert sorted(instance["status"] for instance in ran.json["instances"]) == ["FAILED", "READY", "READY"]
    assert [error["code"] for error in ran.json["errors"]] == ["cloud"]
    assert len(operator.active) == 2


def test_a_dry_run_shows_the_offer_and_makes_and_writes_nothing(operator: Operator) -> None:
    ran = operator.provision("--dry-run")
    assert (ran.code, ran.json["dryRun"], ran.json["offers"][0]["costPerHour"]) == (0, True, 0.526)
    assert operator.wire.calls("RunInstances") == []
    assert not operator.state.exists()


def test_quiet_prints_the_id_and_nothing_else(operator: Operator) -> None:
    ran = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1", "-q")
    assert ran.out == f"{operator.records[0].id}\n"
    assert ran.err == ""


def test_a_deadline_is_moved_on_the_instance_and_then_in_the_record(operator: Operator) -> None:
    instance = operator.provision("--ttl", "30").instance
    moved = operator.json("extend", instance["id"], "--by", "30m")
    assert (moved.code, moved.instance["expiresAt"]) == (0, "2026-11-24T13:00:00Z")
    assert operator.cloud.instances()[0]["tags"]["gpuctl-expires-at"] == "20261124t130000z"
    operator.later(minutes=45)
    operator.run("reap", "--sweep")
    assert len(operator.active) == 1
    operator.later(minutes=15)
    operator.run("reap")
    assert operator.active == []


def test_a_deadline_whose_tag_could_not_be_moved_stays_where_it_was(operator: Operator) -> None:
    instance = operator.provision("--ttl", "30").instance
    operator.wire.arm("CreateTags", refuse("UnauthorizedOperation", 403))
    ran = operator.json("extend", instance["id"], "--by", "30m")
    assert (ran.code, ran.json["error"]["code"]) == (8, "unresolved")
    assert operator.records[0].expires_at == NOON + timedelta(minutes=30)


@pytest.mark.parametrize(
    ("how", "text"),
    [
        (["--by", "61m"], "can be at most 2h"),
        (["--ttl", "5m"], "would be earlier"),
        (["--ttl", "121"], "can be at most 2h"),
        ([], "either --by or --ttl"),
        (["--by", "5m", "--ttl", "5m"], "either --by or --ttl"),
        (["--by", "x"], "--by must be a duration"),
    ],
)
def test_a_deadline_is_not_moved_to_where_it_may_not_be(operator: Operator, how: list[str], text: str) -> None:
    instance = operator.provision().instance
    ran = operator.json("extend", instance["id"], *how)
    assert ran.code == 2
    assert text in ran.json["error"]["message"]
    assert operator.wire.calls("CreateTags") == []


def test_expired_and_stopping_instances_cannot_be_extended(operator: Operator) -> None:
    instance = operator.provision("--ttl", "30").instance
    operator.later(minutes=30)
    assert operator.json("extend", instance["id"], "--by", "30m").code == 2
    operator.run("terminate", instance["id"], "--no-wait")
    assert operator.json("extend", instance["id"], "--by", "30m").code == 2


def test_a_termination_that_the_cloud_refuses_is_unresolved_and_the_reaper_retries(operator: Operator) -> None:
    instance = operator.provision().instance
    operator.wire.arm("TerminateInstances", *[refuse("InternalError", 500)] * 200)
    ran = operator.json("terminate", instance["id"], "--timeout", "20s")
    assert (ran.code, ran.json["error"]["code"], ran.instance["status"]) == (8, "unresolved", "STOPPING")
    assert operator.run("reap").code == 8
    operator.wire._faults.clear()
    operator.later(minutes=1)
    assert operator.run("reap").code == 0
    assert operator.active == []


def test_a_selection_ends_what_it_names_and_spares_the_rest(operator: Operator) -> None:
    operator.provision("--task", "nightly", "--tag", "project=x")
    operator.provision("--task", "nightly")
    spared = operator.provision("--task", "daily").instance
    assert operator.json("terminate", "--task", "nightly").code == 2
    assert len(operator.active) == 3
    assert operator.json("terminate", "--task", "nightly", "--tag", "project=x", "--yes").json["count"] == 1
    assert operator.json("terminate", "--task", "nightly", "--yes").json["count"] == 1
    assert operator.active == [spared["cloudInstanceId"]]


def test_a_selection_or_an_input_with_nothing_in_it_is_success(operator: Operator) -> None:
    for argv in (["terminate", "--all", "--yes"], ["terminate", "-"]):
        ran = operator.json(*argv)
        assert (ran.code, ran.json["count"]) == (0, 0)


def test_ids_may_come_from_a_pipe(operator: Operator) -> None:
    operator.provision()
    operator.provision()
    listed = operator.run("list", "-q").out
    assert operator.run("terminate", "-", typed=listed).code == 0
    assert operator.active == []


def test_one_bad_id_among_several_ends_the_others_and_is_partial(operator: Operator) -> None:
    instance = operator.provision().instance
    ran = operator.json("terminate", instance["id"], "inst-zzzzzzzzzzzz")
    assert (ran.code, ran.json["error"]["code"]) == (8, "partial")
    assert [(error["id"], error["code"]) for error in ran.json["errors"]] == [("inst-zzzzzzzzzzzz", "not_found")]
    assert operator.active == []


def test_without_a_terminal_only_whole_ids_and_names_are_terminated(operator: Operator) -> None:
    instance = operator.provision().instance
    assert operator.json("terminate", instance["id"][5:9]).code == 3
    assert operator.json("get", instance["id"][5:9]).code == 0
    assert len(operator.active) == 1


def test_an_instance_that_was_stopped_in_the_console_stays_active(operator: Operator) -> None:
    instance = operator.provision("--ttl", "30").instance
    operator.cloud.client("ec2", "us-east-1").stop_instances(InstanceIds=[instance["cloudInstanceId"]])
    shown = operator.json("get", instance["id"], "--refresh").instance
    assert (shown["status"], shown["statusMessage"]) == ("READY", "stopped in the cloud")
    operator.later(minutes=30)
    operator.run("reap")
    assert operator.active == []


def test_an_instance_ended_in_the_console_is_closed_with_the_clouds_own_time(operator: Operator) -> None:
    instance = operator.provision().instance
    operator.later(minutes=10)
    operator.cloud.client("ec2", "us-east-1").terminate_instances(InstanceIds=[instance["cloudInstanceId"]])
    operator.later(minutes=10)
    operator.run("reap")
    ended = operator.records[0]
    assert (ended.status, ended.reason, ended.terminated_at) == (
        Status.TERMINATED,
        "vanished",
        NOON + timedelta(minutes=10),
    )


def test_instances_that_could_not_be_queried_are_marked_stale(operator: Operator) -> None:
    operator.provision()
    operator.wire.arm("DescribeInstances", *[refuse("InternalError", 500)] * 9)
    ran = operator.json("list", "--refresh")
    assert (ran.code, ran.json["count"]) == (8, 1)
    assert "stale" in ran.json["error"]["message"]


def test_a_list_says_that_the_providers_were_just_queried_only_after_a_refresh(operator: Operator) -> None:
    operator.provision()
    assert "last sweep never · last reap never" in operator.run("list", terminal=True).err
    assert "providers queried just now" in operator.run("list", "--refresh", terminal=True).err
    operator.wire.arm("DescribeInstances", *[refuse("InternalError", 500)] * 9)
    assert "providers queried just now" not in operator.run("list", "--refresh", terminal=True).err
