"""The guard's installation: user data that puts the timer outside the laptop onto the machine at its first boot."""

from datetime import timedelta
from importlib.resources import files

GRACE = timedelta(minutes=2)
CONSOLE_PREFIX = "gpuctl-guard:"
IDLE_WORDS = "powering off: idle for "
LONGEST = timedelta(days=7)
MOST_BYTES = 16_384

_INSTALL = """\
#!/bin/bash
# Written by gpuctl. User data runs at the first boot only, so it installs a timer that every boot starts.
umask 022
root=${GPUCTL_GUARD_ROOT:-}
guard=$root/usr/local/sbin/gpuctl-guard
state=$root/var/lib/gpuctl
mkdir -p "${guard%/*}" "$state" "$root/etc/systemd/system"
cat >"$guard" <<'GPUCTL_GUARD_END'
@GUARD@GPUCTL_GUARD_END
chmod 0755 "$guard"
cat >"$root/etc/systemd/system/gpuctl-guard.service" <<'GPUCTL_GUARD_END'
[Unit]
Description=gpuctl guard: power off 2 min past the deadline in the tag gpuctl-expires-at
StartLimitIntervalSec=0

[Service]
Type=oneshot
# Without /usr/local: what a user installs there must not come before the system's own date or shutdown.
Environment=PATH=/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/usr/local/sbin/gpuctl-guard @MAX_TTL_S@
TimeoutStartSec=90
# A machine that has run out of memory must still end.
OOMScoreAdjust=-1000
GPUCTL_GUARD_END
cat >"$root/etc/systemd/system/gpuctl-guard.timer" <<'GPUCTL_GUARD_END'
[Unit]
Description=gpuctl guard, every 30 seconds

[Timer]
OnBootSec=1min
OnUnitActiveSec=30s
AccuracySec=5s

[Install]
WantedBy=timers.target
GPUCTL_GUARD_END
# An image may have brought the notes of the machine it was taken of.
instance=$(cat "$root/var/lib/cloud/data/instance-id" 2>/dev/null)
if [[ $(cat "$state/instance-id" 2>/dev/null) != "$instance" ]]; then
    rm -f "$state/first-boot" "$state/deadline"
    printf '%s\\n' "$instance" >"$state/instance-id"
fi
sync
systemctl daemon-reload
if systemctl enable --now gpuctl-guard.timer; then
    # Through systemd, so that it never runs beside a run of the timer.
    timeout 120 systemctl start gpuctl-guard.service || "$guard" @MAX_TTL_S@
else
    # shellcheck disable=SC2016  # expanded by the shell that loops
    nohup bash -c 'while :; do "$0" "$1"; sleep 30; done' "$guard" @MAX_TTL_S@ >/dev/null 2>&1 &
fi
"""

# After all of the above, and with units of its own: should anything of it fail or hang, the deadline holds.
_IDLE = """cat >"$root/etc/systemd/system/gpuctl-idle.service" <<'GPUCTL_GUARD_END'
[Unit]
Description=gpuctl: power off when idle for @IDLE_S@ s
StartLimitIntervalSec=0

[Service]
Type=oneshot
Environment=PATH=/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/usr/local/sbin/gpuctl-guard @MAX_TTL_S@ idle @IDLE_S@
TimeoutStartSec=90
GPUCTL_GUARD_END
cat >"$root/etc/systemd/system/gpuctl-idle.timer" <<'GPUCTL_GUARD_END'
[Timer]
OnBootSec=2min
OnUnitActiveSec=30s
AccuracySec=5s

[Install]
WantedBy=timers.target
GPUCTL_GUARD_END
systemctl daemon-reload
systemctl enable --now gpuctl-idle.timer
exit 0
"""


def user_data(max_ttl: timedelta, idle: timedelta | None = None) -> str:
    """The user data of a machine that may live `max_ttl` while its deadline cannot be read.

    With `idle` it also ends when nothing has used it for that long. The same spans give the same text byte for byte,
    because EC2 compares it on a repeated create. It is one shell script, which cloud-init also takes as one part of
    several. ValueError unless each span is whole seconds, above zero (`idle`: 10 s at least) and at most 7 days.
    """
    text = _INSTALL if idle is None else _INSTALL + _IDLE.replace("@IDLE_S@", _seconds(idle, timedelta(seconds=10)))
    text = text.replace("@MAX_TTL_S@", _seconds(max_ttl)).replace(
        "@GUARD@", guard_script(watches_idle=idle is not None)
    )
    if len(text.encode()) > MOST_BYTES:
        raise ValueError("the user data is longer than EC2 takes")
    return text


def guard_script(*, watches_idle: bool = False) -> str:
    """The script that the timer runs; its first argument is the span in seconds.

    One that watches idle, too, does that alone when `idle SECONDS` follows.
    """
    script = files(__package__).joinpath("guard.sh").read_text("utf-8")
    if not watches_idle:
        return script
    return script.removesuffix("main\n") + files(__package__).joinpath("idle.sh").read_text("utf-8")


def _seconds(span: timedelta, shortest: timedelta = timedelta(seconds=1)) -> str:
    seconds = span // timedelta(seconds=1)
    if span != timedelta(seconds=seconds) or not shortest <= span <= LONGEST:
        raise ValueError(f"a guard cannot hold {span}")
    return str(seconds)
