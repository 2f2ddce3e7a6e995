# gpuctl_start TOKEN COMMAND...: runs a command on this machine, once, apart from the connection that asked for it.
#
# Read by `bash -s` from the connection; what goes before this (the command's own variables) and the call come in one
# group of commands, so that a connection that breaks in the middle of it runs nothing at all.
gpuctl_start() {
    local dir=$HOME/.gpuctl/$1 tries
    shift
    trap '' HUP
    umask 077
    cd && mkdir -p "$dir" || return 73
    export PYTHONUNBUFFERED=${PYTHONUNBUFFERED-1}
    if [[ ! -e $dir/claimed ]]; then
        # Whoever makes the folder first is the job; asked again after a lost answer, the second one leaves.
        # shellcheck disable=SC2016  # expanded by the shell that is the job
        setsid bash -lc '
            dir=$1
            shift
            mkdir "$dir/claimed" 2>/dev/null || exit 0
            : >"$dir/err"
            : >"$dir/out"
            printf "%s\n" "$$" >"$dir/pid.new" && mv "$dir/pid.new" "$dir/pid"
            trap - HUP
            "$@" >"$dir/out" 2>"$dir/err"
            code=$?
            printf "%s\n" "$code" >"$dir/code.new" && mv "$dir/code.new" "$dir/code"
        ' gpuctl "$dir" "$@" </dev/null >/dev/null 2>&1 &
    fi
    for ((tries = 0; tries < 150; tries++)); do
        [[ -e $dir/pid ]] && return 0
        sleep 0.1
    done
    return 71
}
