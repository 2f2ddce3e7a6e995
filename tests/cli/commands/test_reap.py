"""The reaper, from the command line to the cloud's books: what it ends, what it spares, and what it says."""

from datetime import timedelta

import pytest
from support.cli import Operator
from support.instances import NOON, a_ready_instance
from support.wire import LOST, Fault, Sent, refuse

from gpuctl.domain.instance import Instance, Outcome, Status
from gpuctl.domain.tags import deadline_tag
from gpuctl.errors import UsageError
from gpuctl.services.reconcile import apply as applying

MINUTE = timedelta(minutes=1)
EMPTY = (
    b"<DescribeInstancesResponse "
    b'xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet/></DescribeInstancesResponse>'
)
NOTHING_THERE = Fault(False, lambda _: (200, {"Content-Type": "text/xml"}, EMPTY))


def tags(record_id: str, state_id: str, expires_at: object = NOON + timedelta(minutes=30)) -> dict[str, str]:
    spelled = expires_at if isinstance(expires_at, str) else deadline_tag(expires_at)  # type: ignore[arg-type]
    return {"gpuctl-id": record_id, "gpuctl-state": state_id, "gpuctl-owner": "ana", "gpuctl-expires-at": spelled}


def actions(operator: Operator, *argv: str) -> list[tuple[str, str]]:
    return [(action["id"], action["action"]) for action in operator.json("reap", *argv).json["actions"]]


def test_reap_ends_what_expired_and_spares_the_rest(operator: Operator) -> None:
    operator.provision("--ttl", "30")
    spared = operator.provision("--ttl", "60").instance
    operator.later(minutes=30)
    operator.run("reap")
    assert operator.active == [spared["cloudInstanceId"]]


def test_instances_that_are_not_ours_survive_every_command(operator: Operator) -> None:
    ours = operator.provision("--ttl", "5").instance
    strangers = [
        operator.cloud.launch("us-east-1", {}),
        operator.cloud.launch("us-east-1", {"Name": ours["id"], "gpuctl": "x"}),
        operator.cloud.launch("us-east-1", {"gpuctl-id": ours["id"]}),
        operator.cloud.launch("us-east-1", tags(ours["id"], "another-state", NOON)),
        operator.cloud.launch("us-east-1", tags("inst-zzzzzzzzzzzz", "another-state", NOON)),
        operator.cloud.launch("us-east-1", tags("inst-zzzzzzzzzzz1", operator.state_id, "soon")),
        operator.cloud.launch("us-east-1", {"gpuctl-state": operator.state_id}),
    ]
    operator.later(minutes=60)
    operator.run("reap", "--sweep")
    operator.run("terminate", ours["id"])
    operator.run("terminate", "--all", "--yes")
    operator.run("list", "--refresh")
    operator.later(minutes=60)
    operator.run("reap", "--sweep")
    assert sorted(operator.active) == sorted(strangers)


def test_an_instance_of_ours_with_unreadable_tags_is_reported_and_is_exit_8(operator: Operator) -> None:
    operator.provision()
    operator.cloud.launch("us-east-1", tags("inst-zzzzzzzzzzz1", operator.state_id, "soon"))
    ran = operator.run("reap", "--sweep")
    assert ran.code == 8
    assert "no valid ID or deadline tag" in ran.err


def test_another_states_instance_is_reported_and_is_no_failure(operator: Operator) -> None:
    operator.provision()
    operator.cloud.launch("us-east-1", tags("inst-zzzzzzzzzzzz", "another-state"))
    assert ("inst-zzzzzzzzzzzz", "report") in actions(operator, "--sweep")
    assert operator.run("reap", "--sweep").code == 0


