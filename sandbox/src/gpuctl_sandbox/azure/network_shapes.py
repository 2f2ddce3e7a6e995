"""The bodies that Microsoft.Network takes, as far as this cloud knows them."""

from gpuctl_sandbox.azure.schema import READ_ONLY, TAGS, Object

REFERENCE = Object("SubResource", {"id": str}, required=("id",))
_TOP = {"id": READ_ONLY, "name": READ_ONLY, "type": READ_ONLY, "etag": READ_ONLY, "location": str, "tags": TAGS}
_MADE = {"provisioningState": READ_ONLY, "resourceGuid": READ_ONLY}

_RULE = Object(
    "SecurityRule",
    {
        "id": READ_ONLY,
        "name": str,
        "type": READ_ONLY,
        "etag": READ_ONLY,
        "properties": Object(
            "SecurityRulePropertiesFormat",
            {
                "description": str,
                "protocol": ("Tcp", "Udp", "Icmp", "Esp", "Ah", "*"),
                "sourcePortRange": str,
                "destinationPortRange": str,
                "sourceAddressPrefix": str,
                "destinationAddressPrefix": str,
                "access": ("Allow", "Deny"),
                "priority": int,
                "direction": ("Inbound", "Outbound"),
                "provisioningState": READ_ONLY,
            },
            required=("protocol", "access", "priority", "direction"),
        ),
    },
    required=("name", "properties"),
)
SECURITY_GROUP = Object(
    "NetworkSecurityGroup",
    _TOP
    | {
        "properties": Object(
            "NetworkSecurityGroupPropertiesFormat",
            _MADE
            | {
                "securityRules": [_RULE],
                "networkInterfaces": READ_ONLY,
                "subnets": READ_ONLY,
            },
        )
    },
    required=("location",),
)
SUBNET = Object(
    "Subnet",
    {
        "id": str,
        "name": str,
        "type": READ_ONLY,
        "etag": READ_ONLY,
        "properties": Object(
            "SubnetPropertiesFormat",
            {
                "addressPrefix": str,
                "addressPrefixes": [str],
                "networkSecurityGroup": REFERENCE,
                "provisioningState": READ_ONLY,
                "ipConfigurations": READ_ONLY,
            },
        ),
    },
)
VIRTUAL_NETWORK = Object(
    "VirtualNetwork",
    _TOP
    | {
        "properties": Object(
            "VirtualNetworkPropertiesFormat",
            _MADE
            | {
                "addressSpace": Object("AddressSpace", {"addressPrefixes": [str]}, required=("addressPrefixes",)),
                "subnets": [SUBNET],
                "dhcpOptions": Object("DhcpOptions", {"dnsServers": [str]}),
                "enableDdosProtection": bool,
                "enableVmProtection": bool,
            },
            required=("addressSpace",),
        )
    },
    required=("location", "properties"),
)
