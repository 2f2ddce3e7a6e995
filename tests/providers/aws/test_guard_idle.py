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
def instance(tmp_path: Path) -> Iterator[Machine]:
    """Up for an hour, in which nobody looked."""
    with metadata_service() as metadata:
        metadata.date = NOON
        instance = Machine(tmp_path, metadata)
        instance.time_passes(timedelta(hours=1))
        yield instance


def busy_gpu(instance: Machine) -> None:
    instance.stand_in("nvidia-smi", "#!/bin/sh\necho 0\necho 6\n")


def gpu_says(text: str, code: int = 0) -> Callable[[Machine], None]:
    return lambda instance: instance.stand_in("nvidia-smi", f"#!/bin/sh\nprintf '{text}'\nexit {code}\n")


def no_nvidia_smi(instance: Machine) -> None:
    (instance.bin / "nvidia-smi").unlink()


def logged_in(instance: Machine) -> None:
    instance.stand_in("who", "#!/bin/sh\necho 'ubuntu pts/0 2026-11-24 12:00'\n")


def nobody_can_tell_who(instance: Machine) -> None:
    instance.stand_in("who", "#!/bin/sh\nexit 1\n")


def loaded(instance: Machine) -> None:
    instance.shows("loadavg", "0.50 0.00 0.00 1/123 4567\n")


def odd_load(instance: Machine) -> None:
    instance.shows("loadavg", "much\n")


def no_connections(instance: Machine) -> None:
    (instance.proc / "net" / "tcp").unlink()


def a_job(instance: Machine) -> None:
    job = instance.homes / "ubuntu" / ".gpuctl" / "token"
    job.mkdir(parents=True)
    (job / "pid").write_text("4242\n")
    instance.shows("4242/stat", "")


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


def test_an_instance_that_nothing_uses_ends_after_that_time_and_not_before(instance: Machine) -> None:
    instance.watched(STEP).watched(IDLE - STEP, every=STEP)
    assert not instance.is_off
    assert instance.watched(2 * MINUTE).is_off
    assert instance.console[:3] == [
        "gpuctl-idle: in use: not known before this look",
        "gpuctl-idle: nothing uses it, ends after 900s of that",
        "powering off at 20261124t131530z: idle for 900s: no GPU at work, nobody logged in, load below 0.5",
    ]


@pytest.mark.parametrize("what", USES)
def test_every_activity_prevents_idle_shutdown_and_is_named(instance: Machine, what: str) -> None:
    instance.watched(STEP)
    USES[what](instance)
    assert not instance.watched(2 * IDLE, every=STEP).is_off
    assert instance.console[-1] == f"gpuctl-idle: in use: {what}"


@pytest.mark.parametrize("gpus", UNREADABLE)
def test_a_gpu_that_cannot_be_read_counts_as_used(instance: Machine, gpus: Callable[[Machine], None]) -> None:
    instance.watched(STEP)
    gpus(instance)
    assert not instance.watched(2 * IDLE, every=STEP).is_off


def test_one_use_begins_the_time_again(instance: Machine) -> None:
    instance.watched(IDLE, every=STEP)
    busy_gpu(instance)
    instance.watched(STEP)
    instance.is_used_by_nothing()
    assert not instance.watched(IDLE - STEP, every=STEP).is_off
    assert instance.watched(2 * STEP).is_off


def test_a_job_that_is_over_keeps_nothing(instance: Machine) -> None:
    a_job(instance)
    (instance.homes / "ubuntu" / ".gpuctl" / "token" / "code").write_text("0\n")
    assert instance.watched(IDLE + 2 * STEP, every=STEP).is_off


def test_a_time_without_checks_counts_as_activity(instance: Machine) -> None:
    instance.watched(STEP)
    instance.time_passes(IDLE)
    instance.run("idle", "900")
    assert not instance.watched(IDLE - STEP, every=STEP).is_off


def test_a_reboot_begins_the_time_again_and_just_after_it_nothing_is_idle(instance: Machine) -> None:
    instance.watched(IDLE - STEP, every=STEP)
    instance.reboot()
    assert not instance.watched(10 * MINUTE - SECOND, idle="60", every=STEP).is_off
    assert instance.watched(STEP, idle="60").is_off


def test_a_memory_that_takes_no_notes_keeps_the_instance(instance: Machine) -> None:
    instance.watched(STEP)
    busy_gpu(instance)
    (instance.memory / "idle.new").mkdir()
    instance.watched(2 * IDLE, every=STEP)
    instance.is_used_by_nothing()
    assert not instance.watched(IDLE, every=STEP).is_off


@pytest.mark.parametrize("span", ["", "0", "-5", "soon", "9", "9999999", "a[$(touch pwned)]"])
def test_a_span_that_cannot_be_read_watches_nothing(instance: Machine, span: str) -> None:
    assert instance.watched(20 * STEP, idle=span, every=STEP).calls == []
    assert not (instance.folder / "pwned").exists()


def test_without_it_the_guard_is_what_it_was_and_with_it_the_deadline_comes_first(instance: Machine) -> None:
    assert guard.guard_script(watches_idle=True).startswith(guard.guard_script().rpartition("\ncase")[0])
    logged_in(instance)
    instance.tagged(NOON)
    assert instance.tick().is_off


def test_its_timer_is_another_than_the_deadline_s_and_comes_after_it() -> None:
    text = guard.user_data(timedelta(hours=2), IDLE)
    assert "ExecStart=/usr/local/sbin/gpuctl-guard 7200 idle 900\n" in text
    assert text.index("ctl enable --now --no-block gpuctl-guard.timer") < text.index("gpuctl-idle.service")
    assert text.endswith("ctl enable --now --no-block gpuctl-gpu.timer gpuctl-idle.timer\nexit 0\n")
    assert text == guard.user_data(timedelta(hours=2), IDLE) != guard.user_data(timedelta(hours=2))
    assert len(guard.user_data(timedelta(days=7), timedelta(days=7))) + 1300 < guard.MOST_BYTES
