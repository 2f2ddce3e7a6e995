"""The guard when what it relies on does not work: metadata, disk, console, or the way to power off."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.guarded import MAX_TTL, MINUTE, NOON, SECOND, Machine
from support.metadata import metadata_service

from gpuctl.domain.tags import EXPIRES_AT
from gpuctl.providers.aws.guard import GRACE

ONE = NOON + timedelta(hours=1)
TAG = f"/latest/meta-data/tags/instance/{EXPIRES_AT}"


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Machine]:
    with metadata_service() as metadata:
        metadata.date = NOON
        yield Machine(tmp_path, metadata)


# --- the metadata service


@pytest.mark.parametrize("status", [301, 401, 403, 404, 429, 500, 503])
def test_a_metadata_service_that_fails_counts_as_no_tag(instance: Machine, status: int) -> None:
    instance.tagged(NOON - timedelta(hours=1))
    instance.metadata.status = status
    assert not instance.at(NOON + MAX_TTL - SECOND).is_off
    assert instance.at(NOON + MAX_TTL).is_off


@pytest.mark.parametrize("path", ["/latest/api/token", TAG])
def test_a_metadata_service_that_hangs_counts_as_no_tag(instance: Machine, path: str) -> None:
    instance.environment["GPUCTL_GUARD_WAIT_S"] = "0.2"
    instance.tagged(NOON - timedelta(hours=1))
    instance.metadata.hangs.add(path)
    assert not instance.at(NOON + MAX_TTL - SECOND).is_off
    assert instance.at(NOON + MAX_TTL).is_off


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"\x00\xff" * 9_000,
        b"20261124t110000z",
        b"HTTP/1.0 200 OK\r\n",
        b"HTTP/1.0 500 Oops\r\n\r\n20261124t110000z",
        b"HTTP/1.0 200 OK\r\nDate: $(touch pwned)\r\n\r\n20261124t110000z$(touch pwned)",
        b"HTTP/1.0 200 OK\r\nDate: Mon, 99 Foo 2026 99:99:99 GMT\r\n\r\nrubbish",
        b"HTTP/1.0 200 OK\r\n" + b"X: y\r\n" * 5_000 + b"\r\n20261124t110000z",
    ],
)
def test_a_metadata_service_that_talks_rubbish_counts_as_no_tag(instance: Machine, raw: bytes) -> None:
    instance.metadata.raw = raw
    assert not instance.at(NOON + MAX_TTL - SECOND).is_off
    assert instance.at(NOON + MAX_TTL).is_off
    assert not (instance.folder / "pwned").exists()


def test_an_answer_in_the_manner_of_http_1_0_is_read(instance: Machine) -> None:
    instance.metadata.raw = (
        b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nDate: Tue, 24 Nov 2026 11:02:00 GMT\r\n"
        b"Last-Modified: Tue, 24 Nov 2026 09:00:00 GMT\r\nServer: EC2ws\r\n\r\n20261124t110000z"
    )
    assert instance.tick().is_off


def test_a_metadata_service_that_is_not_there_counts_as_no_tag(instance: Machine) -> None:
    instance.unreachable()
    assert not instance.at(NOON + MAX_TTL - SECOND).is_off
    assert instance.at(NOON + MAX_TTL).is_off


def test_metadata_is_requested_with_a_session_token_only(instance: Machine) -> None:
    instance.tagged(ONE)
    instance.tick()
    instance.metadata.status = 500
    instance.tick()
    assert instance.metadata.asked_without_token == 0
    assert instance.metadata.asked == ["PUT /latest/api/token", f"GET {TAG}", "PUT /latest/api/token"]


@pytest.mark.parametrize("status", [200, 404, 500])
def test_an_image_without_curl_is_guarded_by_wget(instance: Machine, status: int) -> None:
    bare = instance.folder / "bare"
    bare.mkdir()
    for name in ("cat", "head", "tr", "mkdir", "mv", "tee", "timeout", "wget", "sh"):
        (bare / name).symlink_to(Path("/usr/bin", name))
    instance.tools = str(bare)
    instance.tagged(ONE)
    instance.metadata.status = status
    instance.at(ONE + GRACE - SECOND)
    assert not instance.is_off
    instance.time_passes(SECOND)
    assert instance.tick().is_off is (status == 200)


# --- the disk


def test_a_disk_that_takes_nothing_does_not_keep_the_instance_running(instance: Machine) -> None:
    instance.disk = instance.folder / "now" / "below-a-file"
    instance.tagged(ONE)
    instance.at(NOON + MINUTE)
    instance.tagged(None)
    assert not instance.at(ONE + MAX_TTL - SECOND).is_off
    assert instance.at(ONE + MAX_TTL).is_off


@pytest.mark.parametrize("tagged", [True, False])
def test_neither_disk_nor_memory_is_needed_to_end(instance: Machine, tagged: bool) -> None:
    instance.disk = instance.memory = instance.folder / "now" / "below-a-file"
    instance.tagged(ONE if tagged else None)
    end = ONE + GRACE if tagged else NOON + MAX_TTL
    assert not instance.at(end - SECOND).is_off
    assert instance.at(end).is_off


@pytest.mark.parametrize(
    "damage",
    ["", "soon", "99999999999", "-5", "0", "176", "0899999999", "9" * 10, "1" * 10, "$(touch pwned)", "\n", "é"],
)
def test_a_damaged_first_boot_gives_way_to_this_boot(instance: Machine, damage: str) -> None:
    instance.at(NOON + MINUTE)
    instance.time_passes(timedelta(hours=1))
    instance.reboot()
    (instance.disk / "first-boot").write_text(damage)
    instance.tick()
    assert not instance.at(instance.booted + MAX_TTL - SECOND).is_off
    assert instance.at(instance.booted + MAX_TTL).is_off
    assert not (instance.folder / "pwned").exists()


def test_notes_that_are_folders_or_pipes_do_not_stop_it(instance: Machine) -> None:
    instance.at(NOON + MINUTE)
    instance.reboot()
    for note in ("first-boot", "deadline"):
        (instance.disk / note).unlink(missing_ok=True)
    (instance.disk / "first-boot").mkdir()
    os.mkfifo(instance.disk / "deadline")
    assert instance.at(instance.booted + MAX_TTL).is_off


# --- the console, and the way to power off


def test_a_console_that_blocks_does_not_keep_the_instance_running(instance: Machine) -> None:
    os.mkfifo(instance.console_file)
    instance.environment["GPUCTL_GUARD_WAIT_S"] = "0.5"
    instance.tagged(ONE)
    instance.time_passes(timedelta(hours=2))
    assert instance.tick().is_off


def test_a_shutdown_that_fails_is_followed_by_two_other_ways(instance: Machine) -> None:
    instance.fails("shutdown", "systemctl")
    instance.tagged(NOON - timedelta(hours=1))
    instance.tick()
    assert instance.calls == ["shutdown -P now", "systemctl poweroff -i", "poweroff -f"]


def test_a_shutdown_that_hangs_is_followed_by_another_way(instance: Machine) -> None:
    instance.stand_in("shutdown", "#!/bin/sh\nexec sleep 20\n")
    instance.environment["GPUCTL_GUARD_POWER_S"] = "0.2"
    instance.tagged(NOON - timedelta(hours=1))
    instance.tick()
    assert instance.calls == ["systemctl poweroff -i"]


def test_a_shutdown_that_only_says_it_worked_is_followed_by_every_way_at_the_next_run(instance: Machine) -> None:
    instance.tagged(NOON - timedelta(hours=1))
    instance.tick()
    instance.tick()
    assert instance.calls == ["shutdown -P now", "shutdown -P now", "systemctl poweroff -i", "poweroff -f"]
