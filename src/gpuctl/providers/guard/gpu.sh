
# gpuctl-guard MAX_TTL_SECONDS gpu: writes once to the console which GPUs and which driver the instance has, and until
# then why they cannot be read.
#
# Run by a timer of its own, so that a GPU that blocks every query never delays the deadline.
name_gpus() {
    local listed gpu_and_driver driver
    local -a gpus
    [[ $(recall "$run/gpuctl-gpu") == *', driver '* ]] && return
    mkdir -p "$run" 2>/dev/null
    made_from_our_image && return
    if ! command -v nvidia-smi >/dev/null; then
        say 'there is no nvidia-smi' gpu
    elif listed=$(timeout -k 1 20 nvidia-smi --query-gpu=name,driver_version --format=csv,noheader 2>&1); then
        IFS=$'\n' read -r -d '' -a gpus < <(printf '%s\0' "$listed")
        gpu_and_driver=${gpus[0]:-} driver=${gpu_and_driver##*, }
        if [[ $driver =~ ^[0-9][0-9.]{0,30}$ ]]; then
            say "${#gpus[@]} x $(printable "${gpu_and_driver%, *}"), driver $driver" gpu
        else
            say "nvidia-smi reports no driver: $(printable "$listed")" gpu
        fi
    else
        say "nvidia-smi fails: $(printable "$listed")" gpu
    fi
}

printable() {
    local text=${1%%$'\n'*}
    text=${text//[^ -~]/?}
    printf %s "${text:0:120}"
}
