"""`gpuctl run --finish-by` against a real OpenSSH server: interruptions, and on-demand at the last moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from threading import Event, Thread

import pytest
from support.reachable import Reachable
from support.runner import NEW, Runner
from support.sshd import Cable
from support.wire import Answer, Sent, refuse

from gpuctl.domain.instance import Instance, Market, Reason, Status
from gpuctl.domain.unfinished import claimed
from gpuctl.domain.work import Driver, TimedWork

# Waits on the first instances, and ends on the third.
COUNTING = (
    'n=$(cat n 2>/dev/null || echo 0); echo $((n + 1)) >n; touch "begun$n"; [ "$n" -ge 2 ] || sleep 600; echo "$n"'
)


@pytest.fixture
def runner(reachable: Reachable) -> Runner:
    return Runner(reachable)


def decisions(record: Instance) -> list[str]:
    return [entry.detail or "" for entry in record.history if entry.event == "decided"]


def without_spot_capacity(sent: Sent) -> Answer | None:
    """EC2's refusal of every request for a spot instance."""
    is_spot = sent.action == "RunInstances" and "InstanceMarketOptions.MarketType" in sent.form
    return refuse("InsufficientInstanceCapacity", 500).answer(None) if is_spot else None


@contextmanager
def interrupting(runner: Runner, cable: Cable, times: int) -> Iterator[None]:
    """Interrupts the instance as soon as its command has begun, that many times."""

    pause = Event()

    def interrupt() -> None:
        for number in range(times):
            while not (runner.sshd.home / f"begun{number}").exists():
                pause.wait(0.05)
            (cloud_id,) = runner.operator.active
            runner.operator.clock.move(timedelta(minutes=10))
            runner.operator.cloud.interrupt(cloud_id)
            # The server is still there, so that a connection made after the first cut would stay.
            while any(each.cloud_id == cloud_id and each.is_active for each in runner.operator.records):
                cable.cut()
                pause.wait(0.2)

    thread = Thread(target=interrupt, daemon=True)
    thread.start()
    yield
    thread.join(timeout=60)


def test_a_task_interrupted_twice_still_finishes_in_time(runner: Runner, cable: Cable) -> None:
    with interrupting(runner, cable, 2):
        code = runner.run("--finish-by", "6h", "--work", "30m", remote_command=[COUNTING])
    assert (code, runner.out, runner.operator.active) == (0, "2\n", [])
    records = sorted(runner.operator.records, key=lambda record: record.created_at)
    assert [record.reason for record in records] == [Reason.INTERRUPTED, Reason.INTERRUPTED, Reason.USER]
    assert {record.market for record in records} == {Market.SPOT}
    works = [record.timed_work for record in records]
    assert [work.losses for work in works if work] == [0, 1, 2]
    assert {work.finish_by for work in works if work} == {works[0].finish_by if works[0] else None}
    assert "2 interruptions" in decisions(records[2])[0]
    assert runner.document["instance"]["id"] == records[2].id


def test_run_starts_no_instance_while_another_process_continues_the_work(runner: Runner, cable: Cable) -> None:
    free_at = None

    def taken_over(sent: Sent) -> Answer | None:
        """Another process claims the work between the decision and the record of the next instance."""
        nonlocal free_at
        lost = [record for record in runner.operator.records if record.reason is Reason.INTERRUPTED]
        if free_at is None and lost and sent.action == "DescribeImages":
            free_at = runner.operator.clock.now() + timedelta(minutes=7)
            driver = Driver(holder="server process 1", until=free_at)
            runner.operator.store.update(lost[0].id, lambda fresh: claimed(fresh, driver, driver.until, lambda _: True))
        return None

    runner.operator.wire.instead = taken_over
    with interrupting(runner, cable, 1):
        assert (
            runner.run("--finish-by", "6h", "--work", "30m", remote_command=[COUNTING.replace("-ge 2", "-ge 1")]) == 0
        )
    _, second = sorted(runner.operator.records, key=lambda record: record.created_at)
    assert free_at is not None and second.created_at >= free_at


def test_checkpointed_work_moves_back_to_spot_and_never_runs_twice_at_once(runner: Runner) -> None:
    operator, pause, ended = runner.operator, Event(), Event()
    operator.wire.instead = without_spot_capacity

    def let_time_pass() -> None:
        while not (runner.sshd.home / "begun0").exists():
            pause.wait(0.05)
        operator.wire.instead = lambda sent: None
        while not ended.is_set():
            operator.clock.move(timedelta(minutes=1))
            pause.wait(0.2)

    thread = Thread(target=let_time_pass, daemon=True)
    thread.start()
    # Little time to spare, so that the work does not wait for spot.
    options = ("--finish-by", "690m", "--work", "10h", "--checkpointed")
    code = runner.run(*options, remote_command=[COUNTING.replace("-ge 2", "-ge 1")], instance=NEW[:3])
    ended.set()
    thread.join(timeout=60)
    assert (code, runner.out) == (0, "1\n"), runner.err
    records = sorted(operator.records, key=lambda record: record.created_at)
    assert [(record.market, record.status) for record in records] == [
        (Market.SPOT, Status.FAILED),
        (Market.ON_DEMAND, Status.TERMINATED),
        (Market.SPOT, Status.TERMINATED),
    ]
    on_demand, spot = records[1:]
    (begun,) = (entry.at for entry in spot.history if entry.event == "running")
    assert on_demand.terminated_at is not None and on_demand.terminated_at <= begun
    assert spot.timed_work is not None and spot.timed_work.done > timedelta(minutes=5)
    assert spot.timed_work.is_over


