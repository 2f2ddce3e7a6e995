from datetime import timedelta

import pytest

from gpuctl.domain.duration import approximate, as_typed, exact, parse_duration, parse_minutes
from gpuctl.errors import UsageError

MINUTE = timedelta(minutes=1)


@pytest.mark.parametrize(
    ("text", "span"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", 15 * MINUTE),
        ("1h30m", 90 * MINUTE),
        ("7d", timedelta(days=7)),
        ("1d2h3m4s", timedelta(days=1, hours=2, minutes=3, seconds=4)),
        (" 5m ", 5 * MINUTE),
    ],
)
def test_a_duration_needs_its_units(text: str, span: timedelta) -> None:
    assert parse_duration(text, option="--by") == span


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "90",
        "-5m",
        "1.5h",
        "nan",
        "inf",
        "1e3m",
        "m",
        "5 m",
        "5m5m",
        "٥m",
        "5m\n6",
        "5m\n",
        "5m\r",
        "\t5m",
        "9" * 30 + "d",
        "99999999d",
    ],
)
def test_anything_else_is_refused_in_one_line_that_names_the_option(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_duration(text, option="--by")
    assert caught.value.message.startswith("--by ")
    assert caught.value.message.isprintable()


def test_a_bare_number_of_a_ttl_means_minutes() -> None:
    assert parse_minutes("30", option="--ttl") == parse_minutes("30m", option="--ttl") == 30 * MINUTE


@pytest.mark.parametrize(
    ("span", "text"),
    [(timedelta(0), "0s"), (90 * MINUTE, "1h30m"), (timedelta(days=7), "7d"), (timedelta(seconds=45.9), "45s")],
)
def test_a_span_is_spelled_as_it_would_be_typed(span: timedelta, text: str) -> None:
    assert exact(span) == text


@pytest.mark.parametrize(
    ("span", "text"),
    [
        (timedelta(seconds=40), "40s"),
        (37 * MINUTE, "37m"),
        (119 * MINUTE, "119m"),
        (125 * MINUTE, "2h05m"),
        (timedelta(days=3, hours=4), "3d4h"),
        (-3 * MINUTE, "3m"),
    ],
)
def test_a_glance_needs_one_or_two_units(span: timedelta, text: str) -> None:
    assert approximate(span) == text


def test_typed_text_is_shown_without_control_characters() -> None:
    assert as_typed("a\x1b[2Jb") == "`a\\x1b[2Jb`"
    assert len(as_typed("x" * 1000)) < 70
