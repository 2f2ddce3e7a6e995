"""What the operating system does to a reaper on a schedule, as warnings at installation."""

import os
from collections.abc import Sequence
from pathlib import Path

from gpuctl.platform import ON_WINDOWS_DRIVE, Platform
from gpuctl.services.scheduling.job import ReaperJob

# Below the home directory. Without Full Disk Access a program that launchd starts may not read them, although the
# terminal may.
_PROTECTED = ("Desktop", "Documents", "Downloads", "Library/Mobile Documents")
# `schtasks` refuses a longer command.
_LONGEST_TASK = 261
WSL_STOPS = "the reaper runs only while WSL runs, and WSL stops about 15 seconds after its last window was closed"


def limits(
    platform: Platform, job: ReaperJob, files: Sequence[Path], home: Path, distribution: str | None, user: str
) -> list[str]:
    """What limits that job here. `files` are those it reads, `distribution` is the name of the one of WSL."""
    if platform.is_mac:
        protected = [str(path) for path in files if is_protected(path, home)]
        if protected:
            return [
                f"launchd may not read {', '.join(protected)} without Full Disk Access (System Settings, Privacy & "
                "Security): move it to another folder"
            ]
    if platform.is_wsl:
        task = windows_task(job, distribution or "Ubuntu", user)
        warnings = [f"{WSL_STOPS}; to run it from Windows, type there: {task}"]
        drives = [str(path) for path in files if platform.is_on_windows_drive(path)]
        if drives:
            warnings.append(f"{', '.join(drives)} is {ON_WINDOWS_DRIVE}")
        return warnings
    if platform.is_container:
        return [
            "this is a container: the schedule stops with it; run `gpuctl reap --watch` under its supervisor instead"
        ]
    return []


def is_protected(path: Path, home: Path) -> bool:
    """Whether macOS keeps the file from programs that launchd starts."""
    real = Path(os.path.realpath(path))
    folders = (*(home / name for name in _PROTECTED), Path("/Volumes"))
    return any(real.is_relative_to(os.path.realpath(folder)) for folder in folders)


def windows_task(job: ReaperJob, distribution: str, user: str) -> str:
    """The command for Windows that makes its own scheduler run the job in WSL, without the log if it gets too long."""
    argv = job.argv
    if len(_task(argv, distribution, user)) > _LONGEST_TASK and "--log" in argv:
        argv = argv[: argv.index("--log")]
    task = _task(argv, distribution, user).replace('"', '\\"')
    minutes = int(job.every.total_seconds()) // 60
    return f'schtasks /create /tn gpuctl-reap-{job.key} /sc minute /mo {minutes} /f /tr "{task}"'


def _task(argv: Sequence[str], distribution: str, user: str) -> str:
    words = " ".join(f'"{word}"' if " " in word else word for word in argv)
    return f"wsl.exe -d {distribution} -u {user} --exec {words}"
