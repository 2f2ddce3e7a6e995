"""What gpuctl knows of Azure before it calls it."""

import re

from gpuctl.domain.instance import Market, ProviderName
from gpuctl.domain.sshkeys import KeyRule
from gpuctl.providers.facts import (
    Capabilities,
    CloudFacts,
    CloudSetting,
    CloudVariables,
    image_setting,
    place_settings,
)

ENDPOINT_VARIABLE = "GPUCTL_AZURE_ENDPOINT"
REGION_VARIABLE = "AZURE_DEFAULTS_LOCATION"
SUBSCRIPTION_VARIABLE = "AZURE_SUBSCRIPTION_ID"
_PRICES = "Azure Retail Prices API"
_SIZE = re.compile(r"(?<=[A-Z])\d+")


def quota_families(name: str) -> tuple[str, str]:
    """The quota of an instance type: `Standard_NCas_T4_v3` for Standard_NC4as_T4_v3, on demand and as spot."""
    family = _SIZE.sub("", name, count=1)
    return family, family


FACTS = CloudFacts(
    name=ProviderName.AZURE,
    title="Azure",
    account_noun="subscription",
    account_digits=4,
    login="subscription",
    log_in="az login",
    tool="az",
    settings=(
        *place_settings(REGION_VARIABLE),
        CloudSetting("subscription", "Azure subscription", (SUBSCRIPTION_VARIABLE,)),
        image_setting(),
    ),
    variables=CloudVariables(
        in_use=(SUBSCRIPTION_VARIABLE, "AZURE_TENANT_ID", "AZURE_CLIENT_ID"),
        carried=(
            "AZURE_AUTHORITY_HOST",
            REGION_VARIABLE,
            SUBSCRIPTION_VARIABLE,
            "AZURE_TENANT_ID",
            "AZURE_CLIENT_ID",
            "AZURE_TOKEN_CREDENTIALS",
            ENDPOINT_VARIABLE,
            "IDENTITY_ENDPOINT",
            "IDENTITY_SERVER_THUMBPRINT",
            "MSI_ENDPOINT",
        ),
        paths=("AZURE_CONFIG_DIR", "AZURE_CLIENT_CERTIFICATE_PATH", "AZURE_FEDERATED_TOKEN_FILE"),
        secrets=(
            "AZURE_CLIENT_SECRET",
            "AZURE_CLIENT_CERTIFICATE_PASSWORD",
            "AZURE_PASSWORD",
            "IDENTITY_HEADER",
            "MSI_SECRET",
        ),
        refused=("AZURE_USERNAME",),
        ours={ENDPOINT_VARIABLE: "another endpoint for Azure; plain http only on loopback, without credentials"},
        others={f"{SUBSCRIPTION_VARIABLE}, AZURE_CLIENT_ID, ...": "select the Azure credentials"},
    ),
    # https://learn.microsoft.com/azure/virtual-machines/ssh-keys-azure-cli: RSA of 2048 bits or more, and Ed25519; no
    # key is taken for root.
    capabilities=Capabilities(
        timer_in_create=False,
        idle_ends=False,
        needs_ssh_key=True,
        ssh_keys=KeyRule(frozenset({"ssh-rsa", "ssh-ed25519"}), least_rsa_bits=2048),
    ),
    example_type="Standard_NC4as_T4_v3",
    example_region="eastus",
    price_sources={Market.ON_DEMAND: _PRICES, Market.SPOT: _PRICES},
    quota_families=quota_families,
    force="resources that others added to the resource group",
    queue_form="azure:ACCOUNT/QUEUE",
)