def test_an_expired_orphan_is_terminated_and_an_orphan_in_time_is_adopted(operator: Operator) -> None:
    operator.provision("--ttl", "120")
    late = operator.cloud.launch("us-east-1", tags("inst-orphan000001", operator.state_id, NOON + 10 * MINUTE))
    young = operator.cloud.launch("us-east-1", tags("inst-orphan000002", operator.state_id, NOON + 90 * MINUTE))
    operator.later(minutes=16)
    done = actions(operator, "--sweep")
    assert ("inst-orphan000001", "terminate") in done
    assert ("inst-orphan000002", "adopt") in done
    assert late not in operator.active
    adopted = operator.json("get", "inst-orphan000002").instance
    assert (adopted["cloudInstanceId"], adopted["expiresAt"], adopted["userId"]) == (
        young,
        "2026-11-24T13:30:00Z",
        "ana",
    )
    operator.later(minutes=75)
    operator.run("reap")
    assert young not in operator.active


def test_no_more_orphans_are_terminated_than_the_limit_allows(operator: Operator) -> None:
    operator.provision("--ttl", "120")
    for number in range(5):
        operator.cloud.launch("us-east-1", tags(f"inst-orphan00000{number}", operator.state_id, NOON))
    operator.later(minutes=20)
    assert operator.run("reap", "--sweep", "--max-orphans", "2").code == 8
    assert len(operator.active) == 4
    assert operator.run("reap", "--sweep", "--max-orphans", "9").code == 0
    assert len(operator.active) == 1


def test_instances_of_a_listed_state_that_was_lost_are_terminated(operator: Operator) -> None:
    operator.provision("--ttl", "120")
    operator.cloud.launch("us-east-1", tags("inst-runner000001", "ci-shared", NOON + 30 * MINUTE))
    operator.environ["GPUCTL_REAP_STATE_IDS"] = "ci-shared"
    operator.later(minutes=44)
    operator.run("reap", "--sweep")
    assert len(operator.active) == 2
    operator.later(minutes=1)
    operator.run("reap", "--sweep")
    assert len(operator.active) == 1


def test_an_orphan_in_a_region_of_the_config_is_found_though_no_record_names_it(operator: Operator) -> None:
    operator.provision("--ttl", "120")
    operator.folder.joinpath("gpuctl").mkdir()
    operator.folder.joinpath("gpuctl", "config.toml").write_text('[aws]\nsweep_regions = ["eu-west-1"]\n')
    operator.cloud.launch("eu-west-1", tags("inst-orphan000001", operator.state_id, NOON))
    operator.later(minutes=20)
    operator.run("reap")
    assert len(operator.active) == 1


