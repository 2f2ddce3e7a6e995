"""When the state is lost, damaged, put back from a backup or cannot be written: nothing leaks and nothing is killed."""

import fcntl
import io
import shutil
from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import Operator
from support.instances import an_instance
from support.wire import LOST, refuse

from gpuctl.cli.main import main
from gpuctl.cli.terminal.streams import Streams
from gpuctl.domain.instance import Reason, Status
from gpuctl.domain.tags import deadline_tag

PAGE = "DescribeInstances"


def damage(operator: Operator) -> bytes:
    content = operator.state.read_bytes()[:-7]
    operator.state.write_bytes(content)
    return content


def put_back(operator: Operator) -> None:
    shutil.copy(operator.folder / "older", operator.state)


@pytest.fixture
def few_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small world: an SDK client for each of thirty regions takes seconds to make."""
    regions = frozenset({"us-east-1", "eu-west-1", "us-west-2"})
    monkeypatch.setattr("gpuctl.catalog.Catalog.regions", lambda catalog, provider: regions)


@pytest.fixture
def two(operator: Operator, few_regions: None) -> Operator:
    """Two instances, of an hour and of two, in two regions; and a copy of the state as it is now."""
    assert operator.provision("--name", "one").code == 0
    assert operator.json("provision", "g5.xlarge", "--region", "eu-west-1", "--ttl", "120", "--name", "two").code == 0
    shutil.copy(operator.state, operator.folder / "older")
    return operator


def test_with_a_damaged_state_the_reaper_terminates_by_tags_and_exits_9(two: Operator) -> None:
    content = damage(two)
    two.later(minutes=61)
    ran = two.json("reap")
    assert (ran.code, ran.json["error"]["code"]) == (9, "state_unusable")
    assert ("terminate", Reason.ORPHAN) in [(action["action"], action["reason"]) for action in ran.json["actions"]]
    assert len(two.active) == 1
    two.later(minutes=61)
    assert two.run("reap").code == 9
    assert two.active == []
    assert two.state.read_bytes() == content


def test_with_a_missing_state_every_region_is_queried(two: Operator) -> None:
    two.state.unlink()
    two.state.with_name("state.json.reap.json").unlink(missing_ok=True)
    two.later(minutes=121)
    ran = two.run("reap")
    assert ran.code == 9
    assert "is missing" in ran.err
    assert two.active == []


def test_without_a_state_no_instance_in_time_and_none_of_others_is_terminated(two: Operator) -> None:
    expired = deadline_tag(two.clock.now())
    two.cloud.launch(
        tags={"gpuctl-id": "inst-zzzzzzzzzzzz", "gpuctl-state": "another-state", "gpuctl-expires-at": expired}
    )
    two.cloud.launch(tags={"gpuctl-state": two.state_id, "gpuctl-expires-at": expired})
    two.cloud.launch()
    damage(two)
    two.later(minutes=30)
    assert two.run("reap").code == 9
    assert len(two.active) == 5


def test_a_dry_run_without_a_state_ends_nothing(two: Operator) -> None:
    damage(two)
    two.later(minutes=121)
    ran = two.json("reap", "--dry-run")
    assert (ran.code, ran.json["count"]) == (9, 2)
    assert len(two.active) == 2


def test_a_state_that_cannot_be_written_keeps_no_instance_running(
    two: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    two.later(minutes=121)
    monkeypatch.setattr("gpuctl.files.Disk.write", full)
    ran = two.run("reap")
    assert ran.code == 9
    assert "No space left" in ran.err
    assert two.active == []


def test_a_state_that_another_process_never_lets_go_of_keeps_no_instance_running(two: Operator) -> None:
    two.later(minutes=121)
    lock = (two.folder / "state.json.lock").open("r+")
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        ran = two.json("reap")
    assert (ran.code, ran.json["error"]["code"]) == (5, "state_locked")
    assert two.active == []


def test_a_lost_state_is_rebuilt_from_the_tags(two: Operator) -> None:
    state_id = two.state_id
    two.state.unlink()
    ran = two.json("recover", "--yes")
    assert ran.code == 0
    assert (ran.json["count"], ran.json["stateId"], ran.json["previousStateFile"]) == (2, state_id, None)
    assert not two.store.snapshot().is_restored
    assert sorted(record.name or "" for record in two.records) == ["one", "two"]
    assert {record.tags.get("Name") for record in two.records} == {None}
    two.later(minutes=121)
    assert two.run("reap").code == 0
    assert two.active == []


def test_a_name_of_another_active_instance_is_not_given_twice(two: Operator) -> None:
    (twin,) = [instance["id"] for instance in two.cloud.instances() if instance["tags"]["Name"] == "two"]
    two.cloud.client("ec2", "eu-west-1").create_tags(Resources=[twin], Tags=[{"Key": "Name", "Value": "one"}])
    two.state.unlink()
    assert two.json("recover", "--yes").code == 0
    assert sorted(record.name or "" for record in two.records) == ["", "one"]


def test_a_damaged_state_is_kept_beside_the_rebuilt_one(two: Operator) -> None:
    content = damage(two)
    ran = two.json("recover", "--yes")
    assert ran.code == 0
    assert Path(ran.json["previousStateFile"]).read_bytes() == content


def test_it_shows_first_what_it_found_and_writes_nothing_without_a_yes(two: Operator) -> None:
    content = damage(two)
    shown = two.run("recover", terminal=True, typed="n\n")
    assert shown.code == 2
    assert "2 instances with gpuctl tags" in shown.err
    assert "g5.xlarge" in shown.err
    assert two.json("recover", "--dry-run").json["count"] == 2
    assert two.run("recover").code == 2
    assert two.state.read_bytes() == content


def test_nothing_is_recovered_where_nothing_is_lost(two: Operator) -> None:
    ran = two.json("recover", "--yes")
    assert (ran.code, ran.json["error"]["hint"]) == (2, "gpuctl reap --sweep adopts instances without a record")


def test_without_a_known_state_id_the_ids_in_the_cloud_are_named(two: Operator) -> None:
    state_id = two.state_id
    shutil.rmtree(two.folder)
    two.folder.mkdir()
    ran = two.json("recover", "--yes")
    assert (ran.code, state_id in ran.json["error"]["message"]) == (2, True)
    assert two.json("recover", "--yes", "--state-id", "NO").code == 2
    assert two.json("recover", "--yes", "--state-id", state_id).json["count"] == 2


def test_a_state_of_a_newer_gpuctl_is_left_alone(two: Operator) -> None:
    newer = two.state.read_bytes().replace(b'"format":1', b'"format":7')
    two.state.write_bytes(newer)
    ran = two.json("recover", "--yes")
    assert (ran.code, ran.json["error"]["code"]) == (9, "state_unusable")
    assert two.state.read_bytes() == newer


def test_a_backup_that_forgot_an_extension_kills_nothing_early(two: Operator) -> None:
    assert two.json("extend", "one", "--by", "45m").code == 0
    assert two.provision("--name", "three", "--ttl", "120").code == 0
    damage(two)
    ran = two.json("recover", "--backup", str(two.folder / "older"), "--yes")
    assert (ran.code, ran.json["count"]) == (0, 3)
    two.later(minutes=70)
    assert two.run("reap").code == 0
    assert len(two.active) == 3
    two.later(minutes=40)
    two.run("reap")
    assert len(two.active) == 2
    two.later(minutes=20)
    two.run("reap")
    assert two.active == []


def test_a_restored_state_enforces_no_deadline_that_was_extended_until_every_region_was_queried(two: Operator) -> None:
    assert two.json("extend", "one", "--by", "45m").code == 0
    put_back(two)
    two.later(minutes=70)
    two.wire.arm(PAGE, refuse("UnauthorizedOperation", 403))
    assert two.json("reap").code == 8
    assert len(two.active) == 2
    assert two.store.snapshot().is_restored
    assert two.run("reap").code == 0
    assert len(two.active) == 2
    assert not two.store.snapshot().is_restored
    two.later(minutes=40)
    two.run("reap")
    assert len(two.active) == 1


def test_a_restored_state_with_credentials_that_never_work_again_enforces_every_deadline_that_the_tags_confirm(
    two: Operator,
) -> None:
    """The account of an old record was deleted: its regions can never be queried, and the state stays restored."""
    deleted = an_instance("inst-0000000000zz", account="999999999999", status=Status.TERMINATED)
    two.store.add([deleted], lambda present: None)
    shutil.copy(two.state, two.folder / "older")
    assert two.json("extend", "one", "--by", "45m").code == 0
    put_back(two)
    two.later(minutes=70)
    assert two.run("reap").code == 8
    assert len(two.active) == 2
    two.later(minutes=40)
    assert two.run("reap").code == 8
    assert len(two.active) == 1
    two.later(minutes=11)
    assert two.run("reap").code == 8
    assert two.active == []
    assert two.store.snapshot().is_restored


def test_an_instance_without_a_record_is_terminated_by_its_own_tags_while_the_state_is_restored(two: Operator) -> None:
    two.later(minutes=1)
    two.cloud.launch(
        tags={
            "gpuctl-id": "inst-00000000000a",
            "gpuctl-state": two.state_id,
            "gpuctl-expires-at": deadline_tag(two.clock.now() + timedelta(minutes=5)),
        }
    )
    two.run("extend", "two", "--ttl", "120")
    put_back(two)
    two.later(minutes=30)
    two.wire.arm(PAGE, refuse("UnauthorizedOperation", 403))
    assert two.json("reap", "--sweep").code == 8
    assert two.store.snapshot().is_restored
    assert len(two.active) == 2


def test_a_state_that_was_restored_is_made_whole_without_waiting_for_the_reaper(two: Operator) -> None:
    two.run("extend", "one", "--by", "45m")
    put_back(two)
    assert two.json("recover", "--backup", str(two.folder / "older"), "--yes").code == 2
    ran = two.json("recover", "--yes")
    assert (ran.code, ran.json["previousStateFile"], ran.json["count"]) == (0, None, 2)
    assert not two.store.snapshot().is_restored


def test_what_ended_after_the_backup_stays_ended(two: Operator) -> None:
    assert two.json("terminate", "one").code == 0
    two.later(days=8)
    two.run("reap")
    put_back(two)
    two.run("reap")
    assert two.json("get", "one").instance["status"] == Status.TERMINATED


def test_a_recover_that_could_not_query_every_region_reports_it_and_the_reaper_continues(two: Operator) -> None:
    damage(two)
    two.wire.arm(PAGE, refuse("UnauthorizedOperation", 403))
    ran = two.json("recover", "--yes")
    assert (ran.code, ran.json["error"]["code"], ran.json["count"]) == (8, "unresolved", 1)
    assert two.store.snapshot().is_restored
    assert two.run("reap").code == 0
    assert not two.store.snapshot().is_restored
    assert len(two.records) == 2


def test_a_region_that_never_answers_leaves_a_restored_state_restored(two: Operator) -> None:
    two.run("extend", "one", "--by", "5m")
    put_back(two)
    two.wire.arm(PAGE, *[LOST] * 4)
    assert two.run("reap").code == 8
    assert two.store.snapshot().is_restored


def test_a_refusal_signed_by_a_wrong_clock_is_called_that_and_no_other_is(operator: Operator) -> None:
    refusals = [
        refuse("SignatureDoesNotMatch", 403, date=operator.clock.now() - timedelta(hours=off)) for off in (3, 0)
    ]
    operator.wire.arm("GetCallerIdentity", *refusals)
    error = operator.provision().json["error"]
    assert (error["exitCode"], error["hint"]) == (4, "set the clock: sudo timedatectl set-ntp true")
    assert "computer is 3h ahead" in error["message"]
    assert "clock" not in operator.provision().json["error"]["message"]


def test_a_bug_while_a_restored_state_is_made_whole_ends_nothing_and_stops_nothing_else(
    two: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object) -> None:
        raise ZeroDivisionError("a bug of a test")

    two.run("extend", "one", "--by", "45m")
    put_back(two)
    two.later(minutes=70)
    two.json("terminate", "two", "--no-wait")
    monkeypatch.setattr("gpuctl.services.reap.reaper.merge", bug)
    streams = Streams(io.StringIO(), io.StringIO(), io.StringIO())
    code = main(["reap"], clock=two.clock, environ=two.environ, streams=streams)
    assert code == 8
    assert "a bug of a test" in streams.err.getvalue()  # type: ignore[attr-defined]
    assert len(two.active) == 1
    assert [record.status for record in two.records if record.name == "two"] == [Status.TERMINATED]