def test_a_loss_that_leaves_no_time_for_another_leads_to_on_demand(runner: Runner, cable: Cable) -> None:
    with interrupting(runner, cable, 1):
        # Two full runs fit before the first instance, but not after it.
        code = runner.run("--finish-by", "75m", "--work", "30m", remote_command=[COUNTING.replace("-ge 2", "-ge 1")])
    assert code == 0
    first, second = sorted(runner.operator.records, key=lambda record: record.created_at)
    assert (first.market, second.market) == (Market.SPOT, Market.ON_DEMAND)
    assert decisions(second)[0].startswith("on-demand: after a loss, a full run on-demand would no longer finish")


def test_work_without_spot_capacity_goes_to_on_demand_at_the_last_moment(runner: Runner) -> None:
    begun = runner.operator.clock.now()
    runner.operator.wire.instead = without_spot_capacity
    code = runner.run("--finish-by", "90m", "--work", "30m", "--checkpointed", remote_command=["echo done"])
    assert (code, runner.out) == (0, "done\n")
    (record,) = (each for each in runner.operator.records if each.status is Status.TERMINATED)
    assert record.market is Market.ON_DEMAND
    waited = record.created_at - begun
    work = record.timed_work
    assert isinstance(work, TimedWork)
    assert record.created_at + work.restart + work.left <= work.finish_by
    assert waited > timedelta(minutes=30)


def test_the_command_gets_its_checkpoint_and_the_uploads_are_made_again(
    runner: Runner, cable: Cable, tmp_path: Path
) -> None:
    (tmp_path / "in").write_text("7")
    runner.operator.environ["GPUCTL_CHECKPOINT"] = "/mnt/bucket/run"
    remote_command = ['echo "$GPUCTL_CHECKPOINT $(cat in)" >>seen; rm in; ' + COUNTING.replace("-ge 2", "-ge 1")]
    with interrupting(runner, cable, 1):
        code = runner.run(
            "--finish-by",
            "6h",
            "--work",
            "2h",
            "--checkpointed",
            "--upload",
            f"{tmp_path}/in:in",
            remote_command=remote_command,
        )
    assert code == 0
    assert (runner.sshd.home / "seen").read_text() == "/mnt/bucket/run 7\n" * 2


def test_without_history_the_work_is_done_on_demand_and_then_its_duration_is_known(runner: Runner) -> None:
    assert runner.run("--finish-by", "6h", remote_command=["true"]) == 0
    (first,) = runner.operator.records
    assert first.market is Market.ON_DEMAND
    assert "no run of purpose `AI Analysis` has finished yet" in runner.err
    assert runner.run("--finish-by", "6h", remote_command=["true"]) == 0
    second = max(runner.operator.records, key=lambda record: record.created_at)
    assert second.market is Market.SPOT
    assert "90% of 1 run of purpose `AI Analysis`" in decisions(second)[0]
    shown = runner.operator.run("get", second.id, terminal=True, environ={"NO_COLOR": "1"}).out
    assert "spot in us-east-1: a spot instance can be lost" in " ".join(shown.split())


def test_a_failing_command_is_not_run_again(runner: Runner) -> None:
    assert runner.run("--finish-by", "6h", "--work", "1h", remote_command=["exit 3"]) == 3
    assert [record.status for record in runner.operator.records] == [Status.TERMINATED]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (("--spot", "--market", "auto"), "--spot and --market auto exclude each other"),
        (("--spot", "--finish-by", "6h"), "choose the market"),
        (("--finish-by", "1h", "--work", "2h"), "--finish-by leaves less time than `--work` takes"),
        (("--finish-by", "6h", "--work", "2x"), "--work must be a duration such as `2h`, or an amount"),
        (("--finish-by", "6h", "--work", "1h", "--work", "2h"), "--work takes one duration"),
        (("--market", "auto", "--fallback", "on-demand"), "--market auto includes on-demand"),
    ],
)
def test_options_of_a_deadline_that_exclude_each_other_are_one_error(
    runner: Runner, options: tuple[str, ...], text: str
) -> None:
    assert runner.run(*options) == 202
    assert text in runner.err
    assert runner.operator.records == ()