def test_a_bug_in_the_step_for_one_of_five_leaves_the_other_four_ended(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    instances = [operator.provision("--ttl", "5").instance for _ in range(5)]
    poisoned = instances[2]
    real = applying.advance

    def buggy(record: Instance, *rest: object, **facts: object) -> Instance:
        if record.id == poisoned["id"]:
            raise ZeroDivisionError("a bug")
        return real(record, *rest, **facts)  # type: ignore[arg-type]

    monkeypatch.setattr(applying, "advance", buggy)
    operator.later(minutes=5)
    ran = reaped_with_a_bug(operator)
    assert ran[0] == 8
    assert "ZeroDivisionError: a bug" in ran[1]
    assert operator.active == [poisoned["cloudInstanceId"]]


def reaped_with_a_bug(operator: Operator) -> tuple[int, str]:
    """The one place where a traceback is wanted."""
    import io

    from gpuctl.cli.main import main
    from gpuctl.cli.terminal.streams import Streams

    streams = Streams(io.StringIO(), io.StringIO(), io.StringIO())
    code = main(["reap"], clock=operator.clock, environ=operator.environ, streams=streams)
    return code, streams.err.getvalue()  # type: ignore[attr-defined]


def test_a_region_that_fails_never_stops_the_others(operator: Operator) -> None:
    operator.provision("--ttl", "5")
    operator.json("provision", "g4dn.xlarge", "--region", "us-west-2", "--ttl", "5")
    operator.later(minutes=5)
    operator.wire.arm("DescribeInstances", *[refuse("UnauthorizedOperation", 403)])
    ran = operator.run("reap")
    assert ran.code == 8
    assert "could not list instances" in ran.err
    # The unlisted one is ended by the id that its own create returned.
    assert operator.active == []


def test_two_passes_a_minute_apart_confirm_that_an_instance_is_terminated_and_one_pass_does_not(
    operator: Operator,
) -> None:
    instance = operator.provision().instance
    operator.later(minutes=10)
    operator.cloud.client("ec2", "us-east-1").terminate_instances(InstanceIds=[instance["cloudInstanceId"]])
    operator.later(hours=2)
    operator.run("reap")
    assert operator.records[0].status is not Status.TERMINATED
    operator.later(seconds=59)
    operator.run("reap")
    assert operator.records[0].status is not Status.TERMINATED
    operator.later(seconds=1)
    operator.run("reap")
    ended = operator.records[0]
    assert (ended.status, ended.end_is_estimate) == (Status.TERMINATED, True)
    assert ended.terminated_at == ended.expires_at + 2 * MINUTE


def test_empty_answers_for_everything_never_close_anything(operator: Operator) -> None:
    for _ in range(3):
        operator.provision("--ttl", "120")
    for _ in range(4):
        operator.later(minutes=6)
        operator.wire.arm("DescribeInstances", *[NOTHING_THERE] * 4)
        assert operator.run("reap", "--sweep").code == 8
        operator.wire._faults.clear()
    assert {record.status for record in operator.records} == {Status.READY}
    assert len(operator.active) == 3


def test_the_wrong_account_never_ends_or_closes_anything(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    instance = operator.provision("--ttl", "5").instance
    operator.store.update(instance["id"], lambda record: record.with_fields(account="999999999999"))
    operator.later(minutes=60)
    ran = operator.run("reap")
    assert ran.code == 8
    assert "not `999999999999`" in ran.err
    assert operator.json("terminate", instance["id"], "--timeout", "5s").code == 8
    assert len(operator.active) == 1
    assert operator.wire.calls("TerminateInstances") == []


@pytest.mark.parametrize("years", [10, -10])
@pytest.mark.parametrize("due", [False, True])
def test_a_clock_years_off_terminates_by_the_clouds_clock_only(operator: Operator, years: int, due: bool) -> None:
    operator.provision("--ttl", "30")
    operator.later(minutes=30 if due else 29)
    off = timedelta(days=365 * years)
    operator.skew += off
    operator.clock.jump(off)
    ran = operator.run("reap")
    assert "clock" in ran.err
    assert len(operator.active) == (0 if due else 1)


def test_without_the_clouds_clock_nothing_is_terminated_by_its_deadline(operator: Operator) -> None:
    operator.provision("--ttl", "5")
    operator.later(minutes=10)
    undated = Fault(True, lambda real: (real[0], {"Content-Type": real[1]["Content-Type"]}, real[2]) if real else None)
    operator.wire.arm("GetCallerIdentity", undated)
    ran = operator.run("reap")
    assert ran.code == 8
    assert len(operator.active) == 1
    assert operator.run("reap").code == 0
    assert operator.active == []


def test_provision_takes_its_deadline_from_the_clouds_clock(operator: Operator) -> None:
    off = timedelta(hours=3)
    operator.skew += off
    operator.clock.jump(off)
    ran = operator.provision("--ttl", "30")
    assert "clock" in ran.err
    assert ran.instance["expiresAt"] == "2026-11-24T12:30:00Z"


def test_an_idle_run_says_nothing_asks_nothing_and_changes_nothing(operator: Operator) -> None:
    operator.provision()
    operator.run("reap", "--sweep")
    operator.wire.sent.clear()
    before = operator.state.read_bytes()
    operator.later(minutes=4)
    ran = operator.run("reap")
    assert (ran.code, ran.out, ran.err) == (0, "", "")
    assert operator.wire.sent == []
    assert operator.state.read_bytes() == before


def test_the_clouds_are_swept_every_five_minutes_and_when_the_last_sweep_lies_in_the_future(operator: Operator) -> None:
    operator.provision()
    operator.run("reap")
    operator.wire.sent.clear()
    operator.later(minutes=5)
    operator.run("reap")
    assert len(listings(operator)) == 1
    operator.clock.jump(timedelta(minutes=-30))
    operator.skew -= timedelta(minutes=30)
    operator.run("reap")
    assert len(listings(operator)) == 2


def listings(operator: Operator) -> list[Sent]:
    """The queries for all instances of a region."""
    return [sent for sent in operator.wire.calls("DescribeInstances") if "Filter.1.Name" in sent.form]


def test_what_is_unresolved_is_reported_at_once_then_once_an_hour_and_in_every_exit_code(operator: Operator) -> None:
    instance = operator.provision("--ttl", "5").instance
    operator.store.update(instance["id"], lambda record: record.with_fields(account="999999999999"))
    operator.later(minutes=5)
    first, second = operator.run("reap"), operator.run("reap")
    assert "999999999999" in first.err
    assert second.err == ""
    assert (first.code, second.code) == (8, 8)
    operator.later(hours=1)
    assert "999999999999" in operator.run("reap").err


def test_a_dry_run_shows_the_plan_and_changes_nothing(operator: Operator) -> None:
    instance = operator.provision("--ttl", "5").instance
    operator.later(minutes=5)
    before = operator.state.read_bytes()
    ran = operator.json("reap", "--dry-run")
    assert (ran.code, ran.json["dryRun"]) == (0, True)
    assert [(action["id"], action["action"]) for action in ran.json["actions"]] == [(instance["id"], "terminate")]
    assert len(operator.active) == 1
    assert operator.state.read_bytes() == before


def test_a_state_that_was_named_and_does_not_exist_is_an_error(operator: Operator) -> None:
    ran = operator.json("reap")
    assert (ran.code, ran.json["error"]["code"]) == (9, "state_unusable")


def test_a_reap_leaves_to_one_that_is_at_work_and_works_beside_one_that_hangs(operator: Operator) -> None:
    from gpuctl.store.lease import LeaseName, leased
    from gpuctl.store.local.lease import LocalLeases

    operator.provision("--ttl", "5")
    operator.later(minutes=5)
    with leased(LocalLeases(operator.state, operator.clock), LeaseName.REAP, "another", timedelta(minutes=5)):
        ran = operator.run("reap")
        assert (ran.code, ran.out, ran.err, len(operator.active)) == (0, "", "", 1)
        operator.later(minutes=5)
        ran = operator.run("reap")
        assert "running in parallel" in ran.err
    assert operator.active == []


def test_an_extend_between_the_plan_and_the_deed_wins(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    """The reaper has listed and planned; before it acts the deadline moves."""
    instance = operator.provision("--ttl", "5").instance
    operator.later(minutes=5)
    real = applying.Applier.apply

    def apply(self: applying.Applier, plan: object) -> object:
        operator.store.update(instance["id"], lambda record: record.with_fields(expires_at=NOON + 60 * MINUTE))
        return real(self, plan)  # type: ignore[arg-type]

    monkeypatch.setattr(applying.Applier, "apply", apply)
    assert ("wait") in [action for _, action in actions(operator)]
    assert len(operator.active) == 1
    assert operator.records[0].status is Status.READY


def test_a_kill_between_the_tag_and_the_record_loses_the_extension_and_says_so(operator: Operator) -> None:
    instance = operator.provision("--ttl", "5").instance
    real_store = operator.store

    def reap_first(answer: object) -> object:
        real_store.update(
            instance["id"], lambda record: applying.advance(record, Status.STOPPING, operator.clock.now(), None)
        )
        return answer

    operator.wire.arm("CreateTags", Fault(True, reap_first))  # type: ignore[arg-type]
    ran = operator.json("extend", instance["id"], "--by", "30m")
    assert ran.code == 2
    assert "STOPPING" in ran.json["error"]["message"]
    assert operator.records[0].expires_at == NOON + 5 * MINUTE


def test_an_active_instance_whose_record_is_closed_is_terminated(operator: Operator) -> None:
    instance = operator.provision().instance
    operator.store.update(
        instance["id"], lambda record: applying.advance(record, Status.TERMINATED, operator.clock.now())
    )
    operator.run("reap", "--sweep")
    assert operator.active == []


def test_the_reaper_takes_over_a_create_whose_process_died(operator: Operator) -> None:
    """Killed after the create was performed and before its reply was written down."""
    instance = operator.provision("--ttl", "30").instance
    before = a_record_without_its_machine(operator, instance["id"])
    operator.later(minutes=6)
    assert (before.id, "adopt") in actions(operator)
    assert operator.records[0].cloud_id == instance["cloudInstanceId"]
    operator.later(minutes=24)
    operator.run("reap")
    assert operator.active == []


def a_record_without_its_machine(operator: Operator, record_id: str) -> Instance:
    blank = a_ready_instance(record_id)
    forgotten = {
        "cloud_id": None,
        "id_is_from_create": False,
        "launched_at": None,
        "ready_at": None,
        "status": Status.PROVISIONING,
        "attempts": tuple(
            attempt.model_copy(update={"outcome": Outcome.PENDING, "cloud_id": None}) for attempt in blank.attempts
        ),
    }
    return operator.store.update(record_id, lambda record: record.with_fields(**forgotten))


def test_a_create_that_never_happened_is_given_up_after_a_quarter_of_an_hour(operator: Operator) -> None:
    instance = operator.provision().instance
    a_record_without_its_machine(operator, instance["id"])
    operator.cloud.ask("POST", "/gpuctl-sandbox/reset")
    for minutes in (6, 6):
        operator.later(minutes=minutes)
        operator.run("reap")
    assert operator.records[0].status is Status.PROVISIONING
    operator.later(minutes=4)
    operator.run("reap")
    assert (operator.records[0].status, operator.records[0].reason) == (Status.FAILED, "abandoned")


def test_a_lost_reply_to_a_termination_is_retried(operator: Operator) -> None:
    operator.provision("--ttl", "5")
    operator.later(minutes=5)
    operator.wire.arm("TerminateInstances", *[LOST] * 4)
    assert operator.run("reap").code == 8
    operator.later(minutes=1)
    assert operator.run("reap").code == 0
    assert operator.active == []
    assert operator.records[0].status is Status.TERMINATED


def test_what_ended_a_week_ago_moves_to_the_archive_and_is_still_found(operator: Operator) -> None:
    instance = operator.provision("--name", "n").instance
    operator.run("terminate", "n")
    operator.later(days=8)
    operator.run("reap", "--sweep")
    assert operator.records == ()
    assert operator.json("get", instance["id"]).instance["status"] == "TERMINATED"
    assert operator.json("stats").json["statistics"]["totalProvisioned"] == 1
    assert operator.json("terminate", instance["id"]).code == 0


def test_a_guard_that_refuses_is_no_bug() -> None:
    """`run_isolated` isolates bugs only: an expected failure is passed on as it is."""
    from gpuctl.services.isolation import run_isolated

    def refuses(items: object) -> None:
        raise UsageError("no")

    with pytest.raises(UsageError):
        run_isolated([1, 2], refuses, lambda item, trace: None)


def test_a_region_that_may_not_be_listed_is_reported_with_what_to_do(operator: Operator) -> None:
    operator.provision()
    operator.wire.arm("DescribeInstances", *[refuse("UnauthorizedOperation", 403)] * 4)
    ran = operator.json("reap", "--sweep")
    assert (ran.code, "docs/aws-policy.json" in ran.json["error"]["hint"]) == (8, True)
