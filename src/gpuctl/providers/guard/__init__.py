"""The guard: a script that installs the shutdown timer on the instance itself, at every boot, on every cloud.

A cloud gives its own part: how the deadline is read from its metadata service, in `metadata.sh` of its folder.
"""

import re
from datetime import timedelta
from importlib.resources import files

GRACE = timedelta(minutes=2)
CONSOLE_PREFIX = "gpuctl-guard:"
GPU_PREFIX = "gpuctl-gpu:"
LONGEST = timedelta(days=7)

# cloud-init runs this as a boothook: at every boot, in its network stage, which is before sysinit.target. So nothing
# here may wait for a unit to start. The guard's own units wait for no other, so no unit that blocks delays the guard.
_INSTALL = """\
#!/bin/bash
# Written by gpuctl. It runs at every boot, before most of the system: whatever starts a unit here must not wait for it.
umask 022
root=${GPUCTL_GUARD_ROOT:-}
guard=$root/usr/local/sbin/gpuctl-guard
state=$root/var/lib/gpuctl
units=$root/etc/systemd/system
mkdir -p "${guard%/*}" "$state" "$units"
# Replaced whole or not at all: on a full disk the guard of the boot before stays.
put() { cat >"$1.new" && chmod "$2" "$1.new" && mv -fT "$1.new" "$1"; }
ctl() { timeout 60 systemctl "$@"; }
put "$guard" 0755 <<'GPUCTL_GUARD_END'
@GUARD@GPUCTL_GUARD_END
put "$units/gpuctl-guard.service" 0644 <<'GPUCTL_GUARD_END'
[Unit]
Description=gpuctl guard: power off 2 min past the deadline in the tag gpuctl-expires-at
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target
StartLimitIntervalSec=0

[Service]
Type=oneshot
# Without /usr/local: what a user installs there must not come before the system's own date or shutdown.
Environment=PATH=/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/usr/local/sbin/gpuctl-guard @MAX_TTL_S@
TimeoutStartSec=90
# An instance that has run out of memory must still be terminated.
OOMScoreAdjust=-1000
GPUCTL_GUARD_END
put "$units/gpuctl-guard.timer" 0644 <<'GPUCTL_GUARD_END'
[Unit]
Description=gpuctl guard, every 30 seconds
DefaultDependencies=no
Conflicts=shutdown.target
Before=shutdown.target

[Timer]
OnBootSec=1min
OnUnitActiveSec=30s
AccuracySec=5s

[Install]
WantedBy=timers.target
GPUCTL_GUARD_END
# An image may hold the notes of the instance from which it was made.
instance=$(cat "$root/var/lib/cloud/data/instance-id" 2>/dev/null)
instance=${instance:-${INSTANCE_ID:-}}
if [[ $instance && $(cat "$state/instance-id" 2>/dev/null) != "$instance" ]]; then
    rm -f "$state/first-boot" "$state/deadline"
    printf '%s\\n' "$instance" >"$state/instance-id"
fi
sync
ctl daemon-reload
if ctl enable --now --no-block gpuctl-guard.timer; then
    # Through systemd, so that it never runs beside a run of the timer.
    ctl start --no-block gpuctl-guard.service || "$guard" @MAX_TTL_S@
else
    # shellcheck disable=SC2016  # expanded by the shell that loops
    nohup bash -c 'while :; do "$0" "$1"; sleep 30; done' "$guard" @MAX_TTL_S@ >/dev/null 2>&1 &
fi
"""

# After all of the above, and with units of their own: if any of it fails or blocks, the deadline still holds.
_MORE = """put "$units/gpuctl-@NAME@.service" 0644 <<'GPUCTL_GUARD_END'
[Unit]
Description=gpuctl: @DESCRIPTION@
StartLimitIntervalSec=0

[Service]
Type=oneshot
Environment=PATH=/usr/sbin:/usr/bin:/sbin:/bin
ExecStart=/usr/local/sbin/gpuctl-guard @MAX_TTL_S@ @ARGUMENTS@
TimeoutStartSec=90
GPUCTL_GUARD_END
put "$units/gpuctl-@NAME@.timer" 0644 <<'GPUCTL_GUARD_END'
[Timer]
OnBootSec=@AFTER@
OnUnitActiveSec=30s
AccuracySec=5s

[Install]
WantedBy=timers.target
GPUCTL_GUARD_END
"""
_START_MORE = """ctl daemon-reload
ctl enable --now --no-block @TIMERS@
exit 0
"""
_COMMENT = re.compile(r"^[ \t]*#(?!!| Written by).*\n", re.MULTILINE)


def installation(metadata: str, max_ttl: timedelta, idle: timedelta | None = None) -> str:
    """The script that installs the guard on an instance whose longest life without a readable deadline is `max_ttl`.

    `metadata` is the cloud's own part of the guard.

    With `idle` it also powers the instance off after that long without use. The same spans give the same text byte for
    byte, because a cloud may compare it on a repeated create. Comments are left out, as a cloud may take only 16 KB.
    ValueError unless each span is whole seconds, above zero (`idle`: 10 s at least) and at most 7 days.
    """
    units = {"gpu": _more("gpu", "write the GPUs and their driver to the console", "gpu", "20s")}
    if idle is not None:
        idle_s = _seconds(idle, timedelta(seconds=10))
        units["idle"] = _more("idle", f"power off when idle for {idle_s} s", f"idle {idle_s}", "2min")
    timers = " ".join(f"gpuctl-{name}.timer" for name in units)
    text = "".join((_INSTALL, *units.values(), _START_MORE.replace("@TIMERS@", timers)))
    text = text.replace("@MAX_TTL_S@", _seconds(max_ttl)).replace(
        "@GUARD@", script(metadata, watches_idle=idle is not None)
    )
    return _COMMENT.sub("", text)


def script(metadata: str, *, watches_idle: bool = False) -> str:
    """The script that the timers run, with its comments. Its first argument is the maximum TTL in seconds.

    With `gpu` as the second argument the script only reports the GPUs; with `idle SECONDS` (`watches_idle`) it only
    watches whether the instance is in use.
    """
    parts = ["guard.sh", "gpu.sh", *(["idle.sh"] if watches_idle else [])]
    branches = ["gpu) name_gpus ;;", *(['idle) watch_idle "${3:-}" ;;'] if watches_idle else []), "*) main ;;"]
    guard, *more = (files(__package__).joinpath(part).read_text("utf-8") for part in parts)
    scripts = "".join((guard, metadata, *more))
    return f"{scripts}\ncase ${{2:-}} in {' '.join(branches)} esac\n"


def _more(name: str, description: str, arguments: str, after: str) -> str:
    text = _MORE.replace("@NAME@", name).replace("@DESCRIPTION@", description)
    return text.replace("@ARGUMENTS@", arguments).replace("@AFTER@", after)


def _seconds(span: timedelta, shortest: timedelta = timedelta(seconds=1)) -> str:
    seconds = span // timedelta(seconds=1)
    if span != timedelta(seconds=seconds) or not shortest <= span <= LONGEST:
        raise ValueError(f"a guard takes whole seconds from {shortest} to {LONGEST}, not {span}")
    return str(seconds)
