"""Whether a cron daemon runs: a crontab can be written where none does."""

from pathlib import Path

_PID_FILES = ("run/crond.pid", "run/cron.pid", "var/run/crond.pid", "var/run/cron.pid")
# The first 15 characters of their names, as the kernel has them.
_DAEMONS = frozenset({"cron", "crond", "anacron", "fcron", "dcron", "cronie"})


def runs_cron(root: Path = Path("/")) -> bool | None:
    """Whether a cron daemon is among the processes of this computer; None where that cannot be seen.

    `root` is the folder of the system's files.
    """
    processes = root / "proc"
    if not (processes / "self").exists():
        return None
    for name in _PID_FILES:
        try:
            number = int((root / name).read_text("ascii").strip())
        except (OSError, ValueError):
            continue
        if (processes / str(number)).exists():
            return True
    # With the mount option hidepid the processes of others cannot be seen, the first of all not either.
    if not (processes / "1").exists():
        return None
    for comm in processes.glob("[0-9]*/comm"):
        try:
            if comm.read_text("utf-8", "replace").strip() in _DAEMONS:
                return True
        except OSError:
            continue
    return False
