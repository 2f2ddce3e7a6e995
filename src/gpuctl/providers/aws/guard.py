"""The guard's installation: user data that puts the timer outside the laptop onto the machine at its first boot."""

from datetime import timedelta
from importlib.resources import files

GRACE = timedelta(minutes=2)
CONSOLE_PREFIX = "gpuctl-guard:"
LONGEST = timedelta(days=7)
MOST_BYTES = 16_384

_INSTALL = """\
#!/bin/bash
# Written by gpuctl. User data runs at the first boot only, so it installs a timer that every boot starts.
ROOT="${GPUCTL_GUARD_ROOT:-}"
mkdir -p "$ROOT/usr/local/sbin" "$ROOT/etc/systemd/system"
cat >"$ROOT/usr/local/sbin/gpuctl-guard" <<'GPUCTL_GUARD_END'
@GUARD@GPUCTL_GUARD_END
chmod 755 "$ROOT/usr/local/sbin/gpuctl-guard"
cat >"$ROOT/etc/systemd/system/gpuctl-guard.service" <<'GPUCTL_GUARD_END'
[Unit]
Description=gpuctl guard: power off 2 minutes past the deadline in the gpuctl-expires-at tag

[Service]
Type=oneshot
ExecStart=/usr/local/sbin/gpuctl-guard
TimeoutStartSec=60
GPUCTL_GUARD_END
cat >"$ROOT/etc/systemd/system/gpuctl-guard.timer" <<'GPUCTL_GUARD_END'
[Unit]
Description=gpuctl guard, every 30 seconds

[Timer]
OnBootSec=30s
OnUnitInactiveSec=30s
AccuracySec=5s

[Install]
WantedBy=timers.target
GPUCTL_GUARD_END
systemctl daemon-reload
systemctl enable --now gpuctl-guard.timer
systemctl start --no-block gpuctl-guard.service
"""


def user_data(max_ttl: timedelta) -> str:
    """The user data of a machine that may live `max_ttl` when its deadline cannot be read.

    The same span gives the same text byte for byte, because EC2 compares it on a repeated create. ValueError unless
    the span is whole seconds, above zero and at most 7 days.
    """
    seconds = max_ttl // timedelta(seconds=1)
    if max_ttl != timedelta(seconds=seconds) or not timedelta(0) < max_ttl <= LONGEST:
        raise ValueError(f"a guard cannot hold {max_ttl}")
    text = _INSTALL.replace("@GUARD@", guard_script(max_ttl))
    if len(text.encode()) > MOST_BYTES:
        raise ValueError("the user data is longer than EC2 takes")
    return text


def guard_script(max_ttl: timedelta) -> str:
    """The script that the timer runs."""
    script = files(__package__).joinpath("guard.sh").read_text("utf-8")
    return script.replace("@MAX_TTL_S@", str(max_ttl // timedelta(seconds=1)))
