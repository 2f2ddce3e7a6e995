"""AWS's error codes in our words: by code, never by message, whatever the HTTP status."""

from typing import Any

from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from gpuctl.errors import (
    CapacityError,
    CloudError,
    CredentialsError,
    GpuctlError,
    OutcomeUnknown,
    QuotaError,
    ThrottledError,
    UnreachableError,
)
from gpuctl.providers.aws.observe import reply_date
from gpuctl.providers.wording import one_line

# Everything the SDK raises for what a cloud or a network did; the last is no BotoCoreError.
SDK_ERRORS = (sdk.ClientError, sdk.BotoCoreError, ResponseParserError)

CAPACITY = frozenset(
    {
        "InsufficientInstanceCapacity",
        "InsufficientHostCapacity",
        "InsufficientReservedInstanceCapacity",
        "InsufficientCapacity",
        "InsufficientCapacityOnHost",
        "InsufficientFreeAddressesInSubnet",
        "SpotMaxPriceTooLow",
        "Unsupported",
    }
)
QUOTA = frozenset(
    {
        "VcpuLimitExceeded",
        "InstanceLimitExceeded",
        "MaxSpotInstanceCountExceeded",
        "ResourceLimitExceeded",
        "VolumeLimitExceeded",
        "MaxIOPSLimitExceeded",
        "AddressLimitExceeded",
        "NetworkInterfaceLimitExceeded",
        "PrivateIpAddressLimitExceeded",
        "SecurityGroupLimitExceeded",
        "RulesPerSecurityGroupLimitExceeded",
    }
)
CREDENTIALS = frozenset(
    {
        "UnauthorizedOperation",
        "AuthFailure",
        "AccessDenied",
        "AccessDeniedException",
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
        "PendingVerification",
        "NotSignedUp",
    }
)
THROTTLE = frozenset(
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
BAD_REQUEST = frozenset(
    {
        "EncryptedVolumesNotSupported",
        "InvalidAMIID.Malformed",
        "InvalidAMIID.NotFound",
        "InvalidAMIID.Unavailable",
        "InvalidAction",
        "InvalidAvailabilityZone",
        "InvalidBlockDeviceMapping",
        "InvalidGroup.Duplicate",
        "InvalidGroup.NotFound",
        "InvalidInput",
        "InvalidInstanceType",
        "InvalidInterface.IpAddressLimitExceeded",
        "InvalidKeyPair.NotFound",
        "InvalidParameter",
        "InvalidParameterCombination",
        "InvalidParameterValue",
        "InvalidRequest",
        "InvalidSecurityGroupID.NotFound",
        "InvalidSnapshot.NotFound",
        "InvalidSubnet",
        "InvalidSubnetID.Malformed",
        "InvalidSubnetID.NotFound",
        "InvalidTagKey.Malformed",
        "InvalidUserData.Malformed",
        "InvalidZone.NotFound",
        "MalformedQueryString",
        "MissingInput",
        "MissingParameter",
        "OperationNotPermitted",
        "TagLimitExceeded",
        "TagPolicyViolation",
        "UnknownParameter",
        "UnsupportedOperation",
        "VPCIdNotSpecified",
        "ValidationError",
        "VolumeTypeNotAvailableInZone",
        "VolumeTypeNotAvailableInRegion",
    }
)
TOKEN_USED = frozenset(
    {"IdempotentParameterMismatch", "IdempotentInstanceTerminated", "InvalidClientToken", "ConcurrentRequest"}
)
NOT_FOUND = frozenset({"InvalidInstanceID.NotFound"})
NO_SUCH_GROUP = frozenset({"InvalidGroup.NotFound", "InvalidSecurityGroupID.NotFound"})

_HINTS = {
    "VPCIdNotSpecified": "this account has no default network there: add `--subnet subnet-...`",
    "InvalidSubnetID.NotFound": "add another `--subnet`, or leave it out",
    "InvalidParameterCombination": "the type may not go with the image or the subnet: gpuctl types",
    "OptInRequired": "enable that region in the AWS account, or take another `--region`",
}

_LOGIN = (
    sdk.NoCredentialsError,
    sdk.PartialCredentialsError,
    sdk.CredentialRetrievalError,
    sdk.ProfileNotFound,
    sdk.ConfigNotFound,
    sdk.ConfigParseError,
    sdk.TokenRetrievalError,
    sdk.SSOError,
    sdk.UnauthorizedSSOTokenError,
    sdk.InvalidConfigError,
    sdk.MetadataRetrievalError,
)
# Raised before a byte of the request left: nothing was asked, so nothing was done.
_NEVER_SENT = (sdk.EndpointConnectionError, sdk.ConnectTimeoutError, sdk.ProxyConnectionError)


def code_of(error: Exception) -> str:
    """AWS's own code for this failure; empty where it gave none."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, sdk.ClientError) else ""


def translate(error: Exception, doing: str) -> GpuctlError:
    """The failure in our words; `doing` begins the sentence: `could not list machines in `us-east-1``."""
    if isinstance(error, _LOGIN):
        return CredentialsError(f"{doing}: {one_line(str(error))}", hint="aws configure, or set AWS_PROFILE")
    if isinstance(error, _NEVER_SENT):
        return UnreachableError(f"{doing}: AWS could not be reached", hint="check the network, then run it again")
    code = code_of(error)
    if not code:
        return UnreachableError(f"{doing}: AWS gave no answer that could be read ({type(error).__name__})")
    text = f"{doing}: `{code}`{_message(error)}"
    if code in CREDENTIALS:
        response: Any = getattr(error, "response", {})
        hint = _HINTS.get(code, "aws sts get-caller-identity")
        return CredentialsError(text, hint=hint, cloud_time=reply_date(response))
    if code in THROTTLE:
        return ThrottledError(text, hint="run it again in a minute", cloud_code=code)
    if code in CAPACITY:
        return CapacityError(text, hint="add another `--region`, or take another type: gpuctl types", cloud_code=code)
    if code in QUOTA:
        return QuotaError(text, hint="ask AWS for more under Service Quotas", cloud_code=code)
    if code in BAD_REQUEST or code in NOT_FOUND:
        return CloudError(text, hint=_HINTS.get(code), cloud_code=code)
    if _status(error) >= 500:
        return UnreachableError(text, cloud_code=code)
    return CloudError(text, cloud_code=code)


def translate_create(error: Exception, doing: str) -> GpuctlError:
    """The failure of a create: a refusal only where AWS's code is known to be one, else OutcomeUnknown."""
    code = code_of(error)
    refusals = CAPACITY | QUOTA | CREDENTIALS | THROTTLE | BAD_REQUEST
    if code in refusals or isinstance(error, (*_LOGIN, *_NEVER_SENT)):
        return translate(error, doing)
    if code in TOKEN_USED:
        return OutcomeUnknown(f"{doing}: its token was used before (`{code}`)", may_repeat=False)
    said = f"`{code}`" if code else type(error).__name__
    return OutcomeUnknown(f"{doing}: AWS's answer does not tell whether it was created ({said})")


def _message(error: Exception) -> str:
    response: Any = getattr(error, "response", {})
    message = one_line(str(response.get("Error", {}).get("Message", "")))
    return f" ({message})" if message else ""


def _status(error: Exception) -> int:
    response: Any = getattr(error, "response", {})
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
