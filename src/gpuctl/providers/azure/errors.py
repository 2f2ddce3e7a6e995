"""Azure's error codes, and what each of them means to us. The code decides, never the class: all 409s look alike."""

from typing import Any

from azure.core import exceptions as sdk

from gpuctl.domain.instance import Refusal
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
from gpuctl.providers.wording import one_line

SDK_ERRORS = (sdk.AzureError,)

CAPACITY = frozenset(
    {
        "SkuNotAvailable",
        "AllocationFailed",
        "ZonalAllocationFailed",
        "OverconstrainedAllocationRequest",
        "OverconstrainedZonalAllocationRequest",
        "SpotAllocationFailed",
        "SpotPriceGreaterThanProvidedMaxPrice",
    }
)
QUOTA = frozenset(
    {
        "QuotaExceeded",
        "PublicIPCountLimitReached",
        "StandardPublicIPCountLimitReached",
        "IPv4BasicSkuPublicIpCountLimitReached",
        "IPv4StandardSkuPublicIpCountLimitReached",
        "VirtualNetworkCountLimitReached",
        "NetworkSecurityGroupCountLimitReached",
        "ResourceGroupQuotaExceeded",
    }
)
CREDENTIALS = frozenset(
    {
        "AuthorizationFailed",
        "AuthenticationFailed",
        "InvalidAuthenticationToken",
        "InvalidAuthenticationTokenTenant",
        "ExpiredAuthenticationToken",
        "LinkedAuthorizationFailed",
        "SubscriptionNotFound",
        "InvalidSubscriptionId",
        "SubscriptionNotRegistered",
        "ReadOnlyDisabledSubscription",
        "DisabledSubscription",
    }
)
THROTTLE = frozenset({"TooManyRequests", "SubscriptionRequestsThrottled", "RequestsThrottled", "RetryableThrottling"})
BAD_REQUEST = frozenset(
    {
        "AvailabilityZoneNotSupported",
        "BadRequest",
        "ConflictingUserInput",
        "DiskSizeTooSmall",
        "ImageNotFound",
        "InvalidParameter",
        "InvalidRequestContent",
        "InvalidRequestFormat",
        "InvalidResourceGroupLocation",
        "InvalidResourceLocation",
        "InvalidResourceName",
        "InvalidResourceReference",
        "InvalidTagNameCharacters",
        "LocationNotAvailableForResourceType",
        "LocationNotAvailableForResourceGroup",
        "MissingSubscriptionRegistration",
        "NicInUse",
        "NoRegisteredProviderFound",
        "OperationNotAllowed",
        "PlatformImageNotFound",
        "PropertyChangeNotAllowed",
        "RequestDisallowedByPolicy",
        "ResourceGroupBeingDeleted",
        "TooManyTags",
        "VMSizeNotSupported",
        "VMMarketplaceInvalidInput",
        "MarketplacePurchaseEligibilityFailed",
        "ScopeLocked",
    }
)
NOT_FOUND = frozenset({"ResourceGroupNotFound", "ResourceNotFound", "NotFound"})

_HINTS = {
    "SubscriptionNotFound": "az account set --subscription ID, or set AZURE_SUBSCRIPTION_ID",
    "MissingSubscriptionRegistration": "az provider register --namespace Microsoft.Compute",
    "ScopeLocked": "az lock list, and delete the lock on that group",
    "RequestDisallowedByPolicy": "a policy of this subscription forbids it: ask who runs it",
}
_LOGIN_HINT = "az login, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
# Raised before a byte of the request left: nothing was asked, so nothing was done.
_NEVER_SENT = (sdk.ServiceRequestError,)


def code_of(error: Exception) -> str:
    """Azure's own code for this failure; empty where it gave none that could be read."""
    told = getattr(error, "error", None)
    return str(getattr(told, "code", "") or "")


def is_absent(error: Exception) -> bool:
    """Whether Azure says that there is no such thing."""
    return isinstance(error, sdk.HttpResponseError) and error.status_code == 404 and code_of(error) in NOT_FOUND


def translate(error: Exception, doing: str) -> GpuctlError:
    """The failure in our words; `doing` begins the sentence: `could not list machines in `eastus``."""
    if isinstance(error, sdk.ClientAuthenticationError) and not code_of(error):
        return CredentialsError(f"{doing}: {_login_problem(error)}", hint=_LOGIN_HINT)
    if isinstance(error, _NEVER_SENT):
        return UnreachableError(f"{doing}: Azure could not be reached", hint="check the network, then run it again")
    code = code_of(error)
    if not code:
        return UnreachableError(f"{doing}: Azure gave no answer that could be read ({type(error).__name__})")
    return _of_code(code, _message(error), _status(error), doing)


def translate_create(error: Exception, doing: str) -> GpuctlError:
    """The failure of a create: a refusal only where Azure's code is known to be one, else OutcomeUnknown."""
    if isinstance(error, _NEVER_SENT) or (isinstance(error, sdk.ClientAuthenticationError) and not code_of(error)):
        return translate(error, doing)
    code = code_of(error)
    if code in CAPACITY | QUOTA | CREDENTIALS | THROTTLE | BAD_REQUEST:
        return translate(error, doing)
    said = f"`{code}`" if code else type(error).__name__
    return OutcomeUnknown(f"{doing}: Azure's answer does not tell whether it was created ({said})")


def refusal_of(code: str, message: str) -> Refusal:
    """Why a machine never came up, from what its own status says."""
    error = _of_code(code, message, 0, "the machine could not be brought up")
    return Refusal(code=error.code, text=error.message)


def _of_code(code: str, message: str, status: int, doing: str) -> GpuctlError:
    text = f"{doing}: `{code}`{f' ({one_line(message)})' if message else ''}"
    if code in THROTTLE or status == 429:
        return ThrottledError(text, hint="run it again in a minute", cloud_code=code)
    if code in CREDENTIALS:
        return CredentialsError(text, hint=_HINTS.get(code, "az account show"))
    if code in CAPACITY:
        return CapacityError(text, hint="add another `--region`, or take another type: gpuctl types", cloud_code=code)
    # Azure says that an operation is not allowed for many reasons; a quota is one only where it says so.
    if code in QUOTA or (code == "OperationNotAllowed" and "quota" in message.casefold()):
        return QuotaError(text, hint="ask Azure for more: az vm list-usage, then its Quotas page", cloud_code=code)
    if status >= 500 and code not in BAD_REQUEST:
        return UnreachableError(text, cloud_code=code)
    return CloudError(text, hint=_HINTS.get(code), cloud_code=code)


def _login_problem(error: Exception) -> str:
    # The chain of logins tells the failure of each in many lines; which there are is in the hint.
    return "there is no Azure login" if "Default" in str(error) else one_line(str(error))


def _message(error: Exception) -> str:
    told = getattr(error, "error", None)
    details: Any = getattr(told, "details", None) or ()
    deeper = next((str(one.message) for one in details if getattr(one, "message", None)), "")
    return deeper or str(getattr(told, "message", "") or "")


def _status(error: Exception) -> int:
    return int(getattr(error, "status_code", 0) or 0)
