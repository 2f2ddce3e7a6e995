"""What a test or a user can set up: how fast the cloud is, what it has, and what goes wrong with which call."""

from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from gpuctl_sandbox import setup
from gpuctl_sandbox.gcp.operations import OperationError
from gpuctl_sandbox.gcp.wire import Call, Json, Refusal

_POOL = (
    "The zone 'projects/{project}/zones/{zone}' does not have enough resources available to fulfill the request.  "
    "Try a different zone, or try again later."
)
# These let the call through, and the operation that it begins fails: message and HTTP status inside.
OF_THE_OPERATION: dict[str, tuple[str, int]] = {
    "ZONE_RESOURCE_POOL_EXHAUSTED": (_POOL, 503),
    "ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS": (_POOL, 503),
    "QUOTA_EXCEEDED": ("Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally.", 403),
    "CONDITION_NOT_MET": ("Constraint constraints/compute.vmExternalIpAccess violated for project {project}.", 412),
    "PERMISSIONS_ERROR": ("Required 'compute.instances.create' permission for 'projects/{project}'", 403),
    "RESOURCE_NOT_FOUND": ("The resource 'projects/{project}/zones/{zone}' was not found", 404),
    "INTERNAL_ERROR": ("Internal error. Please try again or contact Google Support.", 500),
}
# The operation never ends by itself; it ends and cannot be read; the call's answer is an error although it began.
OF_THE_ANSWER = ("StuckOperation", "LostOperation")

_REFUSALS: dict[str, tuple[int, str]] = {
    "forbidden": (403, "Required '{permission}' permission for '{path}'"),
    "quotaExceeded": (403, "Quota exceeded for quota metric 'Queries' and limit 'Queries per minute'."),
    "rateLimitExceeded": (403, "Rate Limit Exceeded"),
    "tooManyRequests": (429, "Quota exceeded for quota metric 'Heavy-weight read requests'. RESOURCE_EXHAUSTED"),
    "authError": (401, "Request had invalid authentication credentials. Expected OAuth 2 access token."),
    "resourceNotReady": (400, "The resource '{path}' is not ready"),
    "conditionNotMet": (412, "Supplied fingerprint does not match current metadata fingerprint."),
    "internalError": (500, "Internal error encountered."),
    "backendError": (503, "The service is currently unavailable."),
    "notFound": (404, "The resource '{path}' was not found"),
    "alreadyExists": (409, "The resource '{path}' already exists"),
}


@dataclass
class Fault(setup.Fault):
    """A fault and its calls.

    `method` (`instances.insert`) says with which calls, `path` which words their address holds; None means with all.
    """

    method: str | None = None
    path: str | None = None
    status: int | None = None
    message: str | None = None

    def fits(self, call: Call) -> bool:
        """Whether this call is meant."""
        return self.method in (None, call.method) and (self.path is None or self.path in call.path)

    def refusal(self, call: Call, permission: str = "") -> Refusal:
        """What Google answers."""
        status, message = _REFUSALS.get(self.code, (400, "The request was refused."))
        text = message.format(permission=permission, path=call.path.removeprefix("/compute/v1/"))
        return Refusal(self.status or status, self.code, self.message or text)

    def failure(self, call: Call, details: list[Json] | None = None) -> OperationError:
        """How the operation fails."""
        message, status = OF_THE_OPERATION[self.code]
        text = message.format(project=call.project, zone=call.names.get("zone", ""))
        return OperationError(self.code, self.message or text, self.status or status, details)


@dataclass
class Conditions(setup.Conditions):
    """How things are.

    `polls`: how many later calls find an operation under way (None: all, until told to end). `listing_lag_s`: how long
    a new instance is missing from lists, `lookup_lag_s` from a GET by name too. `zones_out` says what a list of a zone
    that is out looks like: `warning`, `unreachables` or `error`. Quotas go by scope (a region, `*` for all of them,
    `project`) and metric. `sold_out` are types by zone (`*` for all), `unoffered` those that a zone does not sell.
    `advised` are the zones that a stockout with details names.

    `limit_counts_when_stopped`: whether the limit still
    deletes an instance that was stopped before it. `delete_again`: whether a second delete, while the first is under
    way, is `refused` or `accepted`. `request_ids_kept_s`: for how long a request ID is remembered. `default_network`:
    whether there is one; `allows_ssh`: whether it has the rule `default-allow-ssh`. `constraints`: organization
    policies in force (`compute.vmExternalIpAccess`, `compute.requireOsLogin`). `api` is `on` or `off`, as is
    `billing`. `permissions` are patterns of what the caller may do.
    """

    fault = Fault
    # How many looks something takes; None is for ever.
    optional = ("polls",)
    polls: int | None = 0
    page_size: int = 500
    listing_lag_s: int = 0
    lookup_lag_s: int = 0
    zones_out: dict[str, str] = field(default_factory=dict)
    quotas: dict[str, dict[str, float]] = field(default_factory=dict)
    sold_out: dict[str, list[str]] = field(default_factory=dict)
    unoffered: dict[str, list[str]] = field(default_factory=dict)
    advised: list[str] = field(default_factory=list)
    limit_counts_when_stopped: bool = False
    delete_again: str = "refused"
    request_ids_kept_s: int = 3600
    default_network: bool = True
    allows_ssh: bool = True
    constraints: list[str] = field(default_factory=list)
    api: str = "on"
    billing: str = "on"
    permissions: list[str] = field(default_factory=lambda: ["*"])

    def grants(self, permission: str) -> bool:
        """Whether the caller holds that permission."""
        return any(fnmatchcase(permission, pattern) for pattern in self.permissions)

    def refuse(self, call: Call) -> None:
        """Raise the fault that befalls this call before anything is done."""
        later = {*OF_THE_OPERATION, *OF_THE_ANSWER}
        fault = self.take_fault(lambda fault: fault.code not in later and fault.fits(call))
        if fault is not None:
            raise fault.refusal(call)

    def take(self, call: Call, codes: Any) -> Fault | None:
        """The fault with one of these codes that is to befall what this call begins, used up once."""
        fault: Fault | None = self.take_fault(lambda fault: fault.code in codes and fault.fits(call))
        return fault
