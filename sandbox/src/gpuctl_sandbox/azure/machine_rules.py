"""What Azure refuses of a machine's call before it makes anything, in the order in which it looks."""

import base64
import binascii
import re

from gpuctl_sandbox.azure.conditions import Conditions
from gpuctl_sandbox.azure.galleries import in_gallery
from gpuctl_sandbox.azure.images import Image, find_image
from gpuctl_sandbox.azure.security import check_plan, check_security
from gpuctl_sandbox.azure.sizes import SIZES, Size
from gpuctl_sandbox.azure.wire import Json, Refusal, invalid

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}[A-Za-z0-9_]|[A-Za-z0-9]")
_FORBIDDEN_USERS = {
    "administrator",
    "admin",
    "user",
    "user1",
    "test",
    "guest",
    "owner",
    "root",
    "server",
    "sql",
    "support",
    "sys",
    "actuser",
    "adm",
    "aspnet",
    "backup",
    "console",
}
_KEY = re.compile(r"(ssh-rsa|ssh-ed25519) ([A-Za-z0-9+/]+={0,3})( .*)?", re.DOTALL)
_SHORTEST_RSA_BYTES = 2048 // 8
_LARGEST_OS_DISK_GB = 4095
_LARGEST_CUSTOM_DATA = 87_380


def size_named(name: str, region: str) -> Size:
    """The size of that name. Refused if no region has it."""
    size = SIZES.get(name.lower())
    if size is None:
        raise invalid(
            "vmSize",
            f"The value {name} provided for the VM size is not valid. The valid sizes in the current region are: "
            f"{', '.join(sorted(size.name for size in SIZES.values()))}. Find out more on the valid VM sizes in each "
            f"region at https://aka.ms/azure-regions.",
        )
    return size


def check_machine(name: str, body: Json, size: Size, conditions: Conditions) -> tuple[Image, str]:
    """The image that a new machine boots and its version. Refused if the call does not fit together."""
    properties = body["properties"]
    if not _NAME.fullmatch(name):
        raise invalid("vmName", f"Linux VM name may only contain 1-64 letters, numbers, '.' and '-': '{name}'.")
    storage = properties.get("storageProfile", {})
    if "imageReference" not in storage or "osDisk" not in storage:
        raise invalid("storageProfile", "Required parameter 'storageProfile.imageReference' is missing (null).")
    reference = storage["imageReference"]
    image, version = in_gallery(reference, conditions) if "id" in reference else find_image(reference)
    _check_system(name, properties.get("osProfile"))
    _check_generation(size, image, storage)
    check_plan(body.get("plan"), image)
    _check_disk(name, storage["osDisk"], size, image)
    check_security(properties.get("securityProfile", {}), size, image, conditions.features)
    _check_interfaces(properties["networkProfile"], size)
    _check_spot(properties, size)
    for field in ("userData",):
        if field in properties:
            _check_base64(properties[field], field)
    return image, version


def check_zones(zones: list[str], size: Size, region: str) -> None:
    """Refuse zones that the size is not sold in, and more than one."""
    if len(zones) > 1 or set(zones) - set(size.zones):
        raise Refusal(
            400,
            "AvailabilityZoneNotSupported",
            f"The zone(s) '{','.join(zones)}' for resource '{size.name}' is not supported. The supported zones for "
            f"location '{region}' are '{','.join(size.zones)}'.",
        )


def check_price(body: Json, size: Size, price: float) -> None:
    """Refuse a spot machine whose cap lies under the present price."""
    cap = body.get("billingProfile", {}).get("maxPrice", -1)
    if body.get("priority") == "Spot" and cap not in (-1, -1.0) and cap < price:
        raise Refusal(
            409,
            "SpotPriceGreaterThanProvidedMaxPrice",
            f"Unable to perform operation 'Create VM' since the provided max price '{cap} USD' is lower than the "
            f"current spot price '{price} USD' for Azure Spot VM size '{size.name}'. For more information, see "
            f"http://aka.ms/AzureSpot/errormessages.",
        )


