"""`expiring` is said once for each deadline, early enough to do something about it."""

from datetime import datetime, timedelta

import pytest
from support.instances import NOON, a_ready_instance, an_instance

from gpuctl.domain.events import EventName
from gpuctl.domain.expiring import expiring_at, is_expiring, with_notice
from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.lifecycle import advance, note

MINUTE = timedelta(minutes=1)


def extended(record: Instance, at: datetime, expires_at: datetime) -> Instance:
    return note(record, EventName.EXTENDED, at, expires_at=expires_at)


@pytest.mark.parametrize(("ttl", "said_at"), [(5, 2.5), (10, 5), (20, 10), (21, 11), (60, 50), (120, 110)])
def test_it_is_printed_ten_minutes_before_the_deadline_or_halfway_if_that_is_later(ttl: int, said_at: float) -> None:
    record = a_ready_instance(ttl=ttl * MINUTE)
    assert expiring_at(record) == NOON + said_at * MINUTE
    assert not is_expiring(record, NOON + said_at * MINUTE - timedelta(seconds=1))
    assert is_expiring(record, NOON + said_at * MINUTE)


def test_it_is_printed_once_for_a_deadline_and_again_for_the_next_one() -> None:
    record = with_notice(a_ready_instance(), NOON + 50 * MINUTE)
    assert record.history[-1].event == "expiring"
    assert record.history[-1].detail == "ends at 2026-11-24T13:00:00Z"
    assert with_notice(record, NOON + 59 * MINUTE) is record
    moved = extended(record, NOON + 52 * MINUTE, NOON + 90 * MINUTE)
    assert not is_expiring(moved, NOON + 79 * MINUTE)
    assert is_expiring(moved, NOON + 80 * MINUTE)
    assert [entry.event for entry in with_notice(moved, NOON + 80 * MINUTE).history] == [
        "expiring",
        "extended",
        "expiring",
    ]


def test_a_short_extension_is_halved_from_when_it_was_granted() -> None:
    moved = extended(a_ready_instance(ttl=10 * MINUTE), NOON + 9 * MINUTE, NOON + 15 * MINUTE)
    assert expiring_at(moved) == NOON + 12 * MINUTE


@pytest.mark.parametrize("status", [Status.STOPPING, Status.TERMINATED])
def test_a_stopping_instance_has_no_expiring_event(status: Status) -> None:
    record = advance(a_ready_instance(), status, NOON)
    assert with_notice(record, NOON + 55 * MINUTE) is record


def test_commands_are_refused_past_the_deadline_and_wait_before_the_instance_is_ready() -> None:
    assert not is_expiring(a_ready_instance(), NOON + 60 * MINUTE)
    assert is_expiring(an_instance(), NOON + 50 * MINUTE)
