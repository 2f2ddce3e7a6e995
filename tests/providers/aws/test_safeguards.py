"""The safeguards that `get` shows are those that the provider reports, not those that were requested."""

import base64

import pytest
from support.cli import Operator
from support.wire import Fault, refuse

from gpuctl.domain.safeguards import Mechanism, SafeguardStatus

CONSOLE = """\
[   12.1] cloud-init: done
gpuctl-guard: armed, ends at 20261124t130000z (tag)
gpuctl-guard: armed, ends at 20261124t140000z (tag)
"""


def on_the_console(text: str) -> Fault:
    output = base64.b64encode(text.encode()).decode()
    return answered("GetConsoleOutput", f"<instanceId>i-1</instanceId><output>{output}</output>")


def attribute(text: str) -> Fault:
    return answered("DescribeInstanceAttribute", text)


def answered(action: str, text: str) -> Fault:
    body = f'<{action}Response xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">{text}</{action}Response>'
    return Fault(False, lambda _: (200, {"Content-Type": "text/xml"}, body.encode()))


def safeguards_of(operator: Operator) -> dict[str, dict[str, str]]:
    (record,) = operator.records
    ran = operator.json("get", record.id, "--refresh")
    return {item["mechanism"]: item for item in ran.instance["safeguards"]}


def test_a_new_instance_has_a_sweep_and_a_timer_by_the_clouds_own_word(operator: Operator) -> None:
    started = operator.provision().instance
    fields = {item["mechanism"]: (item["status"], item["actsAt"]) for item in started["safeguards"]}
    assert fields == {
        Mechanism.SWEEP: (SafeguardStatus.CONFIGURED, "2026-11-24T13:00:00Z"),
        Mechanism.TIMER: (SafeguardStatus.CONFIGURED, "2026-11-24T13:02:00Z"),
    }


def test_an_extension_moves_what_both_act_by(operator: Operator) -> None:
    operator.provision("--name", "n")
    moved = operator.json("extend", "n", "--by", "30m").instance
    assert [item["actsAt"] for item in moved["safeguards"]] == ["2026-11-24T13:30:00Z", "2026-11-24T13:32:00Z"]


def test_the_guards_line_on_the_console_shows_that_it_runs_and_when_it_acts(operator: Operator) -> None:
    operator.provision()
    operator.wire.arm("GetConsoleOutput", on_the_console(CONSOLE))
    timer = safeguards_of(operator)[Mechanism.TIMER]
    assert (timer["status"], timer["actsAt"]) == (SafeguardStatus.VERIFIED, "2026-11-24T14:02:00Z")


@pytest.mark.parametrize("text", ["", "gpuctl-guard\n", "\x1b]0;gpuctl-guard: \x07\n"])
def test_a_console_without_the_line_of_the_guard_does_not_confirm_it(operator: Operator, text: str) -> None:
    operator.provision()
    operator.wire.arm("GetConsoleOutput", *[on_the_console(text)] * 2)
    assert safeguards_of(operator)[Mechanism.TIMER]["status"] == SafeguardStatus.CONFIGURED


@pytest.mark.parametrize(("minutes", "status"), [(4, SafeguardStatus.CONFIGURED), (5, SafeguardStatus.MISSING)])
def test_a_guard_that_is_silent_5_min_after_the_instance_was_ready_is_missing(
    operator: Operator, minutes: int, status: str
) -> None:
    operator.provision()
    operator.later(minutes=minutes)
    operator.wire.arm("GetConsoleOutput", *[on_the_console("cloud-init: not found\n")] * 2)
    timer = safeguards_of(operator)[Mechanism.TIMER]
    assert timer["status"] == status
    assert ("its console has no line of the guard" in timer["detail"]) is (status == SafeguardStatus.MISSING)


@pytest.mark.parametrize("newest", ["UnsupportedOperation", "UnauthorizedOperation"])
def test_a_console_whose_newest_output_cannot_be_read_proves_no_silence(operator: Operator, newest: str) -> None:
    operator.provision()
    operator.later(minutes=30)
    operator.wire.arm("GetConsoleOutput", refuse(newest), on_the_console(""))
    assert safeguards_of(operator)[Mechanism.TIMER]["status"] == SafeguardStatus.CONFIGURED


