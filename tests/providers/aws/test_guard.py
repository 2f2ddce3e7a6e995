"""The guard is a real script; these tests run it and ask one thing: when does the instance end?"""

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.guarded import MAX_TTL, MINUTE, NOON, SECOND, Machine
from support.metadata import metadata_service

from gpuctl.domain.tags import deadline_tag
from gpuctl.providers.aws.guard import CONSOLE_PREFIX, GRACE

ONE = NOON + timedelta(hours=1)
HOSTILE = [
    b"",
    b" ",
    b"20261124",
    b"20261124t130000",
    b"20261124t13000z",
    b"20261124t130000zz",
    b"20261124t130000z\n",
    b"\n20261124t130000z",
    b"20261124t130000z\r\n",
    b"20261124t130000z\n20991124t120000z",
    b" 20261124t130000z",
    b"2026112\x004t130000z",
    b"20261124T130000Z",
    b"2026-11-24T13:00:00Z",
    b"20261324t130000z",
    b"20260024t130000z",
    b"20261132t130000z",
    b"20261100t130000z",
    b"20260231t130000z",
    b"20261124t240000z",
    b"20261124t136000z",
    b"20261124t130060z",
    b"99991124t130000z",
    b"20261124x130000z",
    b"2026112Zt130000z",
    b"20261124t130000z; touch pwned",
    b"$(touch pwned)",
    b"`touch pwned`",
    b"'; touch pwned; '",
    b"a[$(touch pwned)]",
    b"*",
    b"-n",
    b"%n%s",
    b"\\x41",
    b"\xd9\xa2\xd9\xa0261124t130000z",
    b"\xef\xbc\x920261124t130000",
    b"\xff\xfe",
    b"\x1b[2J",
    b"a" * 100_000,
]


@pytest.fixture
def instance(tmp_path: Path) -> Iterator[Machine]:
    with metadata_service() as metadata:
        metadata.date = NOON
        yield Machine(tmp_path, metadata)


@pytest.fixture(params=["by the cloud's time", "by its own clock"])
def either(instance: Machine, request: pytest.FixtureRequest) -> Machine:
    if request.param == "by its own clock":
        instance.metadata.date = None
    return instance


def test_an_instance_in_time_stays_on_and_says_that_it_is_guarded(instance: Machine) -> None:
    instance.tagged(ONE)
    instance.at(NOON + SECOND)
    assert instance.calls == []
    assert instance.console_file.read_text() == f"{CONSOLE_PREFIX} armed, ends at 20261124t130000z (tag)\n"


@pytest.mark.parametrize(
    ("past", "is_off"),
    [
        (timedelta(0), False),
        (GRACE - SECOND, False),
        (GRACE, True),
        (GRACE + SECOND, True),
        (timedelta(days=3), True),
        (timedelta(days=800), True),
    ],
)
def test_it_powers_off_two_minutes_past_the_deadline_and_not_before(
    either: Machine, past: timedelta, is_off: bool
) -> None:
    either.tagged(ONE)
    either.at(ONE + past)
    assert either.is_off is is_off


def test_two_minutes_past_a_deadline_may_be_another_year(instance: Machine) -> None:
    instance.tagged(NOON.replace(month=12, day=31, hour=23, minute=59, second=30))
    assert not instance.at(NOON.replace(year=2027, month=1, day=1, hour=0, minute=1, second=29)).is_off
    assert instance.at(NOON.replace(year=2027, month=1, day=1, hour=0, minute=1, second=30)).is_off


def test_a_deadline_moved_later_is_obeyed(instance: Machine) -> None:
    instance.tagged(ONE)
    instance.at(ONE)
    instance.tagged(ONE + 30 * MINUTE)
    assert not instance.at(ONE + 10 * MINUTE).is_off
    assert instance.at(ONE + 30 * MINUTE + GRACE).is_off


def test_a_deadline_with_microseconds_is_obeyed(instance: Machine) -> None:
    instance.tagged(ONE + timedelta(microseconds=42))
    assert not instance.at(ONE + GRACE).is_off
    assert instance.at(ONE + GRACE + SECOND).is_off
    assert instance.console[0] == "armed, ends at 20261124t130000z-000042 (tag)"


def test_a_deadline_moved_far_past_max_ttl_from_first_boot_is_obeyed(instance: Machine) -> None:
    instance.tagged(ONE)
    instance.at(ONE)
    instance.tagged(ONE + timedelta(days=6))
    assert not instance.at(ONE + timedelta(days=6)).is_off
    assert instance.at(ONE + timedelta(days=6) + GRACE).is_off


def test_a_deadline_moved_earlier_is_obeyed(instance: Machine) -> None:
    instance.tagged(ONE)
    instance.at(NOON + MINUTE)
    instance.tagged(NOON)
    assert instance.at(NOON + GRACE).is_off


def test_without_a_tag_it_powers_off_max_ttl_after_first_boot(either: Machine) -> None:
    either.at(NOON + MINUTE)
    assert not either.at(NOON + MAX_TTL - SECOND).is_off
    assert either.at(NOON + MAX_TTL).is_off


def test_a_tag_that_went_missing_leaves_max_ttl_from_the_last_good_deadline(either: Machine) -> None:
    either.tagged(ONE)
    either.at(NOON + 10 * MINUTE)
    either.tagged(None)
    assert not either.at(ONE + MAX_TTL - SECOND).is_off
    assert either.at(ONE + MAX_TTL).is_off


