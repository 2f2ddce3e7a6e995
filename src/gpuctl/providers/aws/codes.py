"""EC2's error codes: https://docs.aws.amazon.com/ec2/latest/devguide/errors-overview.html

Only codes that mean something particular are listed: any other one with a 4xx is a refusal as well.
"""

from gpuctl.errors import Extent
from gpuctl.providers.codes import CodeTable, Meaning

# Most of these come with a 5xx, and with each of them EC2 says that it started nothing.
CAPACITY = frozenset(
    {
        "InsufficientInstanceCapacity",
        "InsufficientHostCapacity",
        "InsufficientReservedInstanceCapacity",
        "InsufficientCapacity",
        "InsufficientCapacityOnHost",
        "InsufficientVolumeCapacity",
        "InsufficientAddressCapacity",
        "UnfulfillableCapacity",
    }
)
# Not for want of room: the spot price is above the maximum, or AWS is still verifying the account (minutes to hours).
NOT_NOW = frozenset({"SpotMaxPriceTooLow", "PendingVerification"})
QUOTA = frozenset(
    {
        "VcpuLimitExceeded",
        "InstanceLimitExceeded",
        "MaxSpotInstanceCountExceeded",
        "ResourceLimitExceeded",
        "ResourceCountLimitExceeded",
        "VolumeLimitExceeded",
        "MaxIOPSLimitExceeded",
        "AddressLimitExceeded",
        "AttachmentLimitExceeded",
        "NetworkInterfaceLimitExceeded",
        "PrivateIpAddressLimitExceeded",
        "SecurityGroupLimitExceeded",
        "RulesPerSecurityGroupLimitExceeded",
        "SecurityGroupsPerInstanceLimitExceeded",
        "SecurityGroupsPerInterfaceLimitExceeded",
    }
)
CREDENTIALS = frozenset(
    {
        "UnauthorizedOperation",
        "AuthFailure",
        "AccessDenied",
        "AccessDeniedException",
        "AccountDisabled",
        "DeclarativePoliciesAccessDeniedException",
        "ExpiredToken",
        "ExpiredTokenException",
        "RequestExpired",
        "InvalidClientTokenId",
        "UnrecognizedClientException",
        "SignatureDoesNotMatch",
        "IncompleteSignature",
        "MissingAuthenticationToken",
        "OptInRequired",
        "Blocked",
        "NotSignedUp",
    }
)
THROTTLED = frozenset(
    {
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "ThrottledException",
        "RequestThrottled",
        "RequestThrottledException",
        "TooManyRequestsException",
        "SlowDown",
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
    }
)
TOKEN_USED = frozenset(
    {"IdempotentParameterMismatch", "IdempotentInstanceTerminated", "InvalidClientToken", "ConcurrentRequest"}
)
# EC2's own failures. They come with a 5xx; should one ever come with another status, it still proves nothing.
FAILED = frozenset({"InternalError", "InternalFailure", "ServerInternal", "ServiceUnavailable", "Unavailable"})
# What services answer in a region that the account has not enabled, as they answer to credentials that are wrong.
CLOSED_REGION = frozenset({"AuthFailure", "UnrecognizedClientException", "InvalidClientTokenId"})

SPOT_ROLE = "AuthFailure.ServiceLinkedRoleCreationNotPermitted"
_NO_DEFAULT_NETWORK = "this account has no default network there: add `--subnet subnet-...`"
_ALLOW = "allow it: docs/aws-policy.json has the permissions that gpuctl needs"

TABLE = CodeTable(
    meanings={
        **dict.fromkeys(CAPACITY, Meaning.CAPACITY),
        **dict.fromkeys(NOT_NOW, Meaning.NOT_NOW),
        **dict.fromkeys(QUOTA, Meaning.QUOTA),
        **dict.fromkeys(CREDENTIALS, Meaning.CREDENTIALS),
        **dict.fromkeys(THROTTLED, Meaning.THROTTLED),
        **dict.fromkeys(TOKEN_USED, Meaning.TOKEN_USED),
        **dict.fromkeys(FAILED, Meaning.FAILED),
    },
    extents={
        "SpotMaxPriceTooLow": Extent.ZONE,
        "Unsupported": Extent.ZONE,
        "InsufficientFreeAddressesInSubnet": Extent.ZONE,
        "InvalidAvailabilityZone": Extent.ZONE,
        "InvalidZone": Extent.ZONE,
        "VolumeTypeNotAvailableInZone": Extent.ZONE,
        "VolumeTypeNotAvailableInRegion": Extent.REGION,
        "PendingVerification": Extent.REGION,
        "DeclarativePoliciesAccessDeniedException": Extent.REGION,
        "VPCIdNotSpecified": Extent.REGION,
        "DefaultVpcDoesNotExist": Extent.REGION,
        SPOT_ROLE: Extent.MARKET,
    },
    hints={
        # Who the credentials belong to is known by then: only a permission is missing.
        **dict.fromkeys(("UnauthorizedOperation", "AccessDenied", "AccessDeniedException"), _ALLOW),
        "VPCIdNotSpecified": _NO_DEFAULT_NETWORK,
        "DefaultVpcDoesNotExist": _NO_DEFAULT_NETWORK,
        "InsufficientFreeAddressesInSubnet": "the subnet is full: add another `--subnet`",
        "InvalidSubnetID.NotFound": "add another `--subnet`, or leave it out",
        "InvalidParameterCombination": "the type may not go with the image or the subnet: gpuctl types",
        "OptInRequired": "sign up for it, or accept its terms, at the address that AWS names",
        "PendingVerification": "AWS verifies the account in minutes to hours: run it again later",
        "Blocked": "ask AWS support to unblock the account: https://support.console.aws.amazon.com",
        "AccountDisabled": "ask AWS support to enable the account: https://support.console.aws.amazon.com",
        "SpotMaxPriceTooLow": "raise `--max-price`, or leave it out",
        SPOT_ROLE: "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com",
    },
)
