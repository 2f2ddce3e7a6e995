
# The parts of the guard that know EC2: where its metadata service is, and how a tag is read from it.
metadata=${GPUCTL_GUARD_METADATA:-http://169.254.169.254}
metadata6=${GPUCTL_GUARD_METADATA6:-http://[fd00:ec2::254]} # the only one in a subnet without IPv4

# Leaves a well-formed tag in `deadline`, or the reason in `why`. The value is only matched and sliced, never printed
# or evaluated before it has matched.
read_deadline() {
    deadline='' why='metadata service does not answer' cloud_now=''
    request PUT /latest/api/token 'X-aws-ec2-metadata-token-ttl-seconds: 60'
    if [[ -z $status ]]; then
        metadata=$metadata6
        request PUT /latest/api/token 'X-aws-ec2-metadata-token-ttl-seconds: 60'
    fi
    [[ $status == 200 && $body =~ ^[A-Za-z0-9_=+/.~-]+$ ]] || return
    request GET "/latest/meta-data/tags/instance/$tag" "X-aws-ec2-metadata-token: $body"
    if [[ $status == 404 ]]; then
        why='tag missing'
    elif [[ $status == 200 ]]; then
        why='tag malformed'
        if epoch_of "$body" >/dev/null; then deadline=$body; fi
    fi
}

# An image taken of a guarded machine holds the guard, armed; a machine made from it may be none of gpuctl's.
# Where it is, its own user data arms it anew. Anything but two different ids is no proof.
made_from_our_image() {
    local armed this id='^i-[0-9a-f]{8,17}$'
    armed=$(recall "$state/instance-id")
    this=$(recall "$cloud_id")
    [[ $armed =~ $id && $this =~ $id && $armed != "$this" ]]
}
