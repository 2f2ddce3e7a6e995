
# gpuctl-guard MAX_TTL_SECONDS idle SECONDS: ends this machine when nothing has used it for that long.
#
# Run by a timer of its own, so that a GPU that hangs whoever asks it never holds up the deadline. In use is: a GPU above
# 5 %, somebody logged in, an ssh connection, a command of `gpuctl run`, a load of 0.5 or more. What cannot be read
# counts as use, and so does a time in which nobody looked.
fresh=600 # seconds after a boot in which a machine is never idle
gap=120   # seconds without a look after which nothing is known
proc=${GPUCTL_GUARD_PROC:-/proc}
homes=${GPUCTL_GUARD_HOMES:-/home /root}

watch_idle() {
    local idle=${1:-} used looked use=''
    [[ $idle =~ ^[1-9][0-9]{1,5}$ ]] || return
    mkdir -p "$run" 2>/dev/null
    made_from_our_image && return
    cloud_now=''
    read_clock
    # In one file, because a count whose other half could not be written would be wrong.
    read -r used looked < <(recall "$run/idle")
    find_use
    if [[ ! $used =~ ^[1-9][0-9]{0,9}$ || ! $looked =~ ^[1-9][0-9]{0,9}$ ]] ||
        ((uptime < looked || uptime - looked > gap)); then
        use=${use:-'not known before this look'}
    fi
    [[ -n $use ]] && used=$uptime
    keep "$run/idle" "$used $uptime"
    if [[ -n $use ]]; then
        say "in use: $use" idle
        return
    fi
    say "nothing uses it, ends after ${idle}s of that" idle
    if ((uptime >= fresh && uptime - used >= idle)); then
        power_off "idle for ${idle}s: no GPU at work, nobody logged in, load below 0.5"
    fi
}

# Leaves in `use` what uses the machine, empty for nothing.
find_use() {
    local told each load='^([0-9]{1,6})\.([0-9]{2})$' ssh=':0016 [0-9A-F]+:[0-9A-F]{4} 01 '
    told=$(recall "$proc/loadavg")
    told=${told%% *}
    [[ $told =~ $load ]] || use='the load cannot be read'
    ((10#${BASH_REMATCH[1]:-9}${BASH_REMATCH[2]:-99} >= 50)) && use=${use:-'load'}
    told=$(timeout 5 who 2>/dev/null) || use='who is logged in cannot be read'
    [[ -n $told ]] && use='somebody is logged in'
    told=$(cat "$proc/net/tcp" 2>/dev/null) || use='connections cannot be read'
    told+=$(cat "$proc/net/tcp6" 2>/dev/null)
    [[ $told =~ $ssh ]] && use='an ssh connection'
    # shellcheck disable=SC2086  # several folders
    for each in $(timeout 5 find $homes -maxdepth 4 -path '*/.gpuctl/*/pid' 2>/dev/null); do
        [[ ! -e ${each%/pid}/code && -e $proc/$(recall "$each") ]] && use='a command of gpuctl run'
    done
    told=$(timeout -k 1 15 nvidia-smi --query-gpu=utilization.gpu --format=csv,noheader,nounits 2>/dev/null) || told=''
    [[ -n $told ]] || use='the GPUs cannot be read'
    for each in $told; do
        if [[ ! $each =~ ^[0-9]{1,3}$ ]]; then use='the GPUs cannot be read'; fi
        if [[ $each =~ ^[0-9]{1,3}$ ]] && ((10#$each > 5)); then use='a GPU works'; fi
    done
}
