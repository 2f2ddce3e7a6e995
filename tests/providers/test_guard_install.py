"""The guard's user data is a real script too; these tests run it into a folder instead of a machine's root."""

import os
import select
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.guarded import MAX_TTL, MINUTE, NOON, SECOND, Machine
from support.metadata import metadata_service

from gpuctl.domain.tags import EXPIRES_AT
from gpuctl.providers.aws.guard import MOST_BYTES, guard_script, user_data

UNITS = "etc/systemd/system"


class Host:
    """A machine at its first boot, before its user data has run."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.root = machine.folder / "root"
        machine.disk = self.root / "var/lib/gpuctl"
        self.cloud_id = self.root / "var/lib/cloud/data/instance-id"
        self.cloud_id.parent.mkdir(parents=True)
        self.cloud_id.write_text("i-0123456789abcdef0\n")

    def boots_first(self) -> None:
        done = subprocess.run(
            ["/bin/bash", "-s"],
            input=user_data(MAX_TTL).encode(),
            env=self.machine.surroundings() | {"GPUCTL_GUARD_ROOT": str(self.root)},
            capture_output=True, timeout=30, check=False,
        )  # fmt: skip
        assert (done.returncode, done.stderr) == (0, b"")

    def text(self, path: str) -> str:
        return (self.root / path).read_text()


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with metadata_service() as metadata:
        metadata.date = NOON
        yield Host(Machine(tmp_path, metadata))


def test_the_user_data_installs_the_guard_as_root_s_own_program(host: Host) -> None:
    host.boots_first()
    guard = host.root / "usr/local/sbin/gpuctl-guard"
    assert guard.read_text() == guard_script()
    assert guard.stat().st_mode & 0o7777 == 0o755


def test_the_units_run_it_for_ever_and_after_every_boot(host: Host) -> None:
    host.boots_first()
    service, timer = host.text(f"{UNITS}/gpuctl-guard.service"), host.text(f"{UNITS}/gpuctl-guard.timer")
    assert "Type=oneshot\n" in service
    assert f"ExecStart=/usr/local/sbin/gpuctl-guard {int(MAX_TTL.total_seconds())}\n" in service
    assert "OnBootSec=1min\nOnUnitActiveSec=30s\nAccuracySec=5s\n" in timer
    assert "WantedBy=timers.target\n" in timer


def test_the_timer_is_enabled_and_the_guard_run_at_once(host: Host) -> None:
    host.boots_first()
    assert host.machine.calls == [
        "systemctl daemon-reload",
        "systemctl enable --now gpuctl-guard.timer",
        "systemctl start gpuctl-guard.service",
    ]


def test_a_timer_that_cannot_be_enabled_is_replaced_by_a_loop(host: Host) -> None:
    os.mkfifo(host.machine.folder / "loop")
    host.machine.stand_in("nohup", '#!/bin/sh\nprintf "%s " "$@" >"@FOLDER@/loop"\n')
    host.machine.fails("systemctl")
    pipe = os.open(host.machine.folder / "loop", os.O_RDWR | os.O_NONBLOCK)
    host.boots_first()
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    waiting.poll(10_000)
    started = os.read(pipe, 4096).decode()
    os.close(pipe)
    assert started.startswith('bash -c while :; do "$0" "$1"; sleep 30; done ')
    assert started.endswith("/usr/local/sbin/gpuctl-guard 7200 ")


def test_a_service_that_cannot_be_started_is_run_by_hand(host: Host) -> None:
    host.machine.stand_in("systemctl", '#!/bin/sh\n[ "$1" != start ]\n')
    host.machine.tagged(NOON + timedelta(hours=1))
    host.boots_first()
    assert host.machine.console == ["armed, ends at 20261124t130000z (tag)"]


def test_user_data_run_again_on_the_same_machine_keeps_its_first_boot(host: Host) -> None:
    host.boots_first()
    host.machine.at(NOON + MINUTE)
    host.machine.time_passes(timedelta(hours=1))
    host.machine.reboot()
    host.boots_first()
    assert host.machine.at(NOON + MAX_TTL).is_off


def test_a_machine_made_from_an_image_of_a_guarded_one_begins_a_life_of_its_own(host: Host) -> None:
    host.boots_first()
    host.machine.tagged(NOON + MINUTE)
    host.machine.tick()
    host.machine.time_passes(timedelta(days=30))
    host.machine.reboot()
    host.machine.tagged(None)
    host.cloud_id.write_text("i-0fedcba9876543210\n")
    host.boots_first()
    assert not host.machine.at(host.machine.booted + MAX_TTL - SECOND).is_off
    assert host.machine.at(host.machine.booted + MAX_TTL).is_off


def test_the_same_span_gives_the_same_user_data_and_another_span_another() -> None:
    assert user_data(MAX_TTL) == user_data(timedelta(minutes=120))
    assert user_data(MAX_TTL) != user_data(timedelta(minutes=121))


def test_the_longest_user_data_leaves_room_for_somebody_else_s() -> None:
    text = user_data(timedelta(days=7))
    assert text.startswith("#!/bin/bash\n")
    assert text.isascii()
    assert len(text.encode()) < MOST_BYTES * 3 // 4


def test_the_script_cannot_close_the_document_it_is_embedded_in() -> None:
    assert guard_script().endswith("\n")
    assert "GPUCTL_GUARD_END" not in guard_script()
    assert "@" not in user_data(MAX_TTL).replace('"@$1"', "").replace('"$@"', "")


def test_the_script_reads_the_tag_that_gpuctl_writes() -> None:
    assert f"tag={EXPIRES_AT}\n" in guard_script()


@pytest.mark.parametrize("span", [timedelta(0), -SECOND, timedelta(days=7, seconds=1), timedelta(milliseconds=1500)])
def test_a_span_no_guard_can_hold_is_a_bug_of_the_caller(span: timedelta) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        user_data(span)