def test_an_instance_with_a_guard_is_reported_as_running_with_its_gpu_and_driver(operator: Operator) -> None:
    operator.provision()
    operator.later(minutes=2)
    timer = safeguards_of(operator)[Mechanism.TIMER]
    assert timer["status"] == SafeguardStatus.VERIFIED
    assert timer["detail"].endswith("armed, ends at 20261124t130000z (tag); GPU: 1 x NVIDIA T4, driver 595.91.07")


def test_an_instance_without_a_driver_shows_why(operator: Operator) -> None:
    operator.provision()
    operator.wire.arm("GetConsoleOutput", on_the_console(f"{CONSOLE}gpuctl-gpu: there is no nvidia-smi\n"))
    assert safeguards_of(operator)[Mechanism.TIMER]["detail"].endswith("; GPU: there is no nvidia-smi")


def test_an_instance_that_refuses_its_newest_output_is_requested_the_older_one(operator: Operator) -> None:
    operator.provision()
    operator.wire.arm("GetConsoleOutput", refuse("UnsupportedOperation"), on_the_console(CONSOLE))
    assert safeguards_of(operator)[Mechanism.TIMER]["status"] == SafeguardStatus.VERIFIED


def test_an_instance_that_only_stops_when_it_powers_off_has_no_timer(operator: Operator) -> None:
    operator.provision()
    stops = attribute("<instanceInitiatedShutdownBehavior><value>stop</value></instanceInitiatedShutdownBehavior>")
    operator.wire.arm("DescribeInstanceAttribute", None, stops)
    timer = safeguards_of(operator)[Mechanism.TIMER]
    assert (timer["status"], timer["actsAt"]) == (SafeguardStatus.MISSING, None)
    assert "powering off means `stop`" in timer["detail"]


def test_an_instance_whose_user_data_lost_the_guard_has_no_timer_and_a_provision_says_so(operator: Operator) -> None:
    operator.wire.arm("DescribeInstanceAttribute", attribute("<userData/>"))
    ran = operator.provision("--name", "n")
    assert ran.code == 0
    assert "n has no timer: there is no guard in its user data" in ran.err


def test_tags_that_were_removed_are_no_safeguards(operator: Operator) -> None:
    operator.provision()
    (cloud_id,) = operator.active
    operator.cloud.client("ec2").delete_tags(Resources=[cloud_id], Tags=[{"Key": "gpuctl-expires-at"}])
    safeguards = safeguards_of(operator)
    assert safeguards[Mechanism.SWEEP]["status"] == SafeguardStatus.MISSING
    # The guard then counts from the first boot.
    assert safeguards[Mechanism.TIMER]["actsAt"] == "2026-11-24T14:00:00Z"


def test_a_reaper_is_reported_as_running_only_while_it_runs(operator: Operator) -> None:
    operator.provision()
    assert safeguards_of(operator)[Mechanism.REAPER]["status"] == SafeguardStatus.MISSING
    operator.run("reap")
    assert safeguards_of(operator)[Mechanism.REAPER]["status"] == SafeguardStatus.VERIFIED
    operator.later(minutes=6)
    assert safeguards_of(operator)[Mechanism.REAPER]["status"] == SafeguardStatus.MISSING


def test_a_reaper_that_could_not_query_the_account_is_missing_and_says_why(operator: Operator) -> None:
    operator.provision("--name", "n")
    operator.wire.arm("GetCallerIdentity", *[refuse("ExpiredToken", 403)] * 4)
    assert operator.run("reap", "--sweep").code == 8
    reaper = operator.json("get", "n").instance["safeguards"][0]
    assert (reaper["mechanism"], reaper["status"], reaper["actsAt"]) == (
        Mechanism.REAPER,
        SafeguardStatus.MISSING,
        None,
    )
    assert "it could not query aws 123456789012 us-east-1: " in reaper["detail"]
    assert "which could not query aws 123456789012 us-east-1" in operator.run("list", terminal=True).err
    operator.wire.reset()
    operator.run("reap", "--sweep")
    assert operator.json("get", "n").instance["safeguards"][0]["status"] == SafeguardStatus.VERIFIED


