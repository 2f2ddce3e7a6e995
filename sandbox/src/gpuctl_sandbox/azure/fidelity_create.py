"""The rules of the emulated Azure about creating instances, for docs/fidelity.md."""

from gpuctl_sandbox.fidelity import Rule, Status


def _rule(name: str, statement: str, source: str, status: Status) -> Rule:
    return Rule("Azure", name, statement, source, status)


_IMAGES = (
    _rule(
        "which image has a driver for which GPU",
        "ubuntu-hpc 2204 and 2404 show GPUs from Turing on, 2204-v100 older ones, 2204-rocm the MI300X and 2404-gb the "
        "GB200 and GB300; none of them shows the GPU of NVadsA10_v5, V620, V710 or RTX PRO 6000 sizes.",
        "README of Azure/azhpc-images; issues 398, 406, 603 there; n-series-driver-setup of azure-compute-docs",
        "reported",
    ),
    _rule(
        "P100 and P40 work with the V100 image",
        "The proprietary kernel modules of 2204-v100 are taken to serve every GPU before Turing.",
        "NVIDIA's open kernel modules begin with Turing; no report of that image on these sizes",
        "assumed",
    ),
    _rule(
        "Secure Boot by default",
        "With TrustedLaunchByDefaultPreview registered, api-version 2025-11-01 or later, and a size and an image that "
        "support it, an instance without a securityType gets Trusted Launch with Secure Boot and vTPM.",
        "azure-compute-docs, trusted-launch: Trusted Launch as default",
        "documented",
    ),
    _rule(
        "a driver that is not signed does not load under Secure Boot",
        "The drivers of the ubuntu-hpc images are built with DKMS and not signed: under Secure Boot no GPU is seen.",
        "azure-compute-docs, trusted-launch (CUDA and GRID drivers on Linux) and the ROCm page; that it holds for "
        "these images is inferred",
        "assumed",
    ),
    _rule(
        "the security type Standard needs a feature",
        "securityType Standard is rejected with BadRequest until Microsoft.Compute/UseStandardSecurityType is "
        "registered; newer documentation says that an api-version from 2025-11-01 on does without.",
        "the message as quoted by users; trusted-launch of azure-compute-docs for newer versions",
        "reported",
    ),
    _rule(
        "Trusted Launch where Secure Boot is off",
        "securityType TrustedLaunch is accepted with secureBootEnabled and vTpmEnabled false where size (no capability "
        "TrustedLaunchDisabled) and image (feature SecurityType) support it.",
        "trusted-launch-faq of azure-compute-docs; users who name it as the way around the feature",
        "reported",
    ),
    _rule(
        "confidential sizes",
        "A size with the capability ConfidentialComputingType is rejected with BadRequest unless the request names "
        "ConfidentialVM; the emulated cloud makes no confidential instances at all.",
        "the message as quoted by users (not supported for creation of VMs with '<NULL>' security type)",
        "reported",
    ),
    _rule(
        "processor architecture of the image",
        "An image of another architecture than the size is rejected with BadRequest.",
        "the message as quoted by users; capability CpuArchitectureType of the SKU list",
        "reported",
    ),
    _rule(
        "disk controllers",
        "A size that takes NVMe disks only rejects an image without NVMe among its DiskControllerTypes.",
        "the message as quoted by users of v6 and v7 sizes",
        "reported",
    ),
    _rule(
        "RTX PRO 6000 sizes take NVMe disks only",
        "The sizes NC...RTXPRO6000BSE_v6 have NVMe alone among their DiskControllerTypes.",
        "v6 sizes of other families do; the page of these sizes does not say",
        "assumed",
    ),
    _rule(
        "images with a plan",
        "An instance from an image with a plan is rejected with VMMarketplaceInvalidInput without that plan, and with "
        "MarketplacePurchaseEligibilityFailed before its legal terms are accepted.",
        "Azure REST API, Virtual Machines (plan); messages as quoted by users",
        "reported",
    ),
    _rule(
        "SSH key types",
        "RSA keys of 2048 bits or more and Ed25519 keys are accepted; every other key is rejected with "
        "InvalidParameter for linuxConfiguration.ssh.publicKeys.keyData.",
        "enum SshEncryptionTypes of azure-mgmt-compute; azure-docs, SSH keys for Linux VMs",
        "documented",
    ),
    _rule(
        "sizes without spot",
        "Promo sizes (LowPriorityCapable False) reject priority Spot with AzureSpotIsNotSupportedForThisVMSize.",
        "azure-compute-docs, use-spot and error-codes-spot",
        "documented",
    ),
)
_CONNECTIONS = (
    _rule(
        "a token of another tenant",
        "A token of another tenant than the subscription's is rejected with 401 InvalidAuthenticationTokenTenant that "
        "names the tenant's authority in its message and in WWW-Authenticate.",
        "the message as quoted by users (The access token is from the wrong issuer); the header is assumed",
        "reported",
    ),
    _rule(
        "a connection that breaks after the request",
        "A TLS connection may break after the whole request was received and performed; nothing follows from it.",
        "azure-core maps that failure to ServiceRequestError, as it does those before the request",
        "documented",
    ),
)
_ANSWERS = (
    _rule(
        "a region that is closed to a subscription",
        "Any PUT in such a region is rejected with 403 RequestDisallowedByAzure; nothing says so beforehand.",
        "the message as quoted by many users of new, free and student subscriptions (westeurope, eastus2)",
        "reported",
    ),
    _rule(
        "a resource is not found for a moment after its creation",
        "For `reference_lag_s` seconds a new group or resource is answered 404 by its id and "
        "InvalidResourceReference where another request refers to it.",
        "two logs of Terraform runs (a network was created, and the next call did not find it)",
        "reported",
    ),
    _rule(
        "conflict with an operation under way",
        "AnotherOperationInProgress and RetryableError may answer a PUT of a network resource; the same PUT succeeds "
        "later.",
        "Azure documentation, troubleshooting of common deployment errors; the page was not read",
        "assumed",
    ),
    _rule(
        "two quotas for instances on demand, another one for spot",
        "An instance on demand counts in its family and in the region's total vCPUs, a spot instance in "
        "lowPriorityCores alone.",
        "Azure documentation, vCPU quotas and spot quotas",
        "documented",
    ),
    _rule(
        "prices with dates",
        "An item of the retail prices counts from its effectiveStartDate to its effectiveEndDate; announced ones are "
        "listed beside the present ones.",
        "an item quoted in azure-rest-api-specs issue 24491, which starts ten days after it was read",
        "reported",
    ),
)
RULES: tuple[Rule, ...] = (*_IMAGES, *_CONNECTIONS, *_ANSWERS)
