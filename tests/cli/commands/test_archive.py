"""`gpuctl archive`: records leave the state for a file, and none is ever lost on the way."""

import gzip
import json
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import Operator
from support.disks import FailingDisk
from support.instances import NOON, a_ready_instance

from gpuctl.domain.instance import Instance, Status
from gpuctl.errors import GpuctlError
from gpuctl.files import Disk
from gpuctl.home.export import ExportFile
from gpuctl.store.base import StateKind
from gpuctl.store.local.store import LocalStore

OLD, YOUNG, LIVE = "inst-000000000001", "inst-000000000002", "inst-000000000003"


def ended(record_id: str, days_ago: int) -> Instance:
    at = NOON - timedelta(days=days_ago)
    return a_ready_instance(record_id, status=Status.TERMINATED, terminated_at=at, updated_at=at, created_at=at)


@pytest.fixture
def with_history(operator: Operator) -> Operator:
    operator.store.add([ended(OLD, 60), ended(YOUNG, 3), a_ready_instance(LIVE)], lambda present: None)
    return operator


def ids_in(path: Path) -> list[str]:
    return [json.loads(line)["id"] for line in gzip.decompress(path.read_bytes()).splitlines()]


def test_old_records_leave_for_a_file_and_stats_says_from_when_it_counts(with_history: Operator) -> None:
    file = with_history.folder / "old.jsonl.gz"
    before = with_history.json("stats").json
    ran = with_history.json("archive", "--older-than", "30d", "--to", str(file))
    assert (ran.code, ran.json["count"], ran.json["file"]) == (0, 1, str(file))
    assert ids_in(file) == [OLD]
    assert Instance.model_validate(json.loads(gzip.decompress(file.read_bytes()))).id == OLD
    assert file.stat().st_mode & 0o777 == 0o600
    left = with_history.json("list", "--all").json["instances"]
    assert sorted(item["id"] for item in left) == [YOUNG, LIVE]
    after = with_history.json("stats").json
    assert (before["completeSince"], after["completeSince"]) == (None, "2026-10-25T12:00:00Z")
    assert after["statistics"]["totalProvisioned"] == before["statistics"]["totalProvisioned"] - 1
    assert "totals are complete since 2026-10-25" in with_history.run("stats").err


def test_a_second_time_adds_to_the_file(with_history: Operator) -> None:
    file = with_history.folder / "old.jsonl.gz"
    with_history.json("archive", "--older-than", "30d", "--to", str(file))
    again = with_history.json("archive", "--older-than", "30d", "--to", str(file))
    assert (again.code, again.json["count"]) == (0, 0)
    with_history.later(days=60)
    assert with_history.json("archive", "--older-than", "30d", "--to", str(file)).json["count"] == 1
    assert ids_in(file) == [OLD, YOUNG]


def test_what_ended_in_this_month_stays_for_the_budgets(with_history: Operator) -> None:
    file = with_history.folder / "old.jsonl.gz"
    ran = with_history.run("archive", "--older-than", "1d", "--to", str(file))
    assert "records since 2026-11-01 are kept" in ran.err
    assert ids_in(file) == [OLD]


@pytest.mark.parametrize("content", [b"not gzip", gzip.compress(b"{}\n", mtime=0)[:-4]], ids=["text", "cut"])
def test_a_file_that_is_no_whole_gzip_file_is_left_as_it_is(with_history: Operator, content: bytes) -> None:
    file = with_history.folder / "old.jsonl.gz"
    file.write_bytes(content)
    ran = with_history.run("archive", "--older-than", "30d", "--to", str(file))
    assert (ran.code, file.read_bytes()) == (2, content)
    assert len(with_history.json("list", "--all").json["instances"]) == 3


@pytest.mark.parametrize("argv", [["--to", "x.gz"], ["--older-than", "30d"], ["--older-than", "30", "--to", "x.gz"]])
def test_a_missing_option_is_refused(with_history: Operator, argv: list[str]) -> None:
    assert with_history.run("archive", *argv).code == 2


@pytest.mark.parametrize("good_for", range(12))
def test_no_record_is_lost_by_any_failure(tmp_path: Path, good_for: int) -> None:
    def store_on(disk: Disk) -> LocalStore:
        from support.clock import FakeClock

        return LocalStore(tmp_path / "state.json", kind=StateKind.REAL, clock=FakeClock(), disk=disk)

    whole = store_on(Disk())
    whole.add([ended(OLD, 60), ended(YOUNG, 3)], lambda present: None)
    whole.archive(NOON)
    disk = FailingDisk(good_for)
    file = tmp_path / "old.jsonl.gz"
    with suppress(GpuctlError):
        store_on(disk).hand_over(NOON - timedelta(days=30), ExportFile(file, disk).add)
    existing = {record.id for record in whole.archived()} | set(ids_in(file) if file.exists() else [])
    assert existing == {OLD, YOUNG}
    assert list(whole.unreadable()) == []
