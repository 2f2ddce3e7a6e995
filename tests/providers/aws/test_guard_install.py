"""The guard's user data is a real script too; these tests run it into a folder instead of an instance's root."""

import os
import select
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from providers.aws.test_user_data import ORDER
from support.guarded import MAX_TTL, MINUTE, NOON, SECOND, Machine, Stage, scripts_run
from support.metadata import metadata_service

from gpuctl.domain.tags import EXPIRES_AT
from gpuctl.providers.aws import userdata
from gpuctl.providers.aws.guard import MOST_BYTES, guard_script, user_data
from gpuctl.providers.base import Order

UNITS = "etc/systemd/system"


class Host:
    """An instance at its first boot, before its user data has run."""

    def __init__(self, instance: Machine) -> None:
        self.instance = instance
        self.root = instance.folder / "root"
        instance.disk = self.root / "var/lib/gpuctl"
        self.cloud_id = self.root / "var/lib/cloud/data/instance-id"
        self.cloud_id.parent.mkdir(parents=True)
        self.cloud_id.write_text("i-0123456789abcdef0\n")

    def boots(self, order: Order = ORDER, reached: Stage = Stage.NETWORK) -> None:
        """As far as that: cloud-init has executed of the order's user data what belongs to the stages reached."""
        for script in scripts_run(userdata.user_data(order), reached):
            done = subprocess.run(
                ["/bin/bash", "-s"],
                input=script.encode(),
                env=self.instance.surroundings() | {"GPUCTL_GUARD_ROOT": str(self.root)},
                capture_output=True, timeout=30, check=False,
            )  # fmt: skip
            assert (done.returncode, done.stderr) == (0, b"")

    def text(self, path: str) -> str:
        return (self.root / path).read_text()


def without_comments(script: str) -> str:
    """The script as it is installed."""
    lines = script.splitlines(keepends=True)
    return "".join(line for line in lines if line.startswith("#!") or not line.lstrip().startswith("#"))


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Host]:
    with metadata_service() as metadata:
        metadata.date = NOON
        yield Host(Machine(tmp_path, metadata))


def test_the_user_data_installs_the_guard_as_root_s_own_program(host: Host) -> None:
    host.boots()
    guard = host.root / "usr/local/sbin/gpuctl-guard"
    assert guard.read_text() == without_comments(guard_script())
    assert guard.stat().st_mode & 0o7777 == 0o755


def test_the_units_run_it_for_ever_and_after_every_boot(host: Host) -> None:
    host.boots()
    service, timer = host.text(f"{UNITS}/gpuctl-guard.service"), host.text(f"{UNITS}/gpuctl-guard.timer")
    assert "Type=oneshot\n" in service
    assert f"ExecStart=/usr/local/sbin/gpuctl-guard {int(MAX_TTL.total_seconds())}\n" in service
    assert "OnBootSec=1min\nOnUnitActiveSec=30s\nAccuracySec=5s\n" in timer
    assert "WantedBy=timers.target\n" in timer


def test_the_timer_is_enabled_and_the_guard_run_at_once(host: Host) -> None:
    host.boots()
    assert host.instance.calls == [
        "systemctl daemon-reload",
        "systemctl enable --now --no-block gpuctl-guard.timer",
        "systemctl start --no-block gpuctl-guard.service",
        "systemctl daemon-reload",
        "systemctl enable --now --no-block gpuctl-gpu.timer",
    ]


@pytest.mark.parametrize("key", [None, ORDER.ssh_key])
@pytest.mark.parametrize("idle", [None, timedelta(minutes=15)])
def test_it_is_armed_where_multi_user_target_is_never_reached_and_makes_no_boot_wait(
    host: Host, key: str | None, idle: timedelta | None
) -> None:
    host.boots(replace(ORDER, ssh_key=key, idle=idle), Stage.NETWORK)
    assert host.instance.calls[1:3] == [
        "systemctl enable --now --no-block gpuctl-guard.timer",
        "systemctl start --no-block gpuctl-guard.service",
    ]
    assert "systemctl waits for ever" not in host.instance.calls
    assert "gpuctl-guard" in host.text(f"{UNITS}/gpuctl-guard.service")


@pytest.mark.parametrize("unit", ["service", "timer"])
def test_its_units_wait_for_no_other_and_do_not_hold_up_a_shutdown(host: Host, unit: str) -> None:
    host.boots()
    text = host.text(f"{UNITS}/gpuctl-guard.{unit}")
    assert "DefaultDependencies=no\nConflicts=shutdown.target\nBefore=shutdown.target\n" in text
    assert "After=" not in text


