#!/bin/bash
# gpuctl guard: powers this machine off 2 minutes past the deadline in its own tag, whatever became of the laptop.
# The machine was created so that power-off terminates it. Runs as root, every 30 seconds, from gpuctl-guard.timer.
#
# bash, because it is on every image that has systemd and cloud-init, and its string comparison is locale-free here.
# The variables below are set from outside only by the tests.
set -u
export LC_ALL=C TZ=UTC

MAX_TTL_S="${GPUCTL_GUARD_MAX_TTL_S:-@MAX_TTL_S@}"
GRACE_S=120
METADATA="${GPUCTL_GUARD_METADATA:-http://169.254.169.254}"
STATE="${GPUCTL_GUARD_STATE:-/var/lib/gpuctl}"
CONSOLE="${GPUCTL_GUARD_CONSOLE:-/dev/console}"
UPTIME="${GPUCTL_GUARD_UPTIME:-/proc/uptime}"

say() {
    # Once per change, not once per run: the console keeps only its last 64 KB.
    [ "$(cat "$STATE/said" 2>/dev/null)" = "$1" ] && return
    printf '%s' "$1" 2>/dev/null >"$STATE/said"
    printf 'gpuctl-guard: %s\n' "$1" 2>/dev/null >>"$CONSOLE" || printf 'gpuctl-guard: %s\n' "$1"
}

power_off() {
    say "powering off: $1"
    # Never halt: a halted machine is not terminated. The timer comes again in 30 seconds if none of these works.
    shutdown -P now || systemctl poweroff || poweroff -f
    exit 0
}

is_instant() { [[ "$1" =~ ^[1-9][0-9]{9,10}$ ]]; }

# Exactly 20261123t131500z, with a month, day and time that exist; anything else counts as missing.
is_deadline() {
    [[ "$1" =~ ^[0-9]{4}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])t([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]z$ ]]
}

read_tag() {
    local token
    token=$(curl -fsS --noproxy '*' --connect-timeout 2 --max-time 5 -X PUT \
        -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$METADATA/latest/api/token" 2>/dev/null) || return 1
    curl -fsS --noproxy '*' --connect-timeout 2 --max-time 5 --max-filesize 256 \
        -H "X-aws-ec2-metadata-token: $token" "$METADATA/latest/meta-data/tags/instance/gpuctl-expires-at" 2>/dev/null
}

# When this machine first booted, in seconds since 1970: written down once, so that a reboot does not start the count anew.
first_boot() {
    local now first up
    now=$(date +%s)
    first=$(cat "$STATE/first-boot" 2>/dev/null)
    if is_instant "$first" && [ "$first" -le "$now" ]; then
        echo "$first"
    elif printf '%s' "$now" 2>/dev/null >"$STATE/first-boot"; then
        echo "$now"
    else
        # A disk that takes nothing must not make the machine young for ever.
        read -r up _ <"$UPTIME" 2>/dev/null || up=0
        echo $((now - ${up%%.*}))
    fi
}

mkdir -p "$STATE" 2>/dev/null && chmod 700 "$STATE" 2>/dev/null
first=$(first_boot)
tag=$(read_tag) || tag=

if is_deadline "$tag"; then
    printf '%s' "$tag" 2>/dev/null >"$STATE/last-good"
    # Compared as text, which is why the form is fixed: GNU date does not read it.
    latest=$(date -d "@$(($(date +%s) - GRACE_S))" +%Y%m%dt%H%M%Sz)
    [[ "$latest" < "$tag" ]] || power_off "past $tag"
    say "armed, ends 2 min past $tag"
    exit 0
fi

# No deadline can be read. The machine lives MAX_TTL_S from its first boot, or from the last good deadline if that is later.
last=$(cat "$STATE/last-good" 2>/dev/null)
if is_deadline "$last"; then
    until=$(($(date -d "${last:0:4}-${last:4:2}-${last:6:2} ${last:9:2}:${last:11:2}:${last:13:2}" +%s) + MAX_TTL_S))
    if [ "$(date +%s)" -lt "$until" ]; then
        say "no deadline can be read, ends ${MAX_TTL_S} s past $last"
        exit 0
    fi
fi
[ "$(($(date +%s) - first))" -lt "$MAX_TTL_S" ] || power_off "no deadline could be read for ${MAX_TTL_S} s"
say "no deadline can be read, ends ${MAX_TTL_S} s past first boot"