def _check_system(name: str, body: Json | None) -> None:
    if body is None:
        raise invalid("osProfile", "Required parameter 'osProfile' is missing (null).")
    user, linux = body["adminUsername"], body.get("linuxConfiguration", {})
    if len(body["computerName"]) > 64 or not _NAME.fullmatch(body["computerName"]):
        raise invalid(
            "osProfile.computerName", "Linux host name cannot exceed 64 characters or hold special characters."
        )
    if user.lower() in _FORBIDDEN_USERS or not re.fullmatch(r"[A-Za-z_][\w.-]{0,63}", user):
        raise invalid("osProfile.adminUsername", "The Admin Username specified is not allowed.")
    if not linux.get("disablePasswordAuthentication") and "adminPassword" not in body:
        raise invalid("adminPassword", "Required parameter 'adminPassword' is missing (null).")
    keys = linux.get("ssh", {}).get("publicKeys", [])
    if linux.get("disablePasswordAuthentication") and not keys:
        raise invalid(
            "linuxConfiguration.ssh.publicKeys",
            "Authentication using either SSH or by user name and password must be enabled in Linux profile.",
        )
    for key in keys:
        if key["path"] != f"/home/{user}/.ssh/authorized_keys":
            raise invalid(
                "linuxConfiguration.ssh.publicKeys.path",
                f"Destination path for SSH public keys is currently limited to its default value "
                f"/home/{user}/.ssh/authorized_keys due to a known issue in Linux provisioning agent.",
            )
        if not _is_key(key["keyData"]):
            target = "linuxConfiguration.ssh.publicKeys.keyData"
            raise invalid(target, f"The value of parameter {target} is invalid.")
    if "customData" in body:
        _check_base64(body["customData"], "osProfile.customData")


def _is_key(text: str) -> bool:
    """RSA of 2048 bits at least, or Ed25519 (https://learn.microsoft.com/azure/virtual-machines/ssh-keys-azure-cli)."""
    match = _KEY.fullmatch(text.strip())
    if match is None or match[1] == "ssh-ed25519":
        return match is not None
    # An RSA key is three fields (its kind, the exponent and the modulus), each with its length before it.
    return len(base64.b64decode(match[2] + "===")) >= _SHORTEST_RSA_BYTES + 20


def _check_base64(value: str, target: str) -> None:
    try:
        base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        raise invalid(target, f"The value of '{target}' must be in Base64 encoding.") from error
    if len(value) > _LARGEST_CUSTOM_DATA:
        raise invalid(target, f"'{target}' has a maximum length of {_LARGEST_CUSTOM_DATA} characters.")


def _check_generation(size: Size, image: Image, storage: Json) -> None:
    if image.arch != size.arch:
        raise Refusal(
            400,
            "BadRequest",
            f"The selected VM size '{size.name}' cannot boot with OS image or disk. Please check that disk CPU "
            f"architectures are supported by the VM size.",
        )
    disk_controller_type = storage.get("diskControllerType", "NVMe" if "M" in size.can else "SCSI")
    if disk_controller_type not in image.controllers.split(", ") or (disk_controller_type == "NVMe") != (
        "M" in size.can
    ):
        raise invalid(
            "diskControllerType",
            f"The VM size '{size.name}' cannot boot with OS image or disk. Please check that disk controller types "
            f"supported by the OS image or disk is one of the supported disk controller types for the VM size "
            f"'{size.name}'. Please query sku api at https://aka.ms/azure-compute-skus to determine supported disk "
            f"controller types for the VM size.",
        )
    number = image.generation.removeprefix("V")
    if number not in size.generations:
        raise Refusal(
            400,
            "BadRequest",
            f"The selected VM size '{size.name}' cannot boot Hypervisor Generation '{number}'. If this was a Create "
            f"operation please check that the Hypervisor Generation of the Image matches that of the selected VM Size.",
        )