def test_a_full_disk_at_a_later_boot_keeps_the_guard_of_the_boot_before(host: Host) -> None:
    host.boots()
    host.instance.stand_in("chmod", "#!/bin/sh\nexit 1\n")
    host.instance.reboot()
    host.boots()
    assert (host.root / "usr/local/sbin/gpuctl-guard").read_text() == without_comments(guard_script())


def test_an_instance_id_that_cannot_be_read_at_a_later_boot_begins_no_new_life(host: Host) -> None:
    host.boots()
    host.instance.at(NOON + MINUTE)
    host.cloud_id.unlink()
    host.instance.time_passes(timedelta(hours=1))
    host.instance.reboot()
    host.boots()
    assert host.instance.at(NOON + MAX_TTL).is_off


def test_a_timer_that_cannot_be_enabled_is_replaced_by_a_loop(host: Host) -> None:
    os.mkfifo(host.instance.folder / "loop")
    host.instance.stand_in("nohup", '#!/bin/sh\nprintf "%s " "$@" >"@FOLDER@/loop"\n')
    host.instance.fails("systemctl")
    pipe = os.open(host.instance.folder / "loop", os.O_RDWR | os.O_NONBLOCK)
    host.boots()
    waiting = select.poll()
    waiting.register(pipe, select.POLLIN)
    waiting.poll(10_000)
    started = os.read(pipe, 4096).decode()
    os.close(pipe)
    assert started.startswith('bash -c while :; do "$0" "$1"; sleep 30; done ')
    assert started.endswith("/usr/local/sbin/gpuctl-guard 7200 ")


def test_a_service_that_cannot_be_started_is_run_by_hand(host: Host) -> None:
    host.instance.stand_in("systemctl", '#!/bin/sh\n[ "$1" != start ]\n')
    host.instance.tagged(NOON + timedelta(hours=1))
    host.boots()
    assert host.instance.console == ["armed, ends at 20261124t130000z (tag)"]


def test_user_data_run_again_on_the_same_instance_keeps_its_first_boot(host: Host) -> None:
    host.boots()
    host.instance.at(NOON + MINUTE)
    host.instance.time_passes(timedelta(hours=1))
    host.instance.reboot()
    host.boots()
    assert host.instance.at(NOON + MAX_TTL).is_off


def test_an_instance_made_from_an_image_of_a_guarded_instance_begins_with_its_own_deadline(host: Host) -> None:
    host.boots()
    host.instance.tagged(NOON + MINUTE)
    host.instance.tick()
    host.instance.time_passes(timedelta(days=30))
    host.instance.reboot()
    host.instance.tagged(None)
    host.cloud_id.write_text("i-0fedcba9876543210\n")
    host.boots()
    assert not host.instance.at(host.instance.booted + MAX_TTL - SECOND).is_off
    assert host.instance.at(host.instance.booted + MAX_TTL).is_off


def test_it_has_no_comments_but_says_who_wrote_it() -> None:
    comments = [line for line in user_data(MAX_TTL).splitlines() if line.lstrip().startswith("#")]
    assert [line.split(".")[0] for line in comments] == ["#!/bin/bash", "# Written by gpuctl", "#!/bin/bash"]


def test_the_same_span_gives_the_same_user_data_and_another_span_another() -> None:
    assert user_data(MAX_TTL) == user_data(timedelta(minutes=120))
    assert user_data(MAX_TTL) != user_data(timedelta(minutes=121))


def test_the_longest_user_data_leaves_space_for_other_parts() -> None:
    text = user_data(timedelta(days=7))
    assert text.startswith("#!/bin/bash\n")
    assert text.isascii()
    assert len(text.encode()) < MOST_BYTES * 3 // 4


def test_the_script_cannot_close_the_document_it_is_embedded_in() -> None:
    assert guard_script().endswith("\n")
    assert "GPUCTL_GUARD_END" not in guard_script()
    text = user_data(MAX_TTL, timedelta(minutes=15))
    for known in ('"@$1"', '"$@"', "[@]"):
        text = text.replace(known, "")
    assert "@" not in text


def test_the_script_reads_the_tag_that_gpuctl_writes() -> None:
    assert f"tag={EXPIRES_AT}\n" in guard_script()


@pytest.mark.parametrize("span", [timedelta(0), -SECOND, timedelta(days=7, seconds=1), timedelta(milliseconds=1500)])
def test_a_span_that_a_guard_does_not_take_raises_value_error(span: timedelta) -> None:
    with pytest.raises(ValueError, match="a guard takes whole seconds"):
        user_data(span)
