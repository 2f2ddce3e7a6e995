"""The bodies that Microsoft.Compute takes for machines and disks, as far as this cloud knows them."""

from gpuctl_sandbox.azure.network_shapes import REFERENCE
from gpuctl_sandbox.azure.schema import READ_ONLY, TAGS, Object

DELETE_OPTION = ("Delete", "Detach")
STORAGE = (
    "Standard_LRS",
    "StandardSSD_LRS",
    "Premium_LRS",
    "Premium_ZRS",
    "StandardSSD_ZRS",
    "PremiumV2_LRS",
    "UltraSSD_LRS",
)
_MANAGED_DISK = Object(
    "ManagedDiskParameters",
    {
        "id": str,
        "storageAccountType": STORAGE,
    },
)
_OS_DISK = Object(
    "OSDisk",
    {
        "name": str,
        "osType": ("Linux", "Windows"),
        "createOption": ("FromImage", "Attach", "Empty"),
        "caching": ("None", "ReadOnly", "ReadWrite"),
        "diskSizeGB": int,
        "managedDisk": _MANAGED_DISK,
        "deleteOption": DELETE_OPTION,
    },
    required=("createOption",),
)
_DATA_DISK = Object(
    "DataDisk",
    {
        "lun": int,
        "name": str,
        "createOption": ("Empty", "Attach"),
        "caching": ("None", "ReadOnly", "ReadWrite"),
        "diskSizeGB": int,
        "managedDisk": _MANAGED_DISK,
        "deleteOption": DELETE_OPTION,
    },
    required=("lun", "createOption"),
)
_IMAGE = Object(
    "ImageReference",
    {
        "id": str,
        "publisher": str,
        "offer": str,
        "sku": str,
        "version": str,
    },
)
_LINUX = Object(
    "LinuxConfiguration",
    {
        "disablePasswordAuthentication": bool,
        "ssh": Object(
            "SshConfiguration",
            {"publicKeys": [Object("SshPublicKey", {"path": str, "keyData": str}, required=("path", "keyData"))]},
        ),
    },
)
_OS = Object(
    "OSProfile",
    {
        "computerName": str,
        "adminUsername": str,
        "adminPassword": str,
        "customData": str,
        "linuxConfiguration": _LINUX,
        "requireGuestProvisionSignal": bool,
        "secrets": READ_ONLY,
    },
    required=("computerName", "adminUsername"),
)
_ADDRESS = Object(
    "VirtualMachinePublicIPAddressConfiguration",
    {
        "name": str,
        "sku": Object("PublicIPAddressSku", {"name": ("Basic", "Standard"), "tier": ("Regional", "Global")}),
        "tags": TAGS,
        "properties": Object(
            "VirtualMachinePublicIPAddressConfigurationProperties",
            {
                "idleTimeoutInMinutes": int,
                "deleteOption": DELETE_OPTION,
                "publicIPAddressVersion": ("IPv4", "IPv6"),
                "publicIPAllocationMethod": ("Dynamic", "Static"),
            },
        ),
    },
    required=("name",),
)
_IP_CONFIGURATION = Object(
    "VirtualMachineNetworkInterfaceIPConfiguration",
    {
        "name": str,
        "properties": Object(
            "VirtualMachineNetworkInterfaceIPConfigurationProperties",
            {
                "subnet": REFERENCE,
                "primary": bool,
                "publicIPAddressConfiguration": _ADDRESS,
                "privateIPAddressVersion": ("IPv4", "IPv6"),
            },
            required=("subnet",),
        ),
    },
    required=("name", "properties"),
)
_INLINE_INTERFACE = Object(
    "VirtualMachineNetworkInterfaceConfiguration",
    {
        "name": str,
        "tags": TAGS,
        "properties": Object(
            "VirtualMachineNetworkInterfaceConfigurationProperties",
            {
                "primary": bool,
                "deleteOption": DELETE_OPTION,
                "enableAcceleratedNetworking": bool,
                "enableIPForwarding": bool,
                "networkSecurityGroup": REFERENCE,
                "ipConfigurations": [_IP_CONFIGURATION],
            },
            required=("ipConfigurations",),
        ),
    },
    required=("name", "properties"),
)
_NETWORK = Object(
    "NetworkProfile",
    {
        "networkApiVersion": ("2020-11-01", "2022-11-01"),
        "networkInterfaces": [
            Object(
                "NetworkInterfaceReference",
                {
                    "id": str,
                    "properties": Object(
                        "NetworkInterfaceReferenceProperties", {"primary": bool, "deleteOption": DELETE_OPTION}
                    ),
                },
                required=("id",),
            )
        ],
        "networkInterfaceConfigurations": [_INLINE_INTERFACE],
    },
)
_PROPERTIES = {
    "hardwareProfile": Object("HardwareProfile", {"vmSize": str}, required=("vmSize",)),
    "storageProfile": Object(
        "StorageProfile",
        {
            "imageReference": _IMAGE,
            "osDisk": _OS_DISK,
            "dataDisks": [_DATA_DISK],
            "diskControllerType": ("SCSI", "NVMe"),
        },
    ),
    "osProfile": _OS,
    "networkProfile": _NETWORK,
    "securityProfile": Object(
        "SecurityProfile",
        {
            "encryptionAtHost": bool,
            "securityType": ("Standard", "TrustedLaunch", "ConfidentialVM"),
            "uefiSettings": Object("UefiSettings", {"secureBootEnabled": bool, "vTpmEnabled": bool}),
        },
    ),
    "priority": ("Regular", "Low", "Spot"),
    "evictionPolicy": ("Deallocate", "Delete"),
    "billingProfile": Object("BillingProfile", {"maxPrice": float}),
    "userData": str,
    "provisioningState": READ_ONLY,
    "vmId": READ_ONLY,
    "timeCreated": READ_ONLY,
    "instanceView": READ_ONLY,
}
_TOP = {
    "id": READ_ONLY,
    "name": READ_ONLY,
    "type": READ_ONLY,
    "etag": READ_ONLY,
    "location": str,
    "tags": TAGS,
    "zones": [str],
    "plan": Object("Plan", {"name": str, "publisher": str, "product": str}),
}
MACHINE = Object(
    "VirtualMachine",
    _TOP
    | {"properties": Object("VirtualMachineProperties", _PROPERTIES, required=("hardwareProfile", "networkProfile"))},
    required=("location", "properties"),
)
MACHINE_UPDATE = Object(
    "VirtualMachineUpdate",
    {name: _TOP[name] for name in ("tags", "zones")} | {"properties": Object("VirtualMachineProperties", _PROPERTIES)},
)
DISK = Object(
    "Disk",
    {name: _TOP[name] for name in ("id", "name", "type", "location", "tags", "zones")}
    | {
        "sku": Object("DiskSku", {"name": STORAGE, "tier": READ_ONLY}),
        "properties": Object(
            "DiskProperties",
            {
                "diskSizeGB": int,
                "creationData": Object("CreationData", {"createOption": ("Empty",)}, required=("createOption",)),
                "osType": ("Linux", "Windows"),
                "provisioningState": READ_ONLY,
                "timeCreated": READ_ONLY,
                "diskState": READ_ONLY,
                "uniqueId": READ_ONLY,
                "encryption": READ_ONLY,
            },
            required=("diskSizeGB", "creationData"),
        ),
    },
    required=("location", "properties"),
)