def test_a_last_good_deadline_before_first_boot_does_not_shorten_the_ttl(instance: Machine) -> None:
    instance.at(NOON + MINUTE)
    (instance.disk / "deadline").write_text("20261124t090000z\n")
    assert not instance.at(NOON + MAX_TTL - SECOND).is_off
    assert instance.at(NOON + MAX_TTL).is_off


def test_the_last_deadline_read_counts_even_if_it_was_moved_earlier(instance: Machine) -> None:
    instance.tagged(ONE + timedelta(days=2))
    instance.at(NOON + MINUTE)
    instance.tagged(ONE)
    instance.at(NOON + 2 * MINUTE)
    instance.tagged(None)
    assert instance.at(ONE + MAX_TTL).is_off


def test_a_tag_that_comes_back_is_obeyed_again(instance: Machine) -> None:
    instance.at(NOON + MINUTE)
    instance.tagged(NOON + 5 * MAX_TTL)
    assert not instance.at(NOON + 2 * MAX_TTL).is_off


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_malformed_tag_counts_as_missing_and_is_never_run_or_printed(instance: Machine, value: bytes) -> None:
    instance.tagged(value)
    instance.at(NOON + MINUTE)
    assert not instance.at(NOON + MAX_TTL - SECOND).is_off
    assert instance.at(NOON + MAX_TTL).is_off
    assert not (instance.folder / "pwned").exists()
    assert instance.console[0].endswith(", ends at 20261124t140000z, 7200s after first boot")
    assert instance.console_file.read_text().isascii()


def test_a_tag_further_ahead_than_gpuctl_ever_writes_does_not_make_the_instance_immortal(instance: Machine) -> None:
    instance.tagged(NOON + timedelta(days=400))
    instance.at(NOON + MINUTE)
    assert instance.at(NOON + MAX_TTL).is_off


@pytest.mark.parametrize(
    "argument", ["", "0", "-5", "soon", "9999999", "7200; touch pwned", "a[$(touch pwned)]", "007200"]
)
def test_a_span_that_cannot_be_read_is_the_longest_there_is(instance: Machine, argument: str) -> None:
    instance.argument = argument
    instance.at(NOON + MINUTE)
    assert not instance.at(NOON + timedelta(days=7) - SECOND).is_off
    assert instance.at(NOON + timedelta(days=7)).is_off
    assert not (instance.folder / "pwned").exists()


@pytest.mark.parametrize(
    "odd",
    [
        {"TZ": "Pacific/Kiritimati"},
        {"TZ": "America/St_Johns"},
        {"TZ": "XXX-14:59"},  # a POSIX zone name, 14 h 59 min ahead of UTC
        {"LC_ALL": "tr_TR.UTF-8"},
        {"LC_ALL": "", "LANG": "ar_EG.UTF-8", "LC_TIME": "fa_IR"},
        {"LC_COLLATE": "C.UTF-8", "LC_ALL": "xx_nonsense"},
        {"HTTP_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1", "ALL_PROXY": "socks5://127.0.0.1:1"},
        {"POSIXLY_CORRECT": "1"},
    ],
)
def test_zone_locale_and_proxy_of_the_instance_change_nothing(either: Machine, odd: dict[str, str]) -> None:
    either.environment |= odd
    either.tagged(ONE)
    assert not either.at(ONE + GRACE - SECOND).is_off
    assert either.at(ONE + GRACE).is_off


def test_the_console_hears_of_changes_only(instance: Machine) -> None:
    instance.tagged(ONE)
    instance.at(NOON + MINUTE)
    instance.at(NOON + 2 * MINUTE)
    instance.tagged(ONE + timedelta(hours=1))
    instance.at(NOON + 3 * MINUTE)
    instance.tagged(None)
    instance.at(NOON + 4 * MINUTE)
    instance.at(NOON + 5 * MINUTE)
    assert instance.console == [
        "armed, ends at 20261124t130000z (tag)",
        "armed, ends at 20261124t140000z (tag)",
        "tag missing, ends at 20261124t160000z, 7200s after the deadline read last",
    ]


def test_its_last_words_give_the_reason(instance: Machine) -> None:
    instance.tagged(ONE)
    instance.at(ONE + GRACE)
    text = f"powering off at {deadline_tag(ONE + GRACE)}: deadline {deadline_tag(ONE)} passed"
    assert instance.console == [text]


def test_its_last_words_have_no_time_where_the_guard_knows_none(instance: Machine) -> None:
    instance.metadata.date = None
    instance.clock_error = timedelta(days=-9000)
    instance.at(NOON + MAX_TTL)
    assert instance.console[-1] == f"powering off: tag missing, up for {int(MAX_TTL.total_seconds())}s"


def test_its_line_is_written_again_every_hour_because_a_console_keeps_64_kb(instance: Machine) -> None:
    instance.tagged(NOON + timedelta(hours=3))
    for minutes in (1, 2, 59, 61, 62, 119, 121):
        instance.at(NOON + minutes * MINUTE)
    assert instance.console == ["armed, ends at 20261124t150000z (tag)"] * 3


def test_in_a_subnet_without_ipv4_the_tag_is_read_at_the_ipv6_address(instance: Machine) -> None:
    instance.environment["GPUCTL_GUARD_METADATA6"] = instance.metadata.url
    instance.unreachable()
    instance.tagged(ONE)
    assert not instance.at(ONE + GRACE - SECOND).is_off
    assert instance.at(ONE + GRACE).is_off
