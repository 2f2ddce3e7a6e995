#!/bin/bash
# gpuctl-guard MAX_TTL_SECONDS: ends this machine 2 min past the deadline in its own tag `gpuctl-expires-at`.
#
# Run as root by gpuctl-guard.timer, every 30 s; each run decides afresh. It holds no credentials and needs nobody's
# laptop: the tag is read through the metadata service, so whoever moves the tag moves the end. While no deadline can be
# read, the end is MAX_TTL after the first boot or after the last deadline that was read, whichever is later: a span and
# not an instant, because an instant would have come from the clock of the laptop.
#
# bash, not sh: /bin/sh is dash on Debian and Ubuntu and bash on Amazon Linux, while bash is the same program on all.
# No `set -e`: a step that fails must never keep the last one from running. No here-documents: they need a free disk.
set -uf
export LC_ALL=C TZ=UTC0

tag=gpuctl-expires-at
grace=120         # the reaper ends a machine at its deadline; this is the second line and lets it go first
settle=300        # seconds after a boot in which network, tags and clock may still be on their way
horizon=691200    # 8 days; gpuctl writes no deadline more than 7 days ahead
oldest=1767225600 # 2026-01-01; a clock that shows less was never set
max_ttl=${1:-}
# A bad argument must still end the machine: 7 days is the longest life there is.
[[ $max_ttl =~ ^[1-9][0-9]{0,5}$ ]] || max_ttl=604800

state=${GPUCTL_GUARD_STATE:-/var/lib/gpuctl} # outlives a reboot
run=${GPUCTL_GUARD_RUN:-/run/gpuctl}         # in memory: gone with this boot, writable on a full disk
console=${GPUCTL_GUARD_CONSOLE:-/dev/console}
uptime_file=${GPUCTL_GUARD_UPTIME:-/proc/uptime}
cloud_id=${GPUCTL_GUARD_CLOUD_ID:-/var/lib/cloud/data/instance-id}
wait_s=${GPUCTL_GUARD_WAIT_S:-5}
power_s=${GPUCTL_GUARD_POWER_S:-15}
uptime=0 now=''

main() {
    mkdir -p "$state" "$run" 2>/dev/null
    if made_from_our_image; then
        say 'standing down: this machine was made from an image of a guarded one'
        return
    fi
    read_deadline
    read_clock
    if [[ -n $deadline && -z $now ]]; then
        deadline='' why='clock not set'
    elif [[ -n $deadline && $deadline > $(tag_of $((now + horizon))) ]]; then
        deadline='' why='tag too far ahead'
    fi
    if [[ -n $deadline ]]; then
        obey_deadline
    elif [[ -n $now ]]; then
        obey_span
    else
        # Not even the time is known, but the kernel counts the seconds since this boot.
        say "$why, ends ${max_ttl}s after this boot unless a deadline can be read"
        if ((uptime >= settle && uptime >= max_ttl)); then power_off "$why, up for ${max_ttl}s"; fi
    fi
}

obey_deadline() {
    # Compared as strings of one fixed form; nothing below may come before this, least of all a write to the disk.
    local limit
    limit=$(tag_of $((now - grace)))
    if [[ $limit =~ $form && ! $deadline > $limit ]]; then
        power_off "deadline $deadline passed"
        return
    fi
    say "armed, ends at $deadline (tag)"
    find_first_boot
    keep "$run/deadline" "$deadline"
    keep "$state/deadline" "$deadline"
}

obey_span() {
    find_first_boot
    local last last_epoch from=$first_boot since='first boot'
    last=$(recall "$run/deadline")
    [[ $last =~ $form ]] || last=$(recall "$state/deadline")
    if last_epoch=$(epoch_of "$last") && ((last_epoch > from)); then
        from=$last_epoch since="the deadline read last"
    fi
    say "$why, ends at $(tag_of $((from + max_ttl))), ${max_ttl}s after $since"
    # Just after a boot the tag may only be late, and the machine may have been stopped for longer than max_ttl.
    if ((uptime >= settle && now >= from + max_ttl)); then power_off "$why, ${max_ttl}s after $since"; fi
}

power_off() {
    # -P, never halt: EC2 terminates only what powers off. A second ask in one boot means that the first had no effect
    # whatever it answered (systemd stops the timer as soon as it begins to shut down), so then every way is tried.
    local again=''
    [[ -e $run/asked ]] && again=yes
    # With the time, because EC2 reports none for an instance that powered itself off.
    say "powering off${now:+ at $(tag_of "$now")}: $1"
    keep "$run/asked" yes
    timeout "$power_s" shutdown -P now && [[ -z $again ]] && return
    timeout "$power_s" systemctl poweroff -i && [[ -z $again ]] && return
    timeout "$power_s" poweroff -f
}

