# gpuctl_follow TOKEN OUT ERR: tells what a job has said since these many bytes, and how it ended, until it has ended.
#
# On stdout in frames, each a line: `O n` and `E n` with n bytes of the job's stdout and stderr after it, `T` when there
# is nothing new, and at last `C code`, or `L` if the job is gone without having left a code.
gpuctl_follow() {
    local dir=$HOME/.gpuctl/$1 out=$2 err=$3 quiet=0 moved code pid
    [[ -e $dir/pid ]] || { echo L; return; }
    read -r pid <"$dir/pid"
    while :; do
        # The code is looked for before the output: what was written before it is in the files by then.
        code='' moved=''
        if [[ -e $dir/code ]]; then
            read -r code <"$dir/code"
        elif ! kill -0 "$pid" 2>/dev/null && [[ ! -e $dir/code ]]; then
            code=gone
        fi
        gpuctl_tell O "$dir/out" "$out" && out=$((out + told)) && moved=yes
        gpuctl_tell E "$dir/err" "$err" && err=$((err + told)) && moved=yes
        if [[ $moved ]]; then
            quiet=0
        elif [[ $code == gone ]]; then
            echo L
            return
        elif [[ $code ]]; then
            echo "C $code"
            return
        else
            # Now and then a word, so that a connection that is gone is noticed here too.
            ((quiet++ % 25)) || echo T
            sleep 0.2
        fi
    done
}

# One frame of that file from that byte on, with its length in `told`; false if there is nothing more.
gpuctl_tell() {
    told=$(($(stat -c %s "$2" 2>/dev/null || echo 0) - $3))
    ((told > 0)) || return
    ((told <= 262144)) || told=262144
    printf '%s %s\n' "$1" "$told"
    tail -c "+$(($3 + 1))" "$2" | head -c "$told"
}
