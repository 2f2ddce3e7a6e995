
# The parts of the guard that know Compute Engine: the deadline is an entry of the instance's own metadata.
metadata=${GPUCTL_GUARD_METADATA:-http://169.254.169.254}

# Leaves a well-formed deadline in `deadline`, or the reason in `why`. The value is only matched and sliced, never printed
# or evaluated before it has matched.
read_deadline() {
    deadline='' why='metadata service does not answer' cloud_now=''
    request GET "/computeMetadata/v1/instance/attributes/$tag" 'Metadata-Flavor: Google'
    if [[ $status == 404 ]]; then
        why='tag missing'
    elif [[ $status == 200 ]]; then
        why='tag malformed'
        if epoch_of "$body" >/dev/null; then deadline=$body; fi
    fi
}

# An image taken of a guarded instance holds the guard, armed; an instance made from it may be none of gpuctl's. Where it
# is, its own startup script arms it anew. Anything but two different ids is no proof.
made_from_our_image() {
    local armed id='^[1-9][0-9]{4,20}$'
    armed=$(recall "$state/instance-id")
    request GET /computeMetadata/v1/instance/id 'Metadata-Flavor: Google'
    [[ $armed =~ $id && $status == 200 && $body =~ $id && $armed != "$body" ]]
}
