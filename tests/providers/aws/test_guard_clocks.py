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
def machine(tmp_path: Path) -> Iterator[Machine]:
    with metadata_service() as metadata:
        metadata.date = NOON
        yield Machine(tmp_path, metadata)


@pytest.mark.parametrize("error", [YEARS, 3 * MAX_TTL, -3 * MAX_TTL, -20 * YEARS], ids=str)
def test_a_clock_that_is_wrong_changes_nothing_where_the_cloud_tells_the_time(
    machine: Machine, error: timedelta
) -> None:
    machine.clock_error = error
    machine.tagged(ONE)
    machine.tick()
    assert not machine.at(ONE + GRACE - SECOND).is_off
    assert machine.at(ONE + GRACE).is_off


@pytest.mark.parametrize("error", [YEARS, 3 * MAX_TTL, -3 * MAX_TTL, -20 * YEARS], ids=str)
def test_one_unanswered_request_does_not_bring_a_wrong_clock_back(machine: Machine, error: timedelta) -> None:
    machine.clock_error = error
    machine.tagged(ONE + 2 * MAX_TTL)
    machine.at(NOON + MAX_TTL)
    machine.unreachable()
    assert not machine.at(ONE + 3 * MAX_TTL - SECOND).is_off
    assert machine.at(ONE + 3 * MAX_TTL).is_off


@pytest.mark.parametrize("error", [YEARS, 3 * MAX_TTL], ids=str)
def test_a_clock_set_only_after_boot_does_not_end_an_instance_at_once(machine: Machine, error: timedelta) -> None:
    machine.metadata.date = None
    machine.clock_error = error
    machine.tagged(ONE)
    assert not machine.at(NOON + MINUTE).is_off
    machine.clock_error = timedelta(0)
    assert not machine.at(ONE).is_off


@pytest.mark.parametrize("error", [YEARS, 3 * MAX_TTL, -3 * MAX_TTL, -20 * YEARS], ids=str)
def test_a_clock_set_late_in_the_first_boot_does_not_move_the_end(machine: Machine, error: timedelta) -> None:
    machine.metadata.date = None
    machine.clock_error = error
    machine.at(NOON + 10 * MINUTE)
    machine.clock_error = timedelta(0)
    assert not machine.at(NOON + MAX_TTL - SECOND).is_off
    assert machine.at(NOON + MAX_TTL).is_off


def test_a_clock_nobody_ever_set_still_terminates_the_instance(machine: Machine) -> None:
    machine.metadata.date = None
    machine.clock_error = -20 * YEARS
    machine.tagged(ONE)
    assert not machine.at(NOON + MAX_TTL - SECOND).is_off
    assert machine.at(NOON + MAX_TTL).is_off


def test_a_clock_lost_at_a_reboot_terminates_an_instance_without_metadata_all_the_same(machine: Machine) -> None:
    machine.tagged(ONE)
    machine.at(NOON + MINUTE)
    machine.reboot()
    machine.unreachable()
    machine.clock_error = -20 * YEARS
    assert not machine.at(machine.booted + MAX_TTL - SECOND).is_off
    assert machine.at(machine.booted + MAX_TTL).is_off


# --- reboots, and images


def test_a_reboot_does_not_start_the_life_anew(machine: Machine) -> None:
    machine.at(NOON + MINUTE)
    machine.time_passes(timedelta(hours=1))
    machine.reboot()
    assert not machine.at(NOON + MAX_TTL - SECOND).is_off
    assert machine.at(NOON + MAX_TTL).is_off


def test_a_reboot_does_not_forget_the_last_good_deadline(machine: Machine) -> None:
    machine.tagged(ONE)
    machine.at(NOON + MINUTE)
    machine.time_passes(timedelta(hours=1))
    machine.reboot()
    machine.tagged(None)
    assert not machine.at(ONE + MAX_TTL - SECOND).is_off
    assert machine.at(ONE + MAX_TTL).is_off


@pytest.mark.parametrize("answers", [True, False])
def test_an_instance_started_again_is_given_time_to_find_its_tag(machine: Machine, answers: bool) -> None:
    machine.tagged(ONE)
    machine.at(NOON + MINUTE)
    machine.tagged(None)
    machine.metadata.hangs = set() if answers else {"/latest/api/token"}
    machine.environment["GPUCTL_GUARD_WAIT_S"] = "0.2"
    machine.time_passes(timedelta(days=3))
    machine.reboot()
    assert not machine.at(machine.booted + 5 * MINUTE - SECOND).is_off
    assert machine.at(machine.booted + 5 * MINUTE).is_off


def test_an_instance_started_again_past_its_deadline_ends_at_once(machine: Machine) -> None:
    machine.tagged(ONE)
    machine.at(NOON + MINUTE)
    machine.time_passes(timedelta(days=3))
    machine.reboot()
    assert machine.tick().is_off


def test_every_boot_says_anew_that_the_instance_is_guarded(machine: Machine) -> None:
    machine.tagged(ONE)
    machine.at(NOON + MINUTE)
    machine.reboot()
    machine.tick()
    assert machine.console == ["armed, ends at 20261124t130000z (tag)"] * 2


def test_an_instance_made_from_an_image_of_a_guarded_instance_is_left_alone(machine: Machine) -> None:
    machine.at(NOON + MINUTE)
    (machine.disk / "instance-id").write_text("i-0123456789abcdef0\n")
    (machine.folder / "cloud-id").write_text("i-0fedcba9876543210\n")
    assert not machine.at(NOON + 3 * MAX_TTL).is_off
    assert machine.console[-1] == "standing down: this machine was made from an image of a guarded one"


@pytest.mark.parametrize("told", ["i-0123456789abcdef0", "iid-datasource-none", "", "i-", "$(touch pwned)"])
def test_anything_but_another_id_is_no_reason_to_stand_down(machine: Machine, told: str) -> None:
    machine.at(NOON + MINUTE)
    (machine.disk / "instance-id").write_text("i-0123456789abcdef0\n")
    (machine.folder / "cloud-id").write_text(f"{told}\n")
    assert machine.at(NOON + MAX_TTL).is_off
