from datetime import UTC, datetime, timedelta, timezone

import pytest

from gpuctl.domain.tags import deadline_tag, ownership, parse_deadline

AT = datetime(2026, 11, 23, 13, 15, tzinfo=UTC)


def test_a_deadline_is_spelled_so_that_text_orders_as_time_does() -> None:
    assert deadline_tag(AT) == "20261123t131500z"
    assert deadline_tag(AT.astimezone(timezone(timedelta(hours=5)))) == "20261123t131500z"
    assert parse_deadline(deadline_tag(AT)) == AT


def test_the_microseconds_of_an_extension_stand_behind_its_deadline() -> None:
    later = AT + timedelta(microseconds=42)
    assert deadline_tag(later) == "20261123t131500z-000042"
    assert parse_deadline(deadline_tag(later)) == later
    assert deadline_tag(AT) < deadline_tag(later) < deadline_tag(AT + timedelta(seconds=1))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20261123t131500",
        "20261123T131500Z",
        "20261123t131500zz",
        " 20261123t131500z",
        "20261123t131500z\n",
        "20261323t131500z",
        "20260230t000000z",
        "2026-11-23t13:15z",
        "٢٠٢٦١١٢٣t131500z",
        "99999999t999999z",
        "20261123t131500z-",
        "20261123t131500z-42",
        "20261123t131500z-0000042",
    ],
)
def test_anything_else_names_no_instant(text: str) -> None:
    assert parse_deadline(text) is None


def test_ownership_guesses_nothing() -> None:
    odd = ownership({"gpuctl-id": "inst-SHORT", "gpuctl-state": "x", "gpuctl-expires-at": "soon"})
    assert (odd.record_id, odd.state_id, odd.expires_at) == (None, None, None)
    whole = ownership(
        {"gpuctl-id": "inst-0p7c2hj4sfue", "gpuctl-state": "abcdefgh", "gpuctl-expires-at": "20261123t131500z"}
    )
    assert (whole.record_id, whole.state_id, whole.expires_at) == ("inst-0p7c2hj4sfue", "abcdefgh", AT)
