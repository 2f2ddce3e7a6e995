"""What gpuctl knows of AWS before it calls it."""

import re

from gpuctl.domain.instance import Market, ProviderName
from gpuctl.providers.facts import (
    Capabilities,
    CloudFacts,
    CloudSetting,
    CloudVariables,
    image_setting,
    place_settings,
)

# AWS_REGION is read by every AWS SDK but the one for Python.
REGION_VARIABLES = ("AWS_REGION", "AWS_DEFAULT_REGION")

_FAMILY = re.compile(r"([a-z]+)(\d*)")
# https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html: G and VT share a quota, all P share one
# on demand; as spot P2, P3 and P4 share one, and P5 has its own.
_SHARED = {"gr": "g", "vt": "g"}
_SHARED_SPOT = {"p2": "p4", "p3": "p4"}


def quota_families(name: str) -> tuple[str, str]:
    """The quotas of an instance type, on demand and as spot: `g` and `g` for gr6.4xlarge, `p` and `p5` for a P5."""
    match = _FAMILY.match(name)
    if match is None:
        return name, name
    letters, generation = match[1], f"{match[1]}{match[2]}"
    shared = _SHARED.get(letters, letters)
    return shared, _SHARED_SPOT.get(generation, generation) if letters == "p" else shared


FACTS = CloudFacts(
    name=ProviderName.AWS,
    title="AWS",
    account_noun="account",
    login="profile",
    log_in="aws configure",
    tool="aws",
    settings=(
        *place_settings(*REGION_VARIABLES),
        CloudSetting("profile", "AWS profile", ("AWS_PROFILE",)),
        image_setting(),
        CloudSetting("subnet", "subnet ID; default: chosen by gpuctl"),
    ),
    variables=CloudVariables(
        in_use=("AWS_PROFILE", "AWS_DEFAULT_PROFILE", "AWS_ROLE_ARN", "AWS_ACCESS_KEY_ID"),
        carried=(
            "AWS_PROFILE",
            "AWS_DEFAULT_PROFILE",
            *REGION_VARIABLES,
            "AWS_ROLE_ARN",
            "AWS_ROLE_SESSION_NAME",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
            "AWS_EC2_METADATA_DISABLED",
            "AWS_ENDPOINT_URL",
            "AWS_USE_DUALSTACK_ENDPOINT",
            "AWS_USE_FIPS_ENDPOINT",
        ),
        paths=(
            "AWS_CONFIG_FILE",
            "AWS_SHARED_CREDENTIALS_FILE",
            "AWS_CA_BUNDLE",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
        ),
        secrets=(
            # With an access key ID a leaked signature is worth more.
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
            "AWS_SECURITY_TOKEN",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN",
        ),
        others={"AWS_PROFILE, AWS_REGION, ...": "select the AWS credentials"},
    ),
    capabilities=Capabilities(timer_in_create=True, timer_reads_tag=True),
    example_type="g4dn.xlarge",
    example_region="us-east-1",
    price_sources={Market.ON_DEMAND: "AWS Price List API", Market.SPOT: "EC2 spot price history"},
    quota_families=quota_families,
    queue_form="sqs:URL",
)
