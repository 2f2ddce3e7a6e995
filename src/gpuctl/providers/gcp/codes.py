"""Google's reasons, and the codes of its operations, by what they mean for a request."""

from gpuctl.errors import Extent
from gpuctl.providers.codes import CodeTable, Meaning

CAPACITY = frozenset(
    {
        "ZONE_RESOURCE_POOL_EXHAUSTED",
        "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS",
        "REGION_RESOURCE_POOL_EXHAUSTED",
        "RESOURCE_POOL_EXHAUSTED",
        "GPU_STOCKOUT",
        "STOCKOUT",
        "insufficientCapacity",
        # Seen where a spot instance was taken back while it was being made.
        "UNSUPPORTED_OPERATION",
    }
)
QUOTA = frozenset({"QUOTA_EXCEEDED", "quotaExceeded", "LIMIT_EXCEEDED", "limitExceeded"})
CREDENTIALS = frozenset(
    {
        "forbidden",
        "authError",
        "required_permission",
        "insufficientPermissions",
        "accessNotConfigured",
        "SERVICE_DISABLED",
        "BILLING_DISABLED",
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT",
        "IAM_PERMISSION_DENIED",
        "PERMISSIONS_ERROR",
        "UNAUTHORIZED",
        # An organization policy forbids it.
        "CONDITION_NOT_MET",
    }
)
THROTTLED = frozenset({"rateLimitExceeded", "userRateLimitExceeded", "RATE_LIMIT_EXCEEDED", "RESOURCE_EXHAUSTED"})
# Somebody, or something else, is changing the same thing: what exists only a look can tell.
UNCLEAR = frozenset({"resourceNotReady", "INTERNAL_ERROR", "internalError", "backendError", "operationInProgress"})
TOKEN_USED = frozenset({"alreadyExists", "RESOURCE_ALREADY_EXISTS"})
ABSENT = "notFound"

TABLE = CodeTable(
    meanings={
        **dict.fromkeys(CAPACITY, Meaning.CAPACITY),
        **dict.fromkeys(QUOTA, Meaning.QUOTA),
        **dict.fromkeys(CREDENTIALS, Meaning.CREDENTIALS),
        **dict.fromkeys(THROTTLED, Meaning.THROTTLED),
        **dict.fromkeys(UNCLEAR, Meaning.FAILED),
        **dict.fromkeys(TOKEN_USED, Meaning.TOKEN_USED),
    },
    extents={"INVALID_USAGE": Extent.ZONE},
    hints={
        "accessNotConfigured": "gcloud services enable compute.googleapis.com",
        "SERVICE_DISABLED": "gcloud services enable compute.googleapis.com",
        "BILLING_DISABLED": "gcloud billing projects link PROJECT --billing-account=ACCOUNT",
        "authError": "gcloud auth application-default login",
        "ACCESS_TOKEN_SCOPE_INSUFFICIENT": "gcloud auth application-default login",
        "CONDITION_NOT_MET": "an organization policy forbids it: ask its administrator; see docs/gcp.md",
    },
)
