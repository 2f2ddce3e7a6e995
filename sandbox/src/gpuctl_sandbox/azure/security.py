"""How a machine boots: its security type, Secure Boot, the plan of its image, and whether its GPU works then."""

from gpuctl_sandbox.azure.images import Image
from gpuctl_sandbox.azure.sizes import Size
from gpuctl_sandbox.azure.wire import Json, Refusal, invalid

# Registered on a subscription, machines that say nothing about security boot with Secure Boot, where that can be.
BY_DEFAULT = "TrustedLaunchByDefaultPreview"
_STANDARD = "UseStandardSecurityType"
_SINCE = "2025-11-01"


def check_plan(body: Json | None, image: Image) -> None:
    """Refuse a machine that does not name the plan of its image, or names one where there is none."""
    if image.plan and body is None:
        raise Refusal(
            400,
            "VMMarketplaceInvalidInput",
            f"Creating a virtual machine from Marketplace image or a custom image sourced from a Marketplace image "
            f"requires Plan information in the request. VM: '{image.publisher}:{image.offer}:{image.sku}'.",
        )
    if image.plan:
        raise Refusal(
            400,
            "MarketplacePurchaseEligibilityFailed",
            f"Marketplace purchase eligibility check returned errors. Legal terms have not been accepted for this item "
            f"on this subscription: '{image.publisher}:{image.offer}:{image.plan}'.",
        )


def check_security(body: Json, size: Size, image: Image, features: list[str]) -> None:
    """Refuse what the size, the image or the subscription does not allow of a security profile."""
    if body.get("encryptionAtHost"):
        target = "securityProfile.encryptionAtHost"
        if "EncryptionAtHost" not in features:
            raise invalid(
                target,
                "The property 'securityProfile.encryptionAtHost' is not valid because the "
                "'Microsoft.Compute/EncryptionAtHost' feature is not enabled for this subscription.",
            )
        if "E" not in size.can:
            raise invalid(target, f"VM size {size.name} does not support Encryption at Host.")
    kind = body.get("securityType")
    if "C" in size.can:
        raise Refusal(
            400,
            "BadRequest",
            f"The VM size '{size.name}' is not supported for creation of VMs and Virtual Machine Scale Set with "
            f"'{kind or '<NULL>'}' security type.",
        )
    if kind == "Standard" and _STANDARD not in features:
        raise Refusal(
            400,
            "BadRequest",
            f"The value 'Standard' is not available for property 'securityType' until the feature "
            f"'Microsoft.Compute/{_STANDARD}' is registered.",
        )
    if kind == "ConfidentialVM" or (kind == "TrustedLaunch" and not _can_be_trusted(size, image)):
        raise invalid(
            "securityProfile.securityType", f"The VM size or image does not support the security type '{kind}'."
        )
    if "uefiSettings" in body and kind in (None, "Standard"):
        raise invalid("securityProfile.uefiSettings", "UefiSettings needs the security type 'TrustedLaunch'.")


def security_of(body: Json, size: Size, image: Image, features: list[str], api_version: str) -> Json:
    """The security profile that the machine gets: what the call says, else what the subscription's default is."""
    is_default = "securityType" not in body and BY_DEFAULT in features and api_version >= _SINCE
    if is_default and _can_be_trusted(size, image):
        settings = {"secureBootEnabled": True, "vTpmEnabled": True}
        return {**body, "securityType": "TrustedLaunch", "uefiSettings": settings}
    return body


def has_secure_boot(profile: Json) -> bool:
    """Whether the machine boots signed code only."""
    return bool(profile.get("uefiSettings", {}).get("secureBootEnabled"))


def _can_be_trusted(size: Size, image: Image) -> bool:
    return image.has_trusted_launch and image.generation == "V2" and size.has_trusted_launch