# Leaves seconds since boot in `uptime` and the time in `now`, empty if nobody knows it yet. The cloud's own time, which
# comes with every metadata reply, goes before the machine's clock, which may be wrong until NTP has set it. Once seen,
# it is carried on by the uptime, so that one unanswered request does not bring a wrong clock back.
read_clock() {
    local booted
    uptime=$(recall "$uptime_file")
    uptime=${uptime%%.*}
    [[ $uptime =~ ^(0|[1-9][0-9]{0,9})$ ]] || uptime=0
    booted=$(recall "$run/booted")
    now=''
    if [[ -n $cloud_now ]]; then
        now=$cloud_now
        keep "$run/booted" $((now - uptime))
    elif is_time "$booted"; then
        now=$((booted + uptime))
    elif ((uptime >= settle)); then
        now=$(date -u +%s)
        is_time "$now" || now=''
    fi
}

# Leaves the time of the first boot in `first_boot`. It is written once, with two exceptions: within the first boot it
# follows the clock if that is set anew, and a note that is damaged or later than this boot gives way to this boot.
find_first_boot() {
    local started=$((now - uptime)) in_first_boot=''
    first_boot=$(recall "$run/first-boot")
    if is_time "$first_boot"; then in_first_boot=yes; else first_boot=$(recall "$state/first-boot"); fi
    if ! is_time "$first_boot" || ((first_boot > started + 60)) ||
        [[ $in_first_boot && $first_boot -lt $((started - 60)) ]]; then
        first_boot=$started
        keep "$run/first-boot" "$first_boot"
    fi
    keep "$state/first-boot" "$first_boot"
}

# Leaves the reply's `status` and `body`, both empty if there was none, and its Date, if it has one, in `cloud_now`.
request() {
    local reply head date='Date: ([A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT)' end=$'\r\n\r\n' told
    reply=$(send "$@" 2>/dev/null | head -c 4096 | tr '\000' '?'; printf .)
    reply=${reply%.} # the dot kept a newline at the end, which $(...) drops
    head=${reply%%"$end"*} status='' body=''
    [[ $head =~ ^HTTP/[0-9.]+\ ([0-9]{3}) ]] && status=${BASH_REMATCH[1]}
    [[ $reply == *"$end"* ]] && body=${reply#*"$end"}
    [[ $head =~ $'\n'$date ]] || return
    told=$(date -u -d "${BASH_REMATCH[1]}" +%s 2>/dev/null)
    if is_time "$told"; then cloud_now=$told; fi
}

# Headers and body on stdout. No proxy, no configuration file, no redirect: the address is this machine's own.
send() {
    if command -v curl >/dev/null; then
        curl -q -g -s -i --noproxy '*' --connect-timeout 2 --max-time "$wait_s" -X "$1" -H "$3" "$metadata$2"
    else
        timeout "$wait_s" wget --no-config -q -O - --save-headers --content-on-error --no-proxy --max-redirect=0 \
            --connect-timeout=2 --tries=1 --method="$1" --header="$3" "$metadata$2"
    fi
}

form='^20[0-9]{2}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])t([01][0-9]|2[0-3])[0-5][0-9][0-5][0-9]z(-[0-9]{6})?$'

epoch_of() {
    [[ $1 =~ $form ]] || return
    date -u -d "${1:0:4}-${1:4:2}-${1:6:2} ${1:9:2}:${1:11:2}:${1:13:2}" +%s 2>/dev/null
}

tag_of() { date -u -d "@$1" +%Y%m%dt%H%M%Sz; }

is_time() { [[ $1 =~ ^[1-9][0-9]{9}$ ]] && (($1 >= oldest)); }

# The first line of a file, empty if it cannot be read.
recall() {
    local line=''
    { [[ -f $1 ]] && IFS= read -r -n 300 line <"$1"; } 2>/dev/null
    printf %s "$line"
}

# Writes a file whole or not at all; one that cannot be written is done without.
keep() {
    [[ $(recall "$1") == "$2" ]] && return
    { printf '%s\n' "$2" >"$1.new" && mv -fT "$1.new" "$1"; } 2>/dev/null
}

# One line to the journal and the console, only when it differs from the one before or that is an hour old: EC2 shows
# no more than the last 64 KB of a console. Writing to the console may block.
say() {
    local name=gpuctl-${2:-guard} line="$((uptime / 3600)) $1"
    [[ $(recall "$run/$name") == "$line" ]] && return
    keep "$run/$name" "$line"
    printf '%s: %s\n' "$name" "$1"
    printf '%s: %s\n' "$name" "$1" | timeout "$wait_s" tee -a "$console" >/dev/null 2>&1
}
