"""Records that were written with earlier words are still read."""

from datetime import UTC, datetime

from support.instances import a_ready_instance, an_instance

from gpuctl.domain.instance import HistoryEntry, Instance, Outcome
from gpuctl.domain.lifecycle import powered_off_since
from gpuctl.domain.safeguards import Mechanism, Safeguard, SafeguardStatus

LATER = datetime(2026, 11, 24, 13, tzinfo=UTC)
NOON = "2026-11-24T12:00:00Z"


def test_safeguards_that_were_stored_as_protection_are_read() -> None:
    stored = an_instance().model_dump(mode="json")
    del stored["safeguards"]
    old = {"killer": "timer", "standing": "seen running", "acts_at": None, "read_at": NOON, "detail": "a guard"}

    (safeguard,) = Instance.model_validate({**stored, "protection": [old]}).safeguards

    assert (safeguard.mechanism, safeguard.status, safeguard.detail) == (
        Mechanism.TIMER,
        SafeguardStatus.VERIFIED,
        "a guard",
    )
    assert Safeguard.model_validate_json(safeguard.model_dump_json()) == safeguard


def test_an_attempt_that_was_stored_as_open_is_pending() -> None:
    stored = an_instance().model_dump(mode="json")

    (attempt,) = Instance.model_validate(
        {**stored, "attempts": [{**stored["attempts"][0], "outcome": "open"}]}
    ).attempts

    assert attempt.outcome is Outcome.PENDING


def test_an_instance_whose_history_says_stopped_is_still_powered_off() -> None:
    record = a_ready_instance()
    entry = HistoryEntry(at=LATER, event="stopped", status=record.status)

    assert powered_off_since(record.with_fields(history=(entry,))) == LATER
