"""What a real boot needs of this computer, and the Debian root that it boots."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
SUITE = "bookworm"
_PROGRAMS = ("ip", "mmdebstrap", "systemd-nspawn", "unshare")
_SOURCES = Path("/etc/apt/sources.list.d/debian.sources")
_FILES = {
    # EC2 images name their metadata service; outside EC2 cloud-init would take none for it.
    "etc/cloud/cloud.cfg.d/90-ec2.cfg": "datasource_list: [Ec2]\ndatasource: {Ec2: {strict_id: false}}\n",
    # What NVIDIA's program prints for one idle GPU, for the query of the guard and for that of the idle watch.
    "usr/bin/nvidia-smi": (
        "#!/bin/sh\ncase $1 in *utilization.gpu*) echo 0 ;; *) echo 'Tesla T4, 595.91.07' ;; esac\n"
    ),
    # The kernel shows every container the load of the whole computer, which runs other tests.
    "etc/gpuctl-loadavg": "0.00 0.00 0.00 1/50 100\n",
    "etc/systemd/system/quiet.service": (
        "[Unit]\nDefaultDependencies=no\nBefore=sysinit.target\n"
        "[Service]\nType=oneshot\nExecStart=/bin/mount --bind /etc/gpuctl-loadavg /proc/loadavg\n"
        "[Install]\nWantedBy=sysinit.target\n"
    ),
    # multi-user.target wants this unit, which never starts: whatever comes after that target never runs.
    "etc/systemd/system/hangs.service": (
        "[Unit]\nBefore=multi-user.target\n[Service]\nType=oneshot\nTimeoutStartSec=infinity\nExecStart=/bin/sleep 1d\n"
        "[Install]\nWantedBy=multi-user.target\n"
    ),
}


def missing() -> str | None:
    """Why this computer cannot boot a Debian root; None if it can."""
    if os.geteuid() != 0:
        return "needs root"
    absent = [name for name in _PROGRAMS if shutil.which(name) is None]
    if absent:
        packages = " ".join((HERE / "host-packages").read_text().split())
        return f"{', '.join(absent)} is not installed: apt-get install {packages}"
    return None


@contextmanager
def debian_root() -> Iterator[Path]:
    """A Debian root with cloud-init, made from Debian's packages and removed afterwards.

    Raises CalledProcessError when the packages cannot be had.
    """
    folder = Path(tempfile.mkdtemp(prefix="gpuctl-boot-"))
    try:
        root = folder / "root"
        packages = ",".join((HERE / "guest-packages").read_text().split())
        sources = [str(_SOURCES)] if _SOURCES.exists() else []
        subprocess.run(
            ["mmdebstrap", "--quiet", "--variant=minbase", f"--include={packages}", SUITE, str(root), *sources],
            check=True, stdin=subprocess.DEVNULL, timeout=900,
        )  # fmt: skip
        for name, text in _FILES.items():
            path = root / name
            path.write_text(text)
            path.chmod(0o755 if path.parent.name == "bin" else 0o644)
        for unit, target in (("quiet", "sysinit"), ("hangs", "multi-user")):
            wants = root / f"etc/systemd/system/{target}.target.wants"
            wants.mkdir(exist_ok=True)
            (wants / f"{unit}.service").symlink_to(f"/etc/systemd/system/{unit}.service")
        yield root
    finally:
        # Never across a mount: mmdebstrap mounts the computer's devices there, and may have been killed.
        subprocess.run(["rm", "-rf", "--one-file-system", str(folder)], check=False)