def _check_disk(name: str, disk: Json, size: Size, image: Image) -> None:
    if disk["createOption"] != "FromImage":
        raise invalid("osDisk.createOption", "Cannot specify an image and a createOption other than 'FromImage'.")
    gb = disk.get("diskSizeGB", image.size_gb)
    if not 1 <= gb <= _LARGEST_OS_DISK_GB:
        raise invalid(
            "osDisk.diskSizeGB",
            f"The value '{gb}' of parameter 'osDisk.diskSizeGB' is out of range. The value must be between '1' and "
            f"'{_LARGEST_OS_DISK_GB}', inclusive.",
        )
    if gb < image.size_gb:
        raise Refusal(
            409,
            "OperationNotAllowed",
            f"The specified disk size {gb} GB is smaller than the size of the corresponding disk in the VM image: "
            f"{image.size_gb} GB. This is not allowed. Please choose equal or greater size or do not specify an "
            f"explicit size.",
            "osDisk.diskSizeGB",
        )
    kind = disk.get("managedDisk", {}).get("storageAccountType", "Standard_LRS")
    if kind in ("UltraSSD_LRS", "PremiumV2_LRS"):
        raise invalid("osDisk.managedDisk.storageAccountType", f"OS disk of type {kind} is not supported.")
    if kind.startswith("Premium") and "P" not in size.can:
        raise invalid(
            "osDisk.managedDisk.storageAccountType",
            f"Requested operation cannot be performed because the VM size {size.name} does not support the storage "
            f"account type {kind} of disk '{disk.get('name', name)}'. Consider updating the VM to a size that supports "
            f"Premium storage.",
        )


def _check_interfaces(body: Json, size: Size) -> None:
    inline, named = body.get("networkInterfaceConfigurations", []), body.get("networkInterfaces", [])
    if bool(inline) == bool(named):
        raise invalid("networkProfile", "Either networkInterfaces or networkInterfaceConfigurations must be specified.")
    if inline and "networkApiVersion" not in body:
        raise invalid(
            "networkProfile.networkApiVersion",
            "networkApiVersion must be specified when networkInterfaceConfigurations are specified.",
        )
    if len(inline) > 1 and sum(bool(item["properties"].get("primary")) for item in inline) != 1:
        raise invalid("networkProfile", "Exactly one network interface must be primary.")
    for item in inline:
        if not item["properties"]["ipConfigurations"]:
            raise invalid("networkProfile.ipConfigurations", "A network interface needs an IP configuration.")
        if item["properties"].get("enableAcceleratedNetworking") and "A" not in size.can:
            raise Refusal(
                400,
                "VMSizeIsNotPermittedToEnableAcceleratedNetworking",
                f"VM size {size.name} is not permitted to enable accelerated networking.",
            )


def _check_spot(body: Json, size: Size) -> None:
    is_spot = body.get("priority") in ("Spot", "Low")
    if is_spot and "L" in size.can:
        raise Refusal(
            400,
            "AzureSpotIsNotSupportedForThisVMSize",
            f"Azure Spot Virtual Machine is not supported for this VM size {size.name}.",
        )
    if not is_spot and "evictionPolicy" in body:
        raise Refusal(
            400,
            "EvictionPolicyCanBeSetOnlyOnAzureSpotVirtualMachines",
            "Eviction policy can be set only on Azure Spot Virtual Machines.",
        )
    if not is_spot and body.get("billingProfile", {}).get("maxPrice", -1) not in (-1, -1.0):
        raise Refusal(
            400,
            "MaxPriceIsSupportedOnlyForAzureSpotVirtualMachines",
            "Max price is supported only for Azure Spot Virtual Machines.",
        )
    price = body.get("billingProfile", {}).get("maxPrice", -1)
    if price not in (-1, -1.0) and price <= 0:
        raise Refusal(
            400,
            "MaxPriceValueInvalid",
            "Invalid max price value. The only supported values for max price are -1 or a decimal greater than zero.",
        )
