#!/bin/sh
# The main job in the sandbox, with the real commands: run one command, then provision, list, cost, terminate, statistics.
set -eu

# A state folder of its own, so that the demo neither sees nor leaves anything.
XDG_STATE_HOME=$(mktemp -d)
export XDG_STATE_HOME GPUCTL_SANDBOX=1
unset GPUCTL_STATE GPUCTL_CONFIG GPUCTL_OUTPUT CI 2>/dev/null || true
trap 'gpuctl sandbox stop --quiet >/dev/null 2>&1 || true; rm -rf "$XDG_STATE_HOME"' EXIT

show() {
    printf '\n\033[1m$ gpuctl'
    for word in "$@"; do
        case $word in
            *[!a-zA-Z0-9_./:=,-]*) printf " '%s'" "$word" ;;
            *) printf ' %s' "$word" ;;
        esac
    done
    printf '\033[0m\n'
    gpuctl --output table "$@"
}

printf 'A sandbox: the real provider against a cloud on your computer (GPUCTL_SANDBOX=1). Nothing here costs money.\n'

show types --gpu T4 --provider aws --region us-east-1
show run g4dn.xlarge --region us-east-1 --ttl 30 -- nvidia-smi
show provision g4dn.xlarge --region us-east-1 --disk-size 50 --ttl 30 --name demo --task readme
show list
show get demo --field costPerHour --field totalCost --field expiresAt
show ssh demo -- nvidia-smi --query-gpu=name,memory.total --format=csv
show extend demo --by 10m
show reap --sweep --dry-run
show terminate demo --yes
show stats
printf '\nEverything above ran against a cloud on loopback; on a real account leave GPUCTL_SANDBOX out.\n'
