"""Hooks hear of everything, after everything else was done, and can hold up nothing."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from support.cli import Operator, Ran
from support.clock import StepClock
from support.instances import a_ready_instance

from gpuctl import hooks
from gpuctl.domain.events import EventName
from gpuctl.errors import Interrupted
from gpuctl.hooks.base import HookMessage
from gpuctl.services.events import deliver as delivering

ALL = tuple(EventName)
LIFE = ["provisioning", "attempt", "provisioned", "ready", "stopping", "terminated"]


class Heard:
    """In place of every hook: keeps what it is told, and does or answers what a test says."""

    def __init__(self) -> None:
        self.messages: list[HookMessage] = []
        self.then: Callable[[HookMessage], str | None] = lambda message: None

    def send(self, message: HookMessage, patience: timedelta) -> str | None:
        self.messages.append(message)
        return self.then(message)

    @property
    def names(self) -> list[str]:
        return [message.name.removeprefix("instance:") for message in self.messages]


@pytest.fixture
def heard(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> Heard:
    heard = Heard()
    monkeypatch.setattr(hooks, "open_hook", lambda text, environ: heard)
    hooked(operator, "somebody", *ALL)
    return heard


def hooked(operator: Operator, hook: str, *events: str) -> None:
    operator.environ |= {f"GPUCTL_HOOKS_{event.upper()}": hook for event in events}


def test_a_whole_lifecycle_is_delivered_in_order_with_the_instance_and_its_final_cost(
    operator: Operator, heard: Heard
) -> None:
    operator.provision("--name", "n")
    assert heard.names == LIFE[:4]
    operator.later(minutes=30)
    operator.json("terminate", "n")
    assert heard.names == LIFE
    documents = [json.loads(message.document) for message in heard.messages]
    assert list(documents[0])[:4] == ["schemaVersion", "event", "at", "instanceId"]
    assert {item["instance"]["name"] for item in documents} == {"n"}
    assert documents[3]["instance"]["status"] == "READY"
    assert [item["totalCost"] for item in documents[:5]] == [None] * 5
    assert documents[5]["totalCost"] == documents[5]["instance"]["totalCost"] > 0
    operator.json("reap")
    assert len(heard.messages) == 6


@pytest.mark.parametrize("argv", [("list",), ("get", "n"), ("events",), ("stats",), ("reap", "--dry-run")])
def test_a_command_without_changes_delivers_nothing(operator: Operator, heard: Heard, argv: tuple[str, ...]) -> None:
    operator.store.add([a_ready_instance(name="n")], lambda present: None)
    operator.store.update("inst-000000000001", lambda record: record.with_fields(history=()))
    operator.run(*argv)
    assert heard.messages == []
    assert operator.records[0].delivered == 0


def test_every_termination_is_requested_before_any_delivery(operator: Operator, heard: Heard) -> None:
    for name in ("a", "b", "c"):
        operator.provision("--name", name, "--ttl", "5")
    heard.messages.clear()
    operator.later(minutes=6)
    active: list[int] = []
    heard.then = lambda message: active.append(len(operator.active))
    operator.json("reap")
    assert len(heard.messages) >= 3
    assert set(active) == {0}


def test_hooks_that_hang_delay_no_end_and_keep_no_reap_that_follows_out(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(delivering, "HOOK_TIMEOUT", timedelta(milliseconds=100))
    hooked(operator, "sleep 600", *ALL)
    ran = operator.provision("--ttl", "5")
    assert ran.code == 0
    assert "hook `provisioning` timed out after" in ran.err
    operator.later(minutes=5)
    ran = operator.run("reap")
    assert ran.code == 0
    assert operator.active == []
    assert operator.records[0].delivered == 0


def test_a_reap_during_the_delivery_of_events_terminates_expired_instances(operator: Operator, heard: Heard) -> None:
    operator.provision("--name", "a", "--ttl", "5")
    operator.provision("--name", "b", "--ttl", "6")
    operator.later(minutes=5, seconds=45)

    def meanwhile(message: HookMessage) -> None:
        heard.then = lambda message: None
        operator.later(seconds=20)
        assert operator.run("reap").code == 0
        assert operator.active == []

    heard.then = meanwhile
    operator.run("reap")
    assert heard.names.count("stopping") == 2


def test_a_kill_between_delivery_and_count_delivers_again(operator: Operator, tmp_path: Path) -> None:
    operator.provision()
    operator.cloud.now = timedelta(0)
    heard = tmp_path / "heard"
    environ = {
        **{name: value for name, value in os.environ.items() if name.startswith("AWS_")},
        **operator.environ,
        "PYTHONPATH": os.pathsep.join(sys.path),
        "PATH": "/usr/bin:/bin",
    }
    script = f'printf "%s\\n" "$GPUCTL_EVENT_NUMBER" >>{heard}'
    operator.store.update(operator.records[0].id, _as_of_now)

    def reaps(hook: str) -> int:
        hooks = {"GPUCTL_HOOKS_PROVISIONED": hook, "GPUCTL_HOOKS_READY": script}
        run = [sys.executable, "-m", "gpuctl", "reap"]
        return subprocess.run(run, env=environ | hooks, capture_output=True, check=False, timeout=60).returncode

    assert reaps(f"{script}; kill -9 $PPID; sleep 60") == -9
    assert operator.records[0].delivered == 0
    assert reaps(script) == 0
    assert heard.read_text().split() == ["3", "3", "4"]
    assert reaps(script) == 0
    assert heard.read_text().split() == ["3", "3", "4"]


def _as_of_now(record: Any) -> Any:
    from gpuctl.clock import SystemClock

    now = SystemClock().now()
    entries = tuple(item.model_copy(update={"at": now}) for item in record.history)
    return record.with_fields(history=entries, expires_at=now + timedelta(hours=1))


def test_two_processes_deliver_no_event_twice(operator: Operator, heard: Heard) -> None:
    def meanwhile(message: HookMessage) -> None:
        heard.then = lambda message: None
        operator.run("reap")

    heard.then = meanwhile
    operator.provision()
    assert heard.names == LIFE[:4]


def test_expiring_is_delivered_once_for_each_deadline_across_many_reaps(operator: Operator, heard: Heard) -> None:
    operator.provision("--name", "n", "--ttl", "60")
    operator.later(minutes=49, seconds=59)
    operator.run("reap")
    assert heard.names == LIFE[:4]
    for _ in range(8):
        operator.later(minutes=1)
        operator.run("reap")
    assert heard.names == [*LIFE[:4], "expiring"]
    assert json.loads(heard.messages[-1].document)["detail"] == "ends at 2026-11-24T13:00:00Z"
    operator.json("extend", "n", "--by", "30m")
    for _ in range(8):
        operator.later(minutes=3)
        operator.run("reap")
    assert heard.names == [*LIFE[:4], "expiring", "extended", "expiring"]
    assert [event["event"] for event in operator.json("events").json["events"]].count("instance:expiring") == 2


def test_a_hook_that_extends_on_expiring_keeps_the_instance(operator: Operator, heard: Heard) -> None:
    operator.provision("--name", "n", "--ttl", "30")

    def extends(message: HookMessage) -> None:
        if message.name == "instance:expiring":
            assert operator.json("extend", "n", "--by", "30m").code == 0

    heard.then = extends
    operator.later(minutes=21)
    operator.run("reap")
    operator.later(minutes=10)
    operator.run("reap")
    assert len(operator.active) == 1
    assert heard.names[4:] == ["expiring", "extended"]


def test_a_command_that_waits_says_that_the_deadline_is_near(operator: Operator, heard: Heard) -> None:
    operator.provision("--name", "n", "--ttl", "5")
    operator.later(minutes=4)
    operator.json("wait", "n", "--for", "terminated", "--timeout", "20s")
    assert heard.names == [*LIFE[:4], "expiring"]


def test_a_gpuctl_that_a_hook_runs_delivers_nothing(operator: Operator, heard: Heard) -> None:
    operator.environ["GPUCTL_IN_HOOK"] = "1"
    operator.provision()
    assert heard.messages == []
    del operator.environ["GPUCTL_IN_HOOK"]
    operator.run("reap")
    assert heard.names == LIFE[:4]


def test_a_hook_that_fails_is_reported_and_no_failure_of_the_command(operator: Operator) -> None:
    hooked(operator, "echo no route >&2; exit 7", "ready")
    ran = operator.provision("--name", "n")
    assert (ran.code, ran.json["success"]) == (0, True)
    assert ran.err.splitlines()[-1] == "warning: hook `ready` exited with 7: no route; the next reap retries it"


def test_cron_hears_of_a_failing_hook_once_an_hour_and_of_nothing_else(operator: Operator) -> None:
    hooked(operator, "exit 7", "ready")
    assert operator.provision("--ttl", "120").err.count("hook `ready`") == 1
    operator.later(minutes=10)
    assert operator.run("reap") == Ran(0, "", "")
    operator.later(minutes=51)
    assert operator.run("reap").err.count("hook `ready`") == 1
    hooked(operator, "exit 0", "ready")
    assert operator.run("reap") == Ran(0, "", "")
    assert operator.run("reap") == Ran(0, "", "")


def test_the_watching_reaper_delivers_events_between_runs(operator: Operator, heard: Heard) -> None:
    operator.provision("--ttl", "5")
    heard.messages.clear()
    clock = StepClock(operator.clock.now() + timedelta(minutes=5), [None] * 119)
    operator.clock = clock
    heard.then = lambda message: clock.move(timedelta(seconds=20))
    began = clock.elapsed()
    operator.run("reap", "--watch", "--interval", "60s")
    assert operator.active == []
    assert heard.names == ["stopping", "terminated"]
    # Two pauses, and what was told came out of them: 119 seconds slept and 40 told are 159, not 160 and more passes.
    assert clock.elapsed() - began <= timedelta(seconds=160)


def test_a_signal_during_the_delivery_of_events_stops_the_delivery_only(operator: Operator, heard: Heard) -> None:
    def interrupted(message: HookMessage) -> str | None:
        raise Interrupted("ended by SIGINT", signal_number=2)

    heard.then = interrupted
    ran = operator.provision()
    assert (ran.code, ran.json["success"]) == (0, True)
    assert operator.records[0].delivered == 0


def test_a_command_hook_knows_which_state_it_is_about(operator: Operator, tmp_path: Path) -> None:
    hooked(operator, f'echo "$GPUCTL_STATE $GPUCTL_EVENT" >{tmp_path}/told; cat >>{tmp_path}/told', "ready")
    operator.environ.pop("GPUCTL_STATE")
    operator.provision("--state", str(operator.state))
    names, document = (tmp_path / "told").read_text().splitlines()
    assert names == f"{operator.state} instance:ready"
    assert json.loads(document)["instance"]["publicIp"]


def test_an_address_is_never_shown(operator: Operator) -> None:
    hooked(operator, "http://127.0.0.1:1/s3cret-token", *ALL)
    ran = operator.provision("-v")
    assert ran.code == 0
    assert "could not be reached" in ran.err
    assert "s3cret" not in ran.err + ran.out + operator.run("reap", "-v").err
    remaining = [path.read_text() for path in operator.folder.rglob("*") if path.is_file()]
    assert not any("s3cret" in text for text in remaining)


def test_the_config_hooks_every_event_there_is_and_no_other() -> None:
    from gpuctl.config.schema import known_below

    assert known_below(("hooks",)) == list(EventName)
