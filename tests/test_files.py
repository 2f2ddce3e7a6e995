"""The file operations by themselves: what is closed to others, what is on the disk on return, what is left behind."""

import errno
import os
import re
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from gpuctl.files import Disk, disk_hint, private_folder, write_all, write_whole


class RecordingDisk(Disk):
    """Does everything, and writes down what it was asked in which order."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def sync(self, descriptor: int) -> None:
        self.told.append("sync")
        super().sync(descriptor)

    def replace(self, source: Path, target: Path) -> None:
        self.told.append("replace")
        super().replace(source, target)

    def sync_folder(self, folder: Path) -> None:
        self.told.append(f"sync {folder.name}")
        super().sync_folder(folder)


class FullDisk(Disk):
    """Takes nothing, and says so as the system may."""

    def write(self, descriptor: int, content: memoryview) -> int:
        return 0


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def descriptors() -> int:
    return len(os.listdir("/dev/fd"))


@pytest.fixture
def synced(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """For every fsync whether it was of a folder."""
    calls: list[bool] = []
    fsync = os.fsync

    def telling(descriptor: int) -> None:
        calls.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", telling)
    return calls


def test_the_content_is_synced_before_it_takes_the_old_ones_place_and_the_folder_after(
    tmp_path: Path, synced: list[bool]
) -> None:
    disk = RecordingDisk()
    write_whole(disk, tmp_path / "file", b"new")
    assert disk.told == ["sync", "replace", f"sync {tmp_path.name}"]
    assert synced == [False, True]
    assert (tmp_path / "file").read_bytes() == b"new"


def test_a_new_file_is_never_one_that_is_there_already(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    for name in ("file", "link"):
        with pytest.raises(FileExistsError):
            Disk().create(tmp_path / name)
    assert (tmp_path / "file").read_text() == "old"
    assert not (tmp_path / "elsewhere").exists()


def test_only_a_folder_can_be_synced_as_one(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(NotADirectoryError):
        Disk().sync_folder(tmp_path / "file")


def test_writing_leaves_no_descriptor_open_whether_it_succeeds_or_not(tmp_path: Path) -> None:
    before = descriptors()
    write_whole(Disk(), tmp_path / "file", b"new")
    with pytest.raises(OSError, match="nothing was written"):
        write_whole(FullDisk(), tmp_path / "file", b"newer")
    assert descriptors() == before


def test_a_disk_that_takes_nothing_is_an_error_and_never_a_short_file(tmp_path: Path) -> None:
    write_whole(Disk(), tmp_path / "file", b"old")
    with pytest.raises(OSError, match="nothing was written of 3 bytes"):
        write_whole(FullDisk(), tmp_path / "file", b"new")
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_bytes() == b"old"


def test_a_single_byte_at_a_time_is_no_error(tmp_path: Path) -> None:
    class SlowDisk(Disk):
        def write(self, descriptor: int, content: memoryview) -> int:
            return super().write(descriptor, content[:1])

    descriptor = Disk().create(tmp_path / "file")
    write_all(SlowDisk(), descriptor, b"content")
    os.close(descriptor)
    assert (tmp_path / "file").read_bytes() == b"content"


def test_a_failure_is_reported_even_if_its_leftovers_cannot_be_removed(tmp_path: Path) -> None:
    class VanishingDisk(Disk):
        def replace(self, source: Path, target: Path) -> None:
            source.unlink()
            raise OSError("the disk is gone")

    with pytest.raises(OSError, match="the disk is gone"):
        write_whole(VanishingDisk(), tmp_path / "file", b"new")


def test_a_file_and_a_folder_are_closed_to_others_from_their_first_moment(
    tmp_path: Path, set_umask: Callable[[int], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    set_umask(0)
    monkeypatch.setattr(os, "fchmod", lambda *_: None)
    monkeypatch.setattr(Path, "chmod", lambda *_: None)
    os.close(Disk().create(tmp_path / "file"))
    private_folder(tmp_path / "folder")
    assert (mode_of(tmp_path / "file"), mode_of(tmp_path / "folder")) == (0o600, 0o700)


def test_what_a_killed_write_leaves_is_hidden_says_whose_it_is_and_is_found_by_the_sweep(tmp_path: Path) -> None:
    created: list[str] = []

    class WatchedDisk(Disk):
        def create(self, path: Path) -> int:
            created.append(path.name)
            return super().create(path)

    for _ in range(2):
        write_whole(WatchedDisk(), tmp_path / "file", b"new")
    assert all(re.fullmatch(rf"\.file\.{os.getpid()}\.[0-9a-f]{{8}}\.tmp", name) for name in created)
    assert len(set(created)) == 2


def test_a_folder_that_is_there_is_left_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    private_folder(tmp_path / "open" / "a" / "b")
    assert [mode_of(tmp_path / text) for text in ("open", "open/a", "open/a/b")] == [0o755, 0o700, 0o700]


def test_a_folder_that_another_makes_at_the_same_moment_is_no_error(tmp_path: Path) -> None:
    # A link to nowhere does not exist and cannot be made: so looks a folder that came up in between.
    (tmp_path / "raced").symlink_to(tmp_path / "nowhere")
    private_folder(tmp_path / "raced")
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize(
    ("code", "hint"),
    [
        (errno.ENOSPC, "free some space: df -h '/home/ana b'"),
        (errno.EDQUOT, "free some space: df -h '/home/ana b'"),
        (errno.EACCES, "ls -ld '/home/ana b' /x"),
        (errno.EROFS, "ls -ld '/home/ana b' /x"),
    ],
)
def test_a_hint_for_a_disk_is_a_command_that_can_be_typed(code: int, hint: str) -> None:
    assert disk_hint(OSError(code, "no"), Path("/home/ana b"), Path("/x")) == hint
