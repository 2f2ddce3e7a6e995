"""What gpuctl knows of Google Cloud before it calls it."""

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

ENDPOINT_VARIABLE = "GPUCTL_GCP_ENDPOINT"
PRICES_VARIABLE = "GPUCTL_GCP_PRICES_ENDPOINT"
API_KEY_VARIABLE = "GPUCTL_GCP_API_KEY"
PROJECT_VARIABLES = ("GOOGLE_CLOUD_PROJECT", "GCLOUD_PROJECT")
REGION_VARIABLES = ("CLOUDSDK_COMPUTE_REGION",)
_PRICES = "Cloud Billing Catalog API"

# The GPU quota of a family; Compute Engine has no such metric for those with a name in lower case, whose quota is in
# the Cloud Quotas API only.
_FAMILIES = {
    "a2-highgpu": "NVIDIA_A100_GPUS",
    "a2-megagpu": "NVIDIA_A100_GPUS",
    "a2-ultragpu": "NVIDIA_A100_80GB_GPUS",
    "a3-highgpu": "nvidia-h100",
    "a3-edgegpu": "nvidia-h100",
    "a3-megagpu": "nvidia-h100-mega",
    "a3-ultragpu": "nvidia-h200",
    "a4-highgpu": "nvidia-b200",
    "a4x-highgpu": "nvidia-gb200",
    "a4x-maxgpu": "nvidia-gb300",
    "g2-standard": "NVIDIA_L4_GPUS",
    "g4-standard": "nvidia-rtx-pro-6000",
}
_FAMILY = re.compile(r"[a-z]\d+x?-[a-z]+")
_ATTACHED = re.compile(r"\+\d+xnvidia-tesla-(?P<model>[a-z0-9]+)")


def quota_families(name: str) -> tuple[str, str]:
    """The quotas of an instance type: `NVIDIA_L4_GPUS` and, as spot, `PREEMPTIBLE_NVIDIA_L4_GPUS` for a G2."""
    attached, family = _ATTACHED.search(name), _FAMILY.match(name)
    if attached is not None:
        metric = f"NVIDIA_{attached['model'].upper()}_GPUS"
    else:
        metric = _FAMILIES.get(family[0] if family else "", name)
    return metric, f"PREEMPTIBLE_{metric}" if metric.isupper() else metric


FACTS = CloudFacts(
    name=ProviderName.GCP,
    title="Google Cloud",
    account_noun="project",
    login="project",
    log_in="gcloud auth application-default login",
    tool="gcloud",
    settings=(
        *place_settings(*REGION_VARIABLES),
        CloudSetting("project", "Google Cloud project ID", PROJECT_VARIABLES),
        image_setting(),
        CloudSetting("subnet", "subnetwork; default: the network `default`"),
    ),
    variables=CloudVariables(
        in_use=(*PROJECT_VARIABLES, "GOOGLE_APPLICATION_CREDENTIALS"),
        carried=(
            *PROJECT_VARIABLES,
            *REGION_VARIABLES,
            "GOOGLE_APPLICATION_CREDENTIALS",
            ENDPOINT_VARIABLE,
            "GCE_METADATA_HOST",
            "NO_GCE_CHECK",
        ),
        paths=("CLOUDSDK_CONFIG",),
        secrets=(API_KEY_VARIABLE,),
        ours={
            ENDPOINT_VARIABLE: "another endpoint for Google Cloud; plain http only on loopback, without credentials",
            API_KEY_VARIABLE: "API key for `gpuctl prices refresh`; default: the Google Cloud credentials",
        },
        others={"GOOGLE_APPLICATION_CREDENTIALS, ...": "select the Google Cloud credentials"},
    ),
    capabilities=Capabilities(
        timer_in_create=True,
        timer_reads_tag=True,
        idle_ends=False,
        picks_zone=False,
    ),
    example_type="g2-standard-4",
    example_region="us-central1",
    price_sources={Market.ON_DEMAND: _PRICES, Market.SPOT: _PRICES},
    quota_families=quota_families,
)
