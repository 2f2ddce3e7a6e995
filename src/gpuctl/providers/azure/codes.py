"""ARM's and Microsoft.Compute's error codes.

Only codes that mean something particular are listed: any other one with a 4xx is a refusal as well.
"""

from gpuctl.errors import Extent
from gpuctl.providers.codes import CodeTable, Meaning

CAPACITY = frozenset(
    {
        "SkuNotAvailable",
        "AllocationFailed",
        "ZonalAllocationFailed",
        "OverconstrainedAllocationRequest",
        "OverconstrainedZonalAllocationRequest",
        "SpotAllocationFailed",
    }
)
NOT_REGISTERED = "MissingSubscriptionRegistration"
NOT_NOW = frozenset({"SpotPriceGreaterThanProvidedMaxPrice"})
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
        "LinkedAccessCheckFailed",
        "SubscriptionNotFound",
        "InvalidSubscriptionId",
        "SubscriptionNotRegistered",
        "ReadOnlyDisabledSubscription",
        "DisabledSubscription",
        "RequestDisallowedByAzure",
    }
)
THROTTLED = frozenset({"TooManyRequests", "SubscriptionRequestsThrottled", "RequestsThrottled", "RetryableThrottling"})
# Refusals whatever the HTTP status: an operation that Azure accepted may fail with one of these and a 200.
REFUSED = frozenset(
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
        NOT_REGISTERED,
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
# Azure stopped what it had begun, or works on the same thing: the same request may succeed a little later.
BUSY = frozenset(
    {
        "AnotherOperationInProgress",
        "CanceledAndSupersededDueToAnotherOperation",
        "OperationPreempted",
        # The group existed a moment ago: a deletion, or a server that does not know it yet, decides what exists.
        "ResourceGroupNotFound",
        "RetryableError",
    }
)
# What was just created may not be known everywhere yet.
NOT_FOUND = frozenset({"ResourceGroupNotFound", "ResourceNotFound", "NotFound", "InvalidResourceReference"})

TABLE = CodeTable(
    meanings={
        **dict.fromkeys(CAPACITY, Meaning.CAPACITY),
        **dict.fromkeys(NOT_NOW, Meaning.NOT_NOW),
        **dict.fromkeys(QUOTA, Meaning.QUOTA),
        **dict.fromkeys(CREDENTIALS, Meaning.CREDENTIALS),
        **dict.fromkeys(THROTTLED, Meaning.THROTTLED),
        **dict.fromkeys(REFUSED, Meaning.REFUSED),
        **dict.fromkeys(BUSY, Meaning.FAILED),
    },
    extents={
        "SpotPriceGreaterThanProvidedMaxPrice": Extent.REGION,
        "RequestDisallowedByAzure": Extent.REGION,
        "RequestDisallowedByPolicy": Extent.REGION,
        "LocationNotAvailableForResourceType": Extent.REGION,
        "LocationNotAvailableForResourceGroup": Extent.REGION,
        "NoRegisteredProviderFound": Extent.REGION,
        "VMSizeNotSupported": Extent.REGION,
        "AzureSpotFeatureNotEnabledForSubscription": Extent.MARKET,
        "AzureSpotIsNotSupportedForThisVMSize": Extent.REGION,
    },
    hints={
        "SubscriptionNotFound": "az account set --subscription ID, or set AZURE_SUBSCRIPTION_ID",
        NOT_REGISTERED: "az provider register --namespace NAMESPACE",
        "ScopeLocked": "az lock list, and delete the lock on that group",
        "AzureSpotFeatureNotEnabledForSubscription": "add `--fallback on-demand`, or leave out `--spot`",
        "AzureSpotIsNotSupportedForThisVMSize": "add `--fallback on-demand`, or leave out `--spot`",
        "RequestDisallowedByPolicy": "a policy of this subscription forbids it: ask its administrator",
        "RequestDisallowedByAzure": "Azure does not let this subscription use that region: add another `--region`",
    },
)
