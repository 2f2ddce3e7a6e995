"""The guard and time: clocks that are wrong or set late, reboots, and images taken of a guarded instance."""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.guarded import MAX_TTL, MINUTE, NOON, SECOND, Machine
from support.metadata import metadata_service

from gpuctl.providers.aws.guard import GRACE

ONE = NOON + timedelta(hours=1)
YEARS = timedelta(days=3_650)


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Machine]:
    with metadata_service() as metadata:
        metadata.date = NOON
        yield Machine(tmp_path, metadata)


@pytest.mark.parametrize("error", [YEARS, 3 * MAX_TTL, -3 * MAX_TTL, -20 * YEARS], ids=str)
def test_a_wrong_clock_changes_nothing_where_the_cloud_reports_the_time(instance: Machine, error: timedelta) -> None:
    instance.clock_error = error
    instance.tagged(ONE)
    instance.tick()
    assert not instance.at(ONE + GRACE - SECOND).is_off
    assert instance.at(ONE + GRACE).is_off


@pytest.mark.parametrize("error", [YEARS, 3 * MAX_TTL, -3 * MAX_TTL, -20 * YEARS], ids=str)
def test_one_unanswered_request_does_not_bring_a_wrong_clock_back(instance: Machine, error: timedelta) -> None:
    instance.clock_error = error
    instance.tagged(ONE + 2 * MAX_TTL)
    instance.at(NOON + MAX_TTL)
    instance.unreachable()
    assert not instance.at(ONE + 3 * MAX_TTL - SECOND).is_off
    assert instance.at(ONE + 3 * MAX_TTL).is_off


@pytest.mark.parametrize("error", [YEARS, 3 * MAX_TTL], ids=str)
def test_a_clock_set_only_after_boot_does_not_end_an_instance_at_once(instance: Machine, error: timedelta) -> None:
    instance.metadata.date = None
    instance.clock_error = error
    instance.tagged(ONE)
    assert not instance.at(NOON + MINUTE).is_off
    instance.clock_error = timedelta(0)
    assert not instance.at(ONE).is_off


@pytest.mark.parametrize("error", [YEARS, 3 * MAX_TTL, -3 * MAX_TTL, -20 * YEARS], ids=str)
def test_a_clock_set_late_in_the_first_boot_does_not_move_the_end(instance: Machine, error: timedelta) -> None:
    instance.metadata.date = None
    instance.clock_error = error
    instance.at(NOON + 10 * MINUTE)
    instance.clock_error = timedelta(0)
    assert not instance.at(NOON + MAX_TTL - SECOND).is_off
    assert instance.at(NOON + MAX_TTL).is_off


def test_a_clock_that_was_never_set_still_terminates_the_instance(instance: Machine) -> None:
    instance.metadata.date = None
    instance.clock_error = -20 * YEARS
    instance.tagged(ONE)
    assert not instance.at(NOON + MAX_TTL - SECOND).is_off
    assert instance.at(NOON + MAX_TTL).is_off


def test_a_clock_lost_at_a_reboot_terminates_an_instance_without_metadata_all_the_same(instance: Machine) -> None:
    instance.tagged(ONE)
    instance.at(NOON + MINUTE)
    instance.reboot()
    instance.unreachable()
    instance.clock_error = -20 * YEARS
    assert not instance.at(instance.booted + MAX_TTL - SECOND).is_off
    assert instance.at(instance.booted + MAX_TTL).is_off


# --- reboots, and images


def test_a_reboot_does_not_restart_the_ttl(instance: Machine) -> None:
    instance.at(NOON + MINUTE)
    instance.time_passes(timedelta(hours=1))
    instance.reboot()
    assert not instance.at(NOON + MAX_TTL - SECOND).is_off
    assert instance.at(NOON + MAX_TTL).is_off


def test_a_reboot_does_not_forget_the_last_good_deadline(instance: Machine) -> None:
    instance.tagged(ONE)
    instance.at(NOON + MINUTE)
    instance.time_passes(timedelta(hours=1))
    instance.reboot()
    instance.tagged(None)
    assert not instance.at(ONE + MAX_TTL - SECOND).is_off
    assert instance.at(ONE + MAX_TTL).is_off


@pytest.mark.parametrize("answers", [True, False])
def test_an_instance_started_again_is_given_time_to_find_its_tag(instance: Machine, answers: bool) -> None:
    instance.tagged(ONE)
    instance.at(NOON + MINUTE)
    instance.tagged(None)
    instance.metadata.hangs = set() if answers else {"/latest/api/token"}
    instance.environment["GPUCTL_GUARD_WAIT_S"] = "0.2"
    instance.time_passes(timedelta(days=3))
    instance.reboot()
    assert not instance.at(instance.booted + 5 * MINUTE - SECOND).is_off
    assert instance.at(instance.booted + 5 * MINUTE).is_off


def test_an_instance_started_again_past_its_deadline_ends_at_once(instance: Machine) -> None:
    instance.tagged(ONE)
    instance.at(NOON + MINUTE)
    instance.time_passes(timedelta(days=3))
    instance.reboot()
    assert instance.tick().is_off


def test_every_boot_says_again_that_the_instance_is_guarded(instance: Machine) -> None:
    instance.tagged(ONE)
    instance.at(NOON + MINUTE)
    instance.reboot()
    instance.tick()
    assert instance.console == ["armed, ends at 20261124t130000z (tag)"] * 2


def test_an_instance_made_from_an_image_of_a_guarded_instance_is_left_alone(instance: Machine) -> None:
    instance.at(NOON + MINUTE)
    (instance.disk / "instance-id").write_text("i-0123456789abcdef0\n")
    (instance.folder / "cloud-id").write_text("i-0fedcba9876543210\n")
    assert not instance.at(NOON + 3 * MAX_TTL).is_off
    assert instance.console[-1] == "standing down: this machine was made from an image of a guarded one"


@pytest.mark.parametrize("text", ["i-0123456789abcdef0", "iid-datasource-none", "", "i-", "$(touch pwned)"])
def test_anything_but_another_id_is_no_reason_to_stand_down(instance: Machine, text: str) -> None:
    instance.at(NOON + MINUTE)
    (instance.disk / "instance-id").write_text("i-0123456789abcdef0\n")
    (instance.folder / "cloud-id").write_text(f"{text}\n")
    assert instance.at(NOON + MAX_TTL).is_off