def test_a_region_that_could_not_be_listed_leaves_the_reaper_missing_there_only(operator: Operator) -> None:
    operator.provision("--name", "n")
    operator.json("provision", "g4dn.xlarge", "--region", "us-west-2", "--name", "other")
    operator.run("reap", "--sweep")
    operator.wire.arm("DescribeInstances", refuse("UnauthorizedOperation", 403))
    operator.run("reap", "--sweep")
    statuses = {name: operator.json("get", name).instance["safeguards"][0]["status"] for name in ("n", "other")}
    assert sorted(statuses.values()) == [SafeguardStatus.MISSING, SafeguardStatus.VERIFIED]


def test_another_accounts_failure_leaves_the_reaper_of_this_one(operator: Operator) -> None:
    operator.provision("--name", "n")
    other = operator.provision("--name", "other").instance
    operator.store.update(other["id"], lambda record: record.with_fields(account="999999999999"))
    assert operator.run("reap", "--sweep").code == 8
    assert operator.json("get", "n").instance["safeguards"][0]["status"] == SafeguardStatus.VERIFIED
    assert operator.json("get", "other").instance["safeguards"][0]["status"] == SafeguardStatus.MISSING


def test_a_reaper_that_ran_before_the_instance_was_started_has_proved_nothing_for_it(operator: Operator) -> None:
    operator.json("provision", "g4dn.xlarge", "--region", "us-west-2")
    operator.run("reap")
    operator.provision("--name", "n")
    reaper = operator.json("get", "n").instance["safeguards"][0]
    assert (reaper["status"], reaper["detail"].partition("; ")[2]) == (
        SafeguardStatus.CONFIGURED, "it has not queried aws 123456789012 us-east-1 yet",
    )  # fmt: skip


def test_a_reap_reports_a_silent_guard_once_and_the_record_shows_it(operator: Operator) -> None:
    operator.provision("--name", "n")
    operator.later(minutes=6)
    operator.wire.arm("GetConsoleOutput", *[on_the_console("no cloud-init here\n")] * 2)
    first = operator.run("reap")
    assert (first.code, first.out) == (0, "")
    assert "n has no timer: its console has no line of the guard" in first.err
    operator.later(minutes=6)
    assert operator.run("reap").err == ""
    timer = next(item for item in operator.json("get", "n").instance["safeguards"] if item["mechanism"] == "timer")
    assert (timer["status"], timer["actsAt"]) == (SafeguardStatus.MISSING, None)


def test_a_reap_confirms_a_guard_once_and_in_silence(operator: Operator) -> None:
    operator.provision("--name", "n")
    operator.later(minutes=6)
    assert operator.run("reap").err == ""
    timer = next(item for item in operator.json("get", "n").instance["safeguards"] if item["mechanism"] == "timer")
    assert timer["status"] == SafeguardStatus.VERIFIED
    queried = len(operator.wire.calls("GetConsoleOutput"))
    operator.later(minutes=6)
    operator.run("reap")
    assert len(operator.wire.calls("GetConsoleOutput")) == queried


def test_what_could_not_be_read_back_keeps_what_was_and_is_exit_8(operator: Operator) -> None:
    record = operator.provision().instance["id"]
    operator.later(minutes=1)
    operator.wire.arm("DescribeInstanceAttribute", refuse("UnauthorizedOperation", 403))
    ran = operator.json("get", record, "--refresh")
    assert (ran.code, ran.json["error"]["code"]) == (8, "unresolved")
    assert [item["status"] for item in ran.instance["safeguards"]][1:] == [
        SafeguardStatus.CONFIGURED,
        SafeguardStatus.CONFIGURED,
    ]


def test_reading_it_opens_no_socket_and_a_person_sees_it(operator: Operator) -> None:
    record = operator.provision().instance["id"]
    calls_before = len(operator.wire.sent)
    shown = operator.run("get", record, "-o", "table").out
    assert len(operator.wire.sent) == calls_before
    assert "safeguard: timer" in shown
    assert "safeguard: sweep" in shown
