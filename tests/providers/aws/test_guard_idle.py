"""With `--idle` the instance also ends when nothing has used it for so long; whatever is not known counts as use."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.guarded import MINUTE, NOON, SECOND, Machine
from support.metadata import metadata_service

from gpuctl.providers.aws import guard

IDLE = timedelta(seconds=900)
STEP = timedelta(seconds=90)


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    """Up for an hour, in which nobody looked."""
    with metadata_service() as metadata:
        metadata.date = NOON
        machine = Machine(tmp_path, metadata)
        machine.time_passes(timedelta(hours=1))
        yield machine


def busy_gpu(machine: Machine) -> None:
    machine.stand_in("nvidia-smi", "#!/bin/sh\necho 0\necho 6\n")


def gpu_says(text: str, code: int = 0) -> Callable[[Machine], None]:
    return lambda machine: machine.stand_in("nvidia-smi", f"#!/bin/sh\nprintf '{text}'\nexit {code}\n")


def no_nvidia_smi(machine: Machine) -> None:
    (machine.bin / "nvidia-smi").unlink()


def logged_in(machine: Machine) -> None:
    machine.stand_in("who", "#!/bin/sh\necho 'ubuntu pts/0 2026-11-24 12:00'\n")


def nobody_can_tell_who(machine: Machine) -> None:
    machine.stand_in("who", "#!/bin/sh\nexit 1\n")


def loaded(machine: Machine) -> None:
    machine.shows("loadavg", "0.50 0.00 0.00 1/123 4567\n")


def odd_load(machine: Machine) -> None:
    machine.shows("loadavg", "much\n")


def no_connections(machine: Machine) -> None:
    (machine.proc / "net" / "tcp").unlink()


def a_job(machine: Machine) -> None:
    job = machine.homes / "ubuntu" / ".gpuctl" / "token"
    job.mkdir(parents=True)
    (job / "pid").write_text("4242\n")
    machine.shows("4242/stat", "")


USES = {
    "a GPU works": busy_gpu,
    "somebody is logged in": logged_in,
    "an ssh connection": Machine.is_reached_by_ssh,
    "load": loaded,
    "a command of gpuctl run": a_job,
    "who is logged in cannot be read": nobody_can_tell_who,
    "the load cannot be read": odd_load,
    "connections cannot be read": no_connections,
    "the GPUs cannot be read": no_nvidia_smi,
}
UNREADABLE = [
    gpu_says("[N/A]\\n"),
    gpu_says(""),
    gpu_says("0\\n", 9),
    gpu_says("0\\n[Not Supported]\\n"),
    no_nvidia_smi,
]


def test_an_instance_that_nothing_uses_ends_after_that_time_and_not_before(machine: Machine) -> None:
    machine.watched(STEP).watched(IDLE - STEP, every=STEP)
    assert not machine.is_off
    assert machine.watched(2 * MINUTE).is_off
    assert machine.console[:3] == [
        "gpuctl-idle: in use: not known before this look",
        "gpuctl-idle: nothing uses it, ends after 900s of that",
        "powering off at 20261124t131530z: idle for 900s: no GPU at work, nobody logged in, load below 0.5",
    ]


@pytest.mark.parametrize("what", USES)
def test_whatever_uses_it_keeps_it_and_is_named(machine: Machine, what: str) -> None:
    machine.watched(STEP)
    USES[what](machine)
    assert not machine.watched(2 * IDLE, every=STEP).is_off
    assert machine.console[-1] == f"gpuctl-idle: in use: {what}"


@pytest.mark.parametrize("gpus", UNREADABLE)
def test_a_gpu_that_cannot_be_read_counts_as_used(machine: Machine, gpus: Callable[[Machine], None]) -> None:
    machine.watched(STEP)
    gpus(machine)
    assert not machine.watched(2 * IDLE, every=STEP).is_off


def test_one_use_begins_the_time_anew(machine: Machine) -> None:
    machine.watched(IDLE, every=STEP)
    busy_gpu(machine)
    machine.watched(STEP)
    machine.is_used_by_nothing()
    assert not machine.watched(IDLE - STEP, every=STEP).is_off
    assert machine.watched(2 * STEP).is_off


def test_a_job_that_is_over_keeps_nothing(machine: Machine) -> None:
    a_job(machine)
    (machine.homes / "ubuntu" / ".gpuctl" / "token" / "code").write_text("0\n")
    assert machine.watched(IDLE + 2 * STEP, every=STEP).is_off


def test_a_time_in_which_nobody_looked_counts_as_use(machine: Machine) -> None:
    machine.watched(STEP)
    machine.time_passes(IDLE)
    machine.run("idle", "900")
    assert not machine.watched(IDLE - STEP, every=STEP).is_off


def test_a_reboot_begins_the_time_anew_and_just_after_it_nothing_is_idle(machine: Machine) -> None:
    machine.watched(IDLE - STEP, every=STEP)
    machine.reboot()
    assert not machine.watched(10 * MINUTE - SECOND, idle="60", every=STEP).is_off
    assert machine.watched(STEP, idle="60").is_off


def test_a_memory_that_takes_no_notes_keeps_the_instance(machine: Machine) -> None:
    machine.watched(STEP)
    busy_gpu(machine)
    (machine.memory / "idle.new").mkdir()
    machine.watched(2 * IDLE, every=STEP)
    machine.is_used_by_nothing()
    assert not machine.watched(IDLE, every=STEP).is_off


@pytest.mark.parametrize("span", ["", "0", "-5", "soon", "9", "9999999", "a[$(touch pwned)]"])
def test_a_span_that_cannot_be_read_watches_nothing(machine: Machine, span: str) -> None:
    assert machine.watched(20 * STEP, idle=span, every=STEP).calls == []
    assert not (machine.folder / "pwned").exists()


def test_without_it_the_guard_is_what_it_was_and_with_it_the_deadline_comes_first(machine: Machine) -> None:
    assert guard.guard_script(watches_idle=True).startswith(guard.guard_script().rpartition("\ncase")[0])
    logged_in(machine)
    machine.tagged(NOON)
    assert machine.tick().is_off


def test_its_timer_is_another_than_the_deadline_s_and_comes_after_it() -> None:
    text = guard.user_data(timedelta(hours=2), IDLE)
    assert "ExecStart=/usr/local/sbin/gpuctl-guard 7200 idle 900\n" in text
    assert text.index("ctl enable --now --no-block gpuctl-guard.timer") < text.index("gpuctl-idle.service")
    assert text.endswith("ctl enable --now --no-block gpuctl-gpu.timer gpuctl-idle.timer\nexit 0\n")
    assert text == guard.user_data(timedelta(hours=2), IDLE) != guard.user_data(timedelta(hours=2))
    assert len(guard.user_data(timedelta(days=7), timedelta(days=7))) + 1300 < guard.MOST_BYTES
