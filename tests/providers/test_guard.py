"""The guard is a real script; these tests run it, with stand-ins for `shutdown` and `date` on PATH."""

import os
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.metadata import Metadata, metadata_service

from gpuctl.domain.tags import deadline_tag
from gpuctl.providers.aws.guard import MOST_BYTES, guard_script, user_data

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
MAX_TTL = timedelta(hours=2)
SECOND = timedelta(seconds=1)

HOSTILE = [
    b"",
    b"20261124",
    b"20261124t120000",
    b"20261124t120000zz",
    b"20261124T120000Z",
    b"2026-11-24T12:00:00Z",
    b"20261324t120000z",
    b"20260024t120000z",
    b"20261132t120000z",
    b"20261100t120000z",
    b"20261124t240000z",
    b"20261124t126000z",
    b"20261124t120060z",
    b"20261124x120000z",
    b" 20261124t120000z",
    b"20261124t120000z; touch pwned",
    b"$(touch pwned)",
    b"`touch pwned`",
    b"'; touch pwned; '",
    b"*",
    b"-n",
    b"\xd9\xa2\xd9\xa0261124t120000z",
    b"\x1b[2J",
    b"20261124t120000z\n20991124t120000z",
    b"a" * 10_000,
]


class Machine:
    """A machine with the guard on it, its clock and its disk."""

    def __init__(self, folder: Path, metadata: Metadata) -> None:
        self.folder, self.metadata = folder, metadata
        self.now = NOON
        self.disk = folder / "var"
        self.environment: dict[str, str] = {}
        bin_ = folder / "bin"
        bin_.mkdir()
        self._stand_in("shutdown", 'echo "$@" >>"$HOME/shutdown-calls"; exit "$(cat "$HOME/shutdown-exit" || echo 0)"')
        self._stand_in("systemctl", 'echo "$@" >>"$HOME/systemctl-calls"; exit 1')
        self._stand_in("poweroff", 'echo "$@" >>"$HOME/poweroff-calls"')
        self._stand_in("date", 'case "$1" in +*) set -- -d "@$(cat "$HOME/now")" "$@";; esac; exec /bin/date "$@"')
        (folder / "shutdown-exit").write_text("0")
        (folder / "guard").write_text(guard_script(MAX_TTL))

    def _stand_in(self, name: str, body: str) -> None:
        path = self.folder / "bin" / name
        path.write_text(f"#!/bin/sh\n{body} 2>/dev/null\n" if name != "date" else f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)

    def tagged(self, expires_at: datetime | bytes | None) -> None:
        if expires_at is None:
            self.metadata.tags.clear()
            return
        value = expires_at if isinstance(expires_at, bytes) else deadline_tag(expires_at).encode()
        self.metadata.tags["gpuctl-expires-at"] = value

    def tick(self) -> None:
        """One run of the timer."""
        (self.folder / "now").write_text(str(int(self.now.timestamp())))
        done = subprocess.run(
            ["/bin/bash", str(self.folder / "guard")],
            cwd=self.folder,
            env={
                "PATH": f"{self.folder / 'bin'}:/usr/bin:/bin",
                "HOME": str(self.folder),
                "GPUCTL_GUARD_METADATA": self.metadata.url,
                "GPUCTL_GUARD_STATE": str(self.disk),
                "GPUCTL_GUARD_CONSOLE": str(self.folder / "console"),
                **self.environment,
            },
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == 0, done.stderr

    @property
    def is_off(self) -> bool:
        return self.shutdowns > 0

    @property
    def shutdowns(self) -> int:
        calls = self.folder / "shutdown-calls"
        return calls.read_text().count("-P now\n") if calls.exists() else 0

    @property
    def console(self) -> list[str]:
        console = self.folder / "console"
        return console.read_text().splitlines() if console.exists() else []


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with metadata_service() as metadata:
        yield Machine(tmp_path, metadata)


def test_a_machine_in_time_stays_on_and_says_that_it_is_guarded(machine: Machine) -> None:
    machine.tagged(NOON + timedelta(hours=1))
    machine.tick()
    assert not machine.is_off
    assert machine.console == ["gpuctl-guard: armed, ends 2 min past 20261124t130000z"]


@pytest.mark.parametrize(
    ("late", "is_off"), [(timedelta(0), False), (119 * SECOND, False), (120 * SECOND, True), (timedelta(days=3), True)]
)
def test_it_powers_off_two_minutes_past_the_deadline_and_not_before(
    machine: Machine, late: timedelta, is_off: bool
) -> None:
    machine.tagged(NOON)
    machine.now = NOON + late
    machine.tick()
    assert machine.is_off is is_off


def test_a_deadline_moved_later_is_obeyed(machine: Machine) -> None:
    machine.tagged(NOON)
    machine.tick()
    machine.tagged(NOON + timedelta(minutes=30))
    machine.now = NOON + timedelta(minutes=10)
    machine.tick()
    assert not machine.is_off
    machine.now = NOON + timedelta(minutes=32)
    machine.tick()
    assert machine.is_off


def test_a_deadline_moved_earlier_is_obeyed(machine: Machine) -> None:
    machine.tagged(NOON + timedelta(hours=1))
    machine.tick()
    machine.tagged(NOON - timedelta(minutes=2))
    machine.tick()
    assert machine.is_off


def test_without_a_tag_it_powers_off_max_ttl_after_first_boot(machine: Machine) -> None:
    machine.tick()
    machine.now = NOON + MAX_TTL - SECOND
    machine.tick()
    assert not machine.is_off
    machine.now = NOON + MAX_TTL
    machine.tick()
    assert machine.is_off


def test_a_tag_that_went_missing_leaves_max_ttl_from_the_last_good_deadline(machine: Machine) -> None:
    machine.tagged(NOON + timedelta(hours=1))
    machine.tick()
    machine.tagged(None)
    machine.now = NOON + timedelta(hours=1) + MAX_TTL - SECOND
    machine.tick()
    assert not machine.is_off
    machine.now += SECOND
    machine.tick()
    assert machine.is_off


def test_a_last_good_deadline_long_past_does_not_shorten_the_life_from_first_boot(machine: Machine) -> None:
    machine.tick()
    (machine.disk / "last-good").write_text("20200101t000000z")
    machine.now = NOON + MAX_TTL - SECOND
    machine.tick()
    assert not machine.is_off
    machine.now += SECOND
    machine.tick()
    assert machine.is_off


@pytest.mark.parametrize("value", HOSTILE, ids=range(len(HOSTILE)))
def test_a_malformed_tag_counts_as_missing_and_is_never_run(machine: Machine, value: bytes) -> None:
    machine.tagged(value)
    machine.tick()
    assert not machine.is_off
    assert not (machine.folder / "pwned").exists()
    machine.now = NOON + MAX_TTL
    machine.tick()
    assert machine.is_off


@pytest.mark.parametrize("status", [401, 403, 404, 500, 503])
def test_a_metadata_service_that_fails_counts_as_no_tag(machine: Machine, status: int) -> None:
    machine.tagged(NOON - timedelta(hours=1))
    machine.metadata.status = status
    machine.tick()
    assert not machine.is_off
    machine.now = NOON + MAX_TTL
    machine.tick()
    assert machine.is_off


def test_a_metadata_service_that_is_not_there_counts_as_no_tag(machine: Machine) -> None:
    machine.environment["GPUCTL_GUARD_METADATA"] = "http://127.0.0.1:1"
    machine.tick()
    machine.now = NOON + MAX_TTL
    machine.tick()
    assert machine.is_off


def test_metadata_is_asked_for_with_a_session_token_only(machine: Machine) -> None:
    machine.tagged(NOON + timedelta(hours=1))
    machine.tick()
    assert machine.metadata.asked_without_token == 0


def test_a_reboot_does_not_start_the_life_anew(machine: Machine) -> None:
    machine.tick()
    machine.now = NOON + MAX_TTL - SECOND
    (machine.folder / "uptime").write_text("5.00 9.00\n")
    machine.environment["GPUCTL_GUARD_UPTIME"] = str(machine.folder / "uptime")
    machine.tick()
    machine.now += SECOND
    machine.tick()
    assert machine.is_off


def test_a_disk_that_takes_nothing_does_not_keep_the_machine_alive(machine: Machine) -> None:
    machine.disk = machine.folder / "now" / "below-a-file"
    uptime = machine.folder / "uptime"
    uptime.write_text(f"{MAX_TTL.total_seconds() - 1:.2f} 9.00\n")
    machine.environment["GPUCTL_GUARD_UPTIME"] = str(uptime)
    machine.tick()
    assert not machine.is_off
    uptime.write_text(f"{MAX_TTL.total_seconds():.2f} 9.00\n")
    machine.tick()
    assert machine.is_off


@pytest.mark.parametrize("damage", ["", "soon", "99999999999", "-5", "0", "176", "0899999999", "$(touch pwned)"])
def test_a_damaged_first_boot_is_written_anew(machine: Machine, damage: str) -> None:
    machine.tick()
    (machine.disk / "first-boot").write_text(damage)
    machine.tick()
    machine.now = NOON + MAX_TTL
    machine.tick()
    assert machine.is_off
    assert not (machine.folder / "pwned").exists()


@pytest.mark.parametrize(
    "odd",
    [
        {"TZ": "Pacific/Kiritimati"},
        {"TZ": "America/St_Johns"},
        {"LC_ALL": "tr_TR.UTF-8"},
        {"LANG": "ar_EG.UTF-8"},
        {"HTTP_PROXY": "http://127.0.0.1:1", "http_proxy": "http://127.0.0.1:1"},
    ],
)
def test_zone_locale_and_proxy_of_the_machine_change_nothing(machine: Machine, odd: dict[str, str]) -> None:
    machine.environment |= odd
    machine.tagged(NOON)
    machine.now = NOON + 119 * SECOND
    machine.tick()
    assert not machine.is_off
    machine.now += SECOND
    machine.tick()
    assert machine.is_off


def test_a_shutdown_that_fails_falls_back_and_is_tried_again(machine: Machine) -> None:
    (machine.folder / "shutdown-exit").write_text("1")
    machine.tagged(NOON - timedelta(hours=1))
    machine.tick()
    machine.tick()
    assert machine.shutdowns == 2
    assert (machine.folder / "systemctl-calls").read_text() == "poweroff\npoweroff\n"
    assert (machine.folder / "poweroff-calls").read_text() == "-f\n-f\n"


def test_the_console_hears_of_changes_only(machine: Machine) -> None:
    machine.tagged(NOON + timedelta(hours=1))
    machine.tick()
    machine.tick()
    machine.tagged(NOON + timedelta(hours=2))
    machine.tick()
    assert machine.console == [
        "gpuctl-guard: armed, ends 2 min past 20261124t130000z",
        "gpuctl-guard: armed, ends 2 min past 20261124t140000z",
    ]


def test_the_user_data_installs_a_timer_that_every_boot_starts(machine: Machine) -> None:
    root = machine.folder / "root"
    done = subprocess.run(
        ["/bin/bash", "-s"],
        input=user_data(MAX_TTL).encode(),
        env={
            "PATH": f"{machine.folder / 'bin'}:/usr/bin:/bin",
            "HOME": str(machine.folder),
            "GPUCTL_GUARD_ROOT": str(root),
        },
        capture_output=True,
        check=False,
    )
    guard = root / "usr/local/sbin/gpuctl-guard"
    assert done.stderr == b""
    assert guard.read_text() == guard_script(MAX_TTL)
    assert os.access(guard, os.X_OK)
    assert "WantedBy=timers.target" in (root / "etc/systemd/system/gpuctl-guard.timer").read_text()
    assert "ExecStart=/usr/local/sbin/gpuctl-guard" in (root / "etc/systemd/system/gpuctl-guard.service").read_text()
    assert "enable --now gpuctl-guard.timer" in (machine.folder / "systemctl-calls").read_text()


def test_the_same_span_gives_the_same_user_data_and_another_span_another() -> None:
    assert user_data(MAX_TTL) == user_data(timedelta(minutes=120))
    assert user_data(MAX_TTL) != user_data(timedelta(minutes=121))
    assert len(user_data(MAX_TTL).encode()) < MOST_BYTES


@pytest.mark.parametrize("span", [timedelta(0), -SECOND, timedelta(days=7, seconds=1), timedelta(milliseconds=1500)])
def test_a_span_no_guard_can_hold_is_a_bug_of_the_caller(span: timedelta) -> None:
    with pytest.raises(ValueError, match="cannot hold"):
        user_data(span)
