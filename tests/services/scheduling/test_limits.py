"""What macOS, WSL and containers do to a scheduled reaper is said at installation."""

from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import Operator
from support.programs import CRONTAB, with_programs

from gpuctl.platform import Platform
from gpuctl.services.scheduling.job import ReaperJob
from gpuctl.services.scheduling.limits import is_protected, limits, windows_task

WSL2 = "5.15.167.4-microsoft-standard-WSL2"
HOME = Path("/home/ana")
STATE = HOME / ".local/state/gpuctl/state.json"
JOB = ReaperJob(
    "0123abcd",
    timedelta(minutes=5),
    (f"{HOME}/.local/bin/gpuctl", "reap", "--state", str(STATE), "--log", f"{STATE}.reap.log"),
    {"PATH": "/usr/bin"},
)
MOUNTS = """\
22 1 8:32 / / rw,relatime - ext4 /dev/sdc rw,discard
30 22 0:4 / /mnt/c rw,noatime - 9p C:\\134 rw,dirsync,aname=drvfs;path=C:\\;uid=1000
31 22 0:5 / /mnt/my\\040share rw - nfs4 server:/x rw
32 22 0:6 / /mnt/twice rw - ext4 /dev/sdd rw
33 22 0:7 / /mnt/twice rw - cifs //server/x rw
"""


def a_wsl(root: Path) -> Platform:
    (root / "proc" / "self").mkdir(parents=True)
    (root / "proc" / "self" / "mountinfo").write_text(MOUNTS)
    return Platform(kernel=WSL2, root=root)


@pytest.mark.parametrize(
    ("path", "filesystem"),
    [
        ("/home/ana/state.json", "ext4"),
        ("/mnt/c/Users/ana/state.json", "9p"),
        ("/mnt/cd/state.json", "ext4"),
        ("/mnt/my share/state.json", "nfs4"),
        ("/mnt/twice/state.json", "cifs"),
    ],
)
def test_the_file_system_of_a_path_is_that_of_its_last_and_longest_mount(
    path: str, filesystem: str, tmp_path: Path
) -> None:
    assert a_wsl(tmp_path).filesystem(Path(path)) == filesystem


def test_without_mountinfo_the_file_system_is_not_known(tmp_path: Path) -> None:
    assert Platform("darwin", root=tmp_path).filesystem(HOME) is None


def test_a_warning_says_that_wsl_stops_and_names_the_scheduler_of_windows(tmp_path: Path) -> None:
    (warning,) = limits(a_wsl(tmp_path), JOB, [STATE], HOME, "Debian", "ana")
    assert "WSL stops about 15 seconds after its last window was closed" in warning
    task = f"wsl.exe -d Debian -u ana --exec {' '.join(JOB.argv)}"
    assert warning.endswith(f'schtasks /create /tn gpuctl-reap-0123abcd /sc minute /mo 5 /f /tr "{task}"')


def test_a_task_that_windows_would_refuse_goes_without_the_log() -> None:
    state = f"{HOME}/{'a' * 60}/state.json"
    job = ReaperJob(
        JOB.key, JOB.every, ("/opt/gpuctl", "reap", "--state", state, "--log", f"{state}.reap.log" + "x" * 60)
    )
    assert windows_task(job, "Ubuntu-24.04", "ana").endswith(f'reap --state {state}"')


def test_a_word_with_a_space_is_quoted_twice() -> None:
    job = ReaperJob(JOB.key, JOB.every, ("/opt/gpuctl", "reap", "--state", "/home/ana/a b.json"))
    assert windows_task(job, "Ubuntu", "ana").endswith('--exec /opt/gpuctl reap --state \\"/home/ana/a b.json\\""')


def test_a_state_on_a_drive_of_windows_is_warned_of(tmp_path: Path) -> None:
    state = Path("/mnt/c/Users/ana/state.json")
    assert f"{state} is on a drive of Windows" in limits(a_wsl(tmp_path), JOB, [state], HOME, None, "ana")[1]


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/Users/ana/Documents/venv/bin/gpuctl", True),
        ("/Users/ana/Library/Mobile Documents/x/state.json", True),
        ("/Volumes/usb/state.json", True),
        ("/Users/ana/.local/bin/gpuctl", False),
        ("/Users/ana/Documents-old/x", False),
        ("/Users/eve/Documents/x", False),
    ],
)
def test_folders_that_macos_protects_are_known(path: str, expected: bool) -> None:
    assert is_protected(Path(path), Path("/Users/ana")) is expected


def test_a_link_into_a_protected_folder_is_in_it(tmp_path: Path) -> None:
    (tmp_path / "Documents").mkdir()
    (tmp_path / "gpuctl").symlink_to(tmp_path / "Documents" / "gpuctl")
    assert is_protected(tmp_path / "gpuctl", tmp_path)
    platform = Platform("darwin", root=tmp_path)
    (warning,) = limits(platform, JOB, [tmp_path / "gpuctl", STATE], tmp_path, None, "ana")
    assert "Full Disk Access" in warning and str(STATE) not in warning
    assert limits(platform, JOB, [STATE], tmp_path, None, "ana") == []


def test_a_container_is_pointed_to_its_supervisor() -> None:
    assert "gpuctl reap --watch" in limits(Platform(is_container=True), JOB, [STATE], HOME, None, "ana")[0]
    assert limits(Platform(), JOB, [STATE], HOME, None, "ana") == []


def test_doctor_sends_a_container_to_its_supervisor_too(operator: Operator) -> None:
    operator.platform = Platform(is_container=True, root=operator.folder / "system")
    checks = operator.json("doctor", "--region", "us-east-1").json["checks"]
    (hint,) = [check["hint"] for check in checks if check["check"] == "schedule"]
    assert hint == "run under a supervisor: gpuctl reap --watch"


def test_a_new_state_is_not_made_on_a_drive_of_windows_unless_it_is_named(operator: Operator, tmp_path: Path) -> None:
    with_programs(operator, crontab=CRONTAB)
    platform = operator.platform = a_wsl(tmp_path / "system")
    mounts = platform.root / "proc" / "self" / "mountinfo"
    mounts.write_text(f"{MOUNTS}40 22 0:9 / {tmp_path} rw - 9p D:\\134 rw\n")
    named = operator.environ.pop("GPUCTL_STATE")
    ran = operator.provision()
    assert (ran.code, ran.json["error"]["code"], operator.wire.sent) == (9, "state_unusable", [])
    assert "would be on a drive of Windows" in ran.json["error"]["message"]
    listed = operator.run("list", "--state", named)
    assert (listed.code, f"`{named}` is on a drive of Windows" in listed.err) == (0, True)
    installed = operator.run("schedule", "install", "--state", named)
    assert (installed.code, f"{named} is on a drive of Windows" in installed.err) == (0, True)
    checks = operator.json("doctor", "--region", "us-east-1", "--state", named).json["checks"]
    results = [check["message"] for check in checks if check["check"] == "platform"]
    assert (len(results), "this is WSL" in results[0], "drive of Windows" in results[1]) == (2, True, True)
