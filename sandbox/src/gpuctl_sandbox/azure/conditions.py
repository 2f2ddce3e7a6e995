"""What a test or a user can set up: how fast the cloud is, what it has, and what goes wrong with which call."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from gpuctl_sandbox import setup
from gpuctl_sandbox.azure.wire import Call, Json, Refusal

# These let the call through, and the operation that it begins fails, is lost, or never ends.
OF_THE_MACHINE = {
    "AllocationFailed": "Allocation failed. We do not have sufficient capacity for the requested VM size in this "
    "region. Read more about improving likelihood of allocation success at http://aka.ms/allocation-guidance",
    "ZonalAllocationFailed": "Allocation failed. We do not have sufficient capacity for the requested VM size in this "
    "zone. Read more about improving likelihood of allocation success at http://aka.ms/allocation-guidance",
    "OverconstrainedAllocationRequest": "Allocation failed. VM(s) with the following constraints cannot be allocated, "
    "because the condition is too restrictive. Please remove some constraints and try again.",
    "OSProvisioningTimedOut": "OS Provisioning for VM did not finish in the allotted time. The VM may still finish "
    "provisioning successfully. Please check provisioning state later.",
}
OF_THE_OPERATION = {"LostOperation", "StuckOperation"}
OF_THE_GROUP = {"ResourceGroupDeletionBlocked"}
DAILY = "Microsoft.DevTestLab/schedules"
_REFUSALS: dict[str, tuple[int, str, str]] = {
    "TooManyRequests": (
        429,
        "TooManyRequests",
        "The request is being throttled as the limit has been reached for operation type.",
    ),
    "OperationNotAllowed": (
        429,
        "OperationNotAllowed",
        "The server rejected the request because too many requests have been received for this subscription.",
    ),
    "SubscriptionRequestsThrottled": (
        429,
        "SubscriptionRequestsThrottled",
        "Number of requests for the subscription exceeded the limit. Please try again later.",
    ),
    "AuthorizationFailed": (
        403,
        "AuthorizationFailed",
        "The client 'sandbox' with object id 'sandbox' does not have authorization to perform action '{action}' over "
        "scope '{scope}' or the scope is invalid. If access was recently granted, please refresh your credentials.",
    ),
    "ExpiredAuthenticationToken": (401, "ExpiredAuthenticationToken", "The access token expiry has passed."),
    "ScopeLocked": (
        409,
        "ScopeLocked",
        "The scope '{scope}' cannot perform delete operation because following scope(s) are locked: '{scope}'. "
        "Please remove the lock and try again.",
    ),
    "InternalServerError": (500, "InternalServerError", "An internal error occurred."),
    "ServerTimeout": (503, "ServerTimeout", "The request timed out."),
}


def _grants(role: Json, action: str) -> bool:
    def among(patterns: list[str]) -> bool:
        return any(fnmatchcase(action.lower(), pattern.lower()) for pattern in patterns)

    return among(role.get("actions", [])) and not among(role.get("notActions", []))


@dataclass
class Fault(setup.Fault):
    """A fault and its calls.

    `method` and `type` say with which calls, `path` which words their address holds; None means with all.
    """

    method: str | None = None
    type: str | None = None
    path: str | None = None
    status: int | None = None
    message: str | None = None
    retry_after: int | None = None

    def fits(self, call: Call, kind: str) -> bool:
        """Whether this call is meant."""
        return (
            self.method in (None, call.method)
            and (self.type is None or self.type.lower() == kind.lower())
            and (self.path is None or self.path.lower() in call.path.lower())
        )

    def refusal(self, action: str, scope: str) -> Refusal:
        """What ARM says."""
        status, code, message = _REFUSALS.get(self.code, (400, self.code, "The request was refused."))
        status = self.status or status
        wait = self.retry_after if self.retry_after is not None else (1 if status == 429 else None)
        text = self.message or message.format(action=action, scope=scope)
        return Refusal(status, code, text, headers={} if wait is None else {"Retry-After": str(wait)})


@dataclass
class Conditions(setup.Conditions):
    """How things are.

    `polls`: how many later calls find an operation under way (None: all, until told to end). `listing_lag_s`: how long
    a new group or resource is missing from the listings of groups and of resources, which ARM keeps in a cache.
    `reference_lag_s`: how long it is not found by its id either, by a GET or where another call refers to it.
    Quotas, restrictions and what is sold out go by region, `*` being all of them. `features` are what is registered on
    the subscription (`TrustedLaunchByDefaultPreview`). `gallery` are images in compute galleries: id, versions,
    generation, arch, gpus.

    `registered`: the providers that the subscription is registered for, beside Microsoft.Resources; `unregistered`
    takes some away again. `registering`: how many looks at a provider find its registration under way (None: all).
    `no_daily_timer`: the regions without daily shutdown schedules. `late_timer`: what a schedule does that is written
    in its last 30 minutes: `tomorrow`, or `old time too`. `no_timer_while_creating`: whether a machine that is being
    created takes no schedule. `update_while_creating`: what an update of such a machine does: it is `refused`, or it
    `preempts` the creation. `no_inline_tags`: whether interfaces and addresses described inside a machine's call lose
    their tags. `policy_makes`: names of security groups that a policy puts into the group of every new machine, without
    tags. `workflow_runs`: the status of every further run of a Logic App.
    """

    fault = Fault
    # How many looks something takes; None is for ever.
    optional = ("polls", "registering")
    polls: int | None = 0
    retry_after: int = 0
    page_size: int = 100
    listing_lag_s: int = 0
    reference_lag_s: int = 0
    quotas: dict[str, dict[str, int]] = field(default_factory=dict)
    restrictions: dict[str, dict[str, str]] = field(default_factory=dict)
    sold_out: dict[str, list[str]] = field(default_factory=dict)
    registered: list[str] = field(default_factory=list)
    unregistered: list[str] = field(default_factory=list)
    registering: int | None = 1
    no_daily_timer: list[str] = field(default_factory=lambda: ["polandcentral"])
    late_timer: str = "tomorrow"
    no_timer_while_creating: bool = True
    update_while_creating: str = "refused"
    no_inline_tags: bool = False
    policy_makes: list[str] = field(default_factory=list)
    workflow_runs: str = "Succeeded"
    features: list[str] = field(default_factory=list)
    spot_prices: dict[str, float] = field(default_factory=dict)
    subscriptions: dict[str, str] = field(default_factory=dict)
    permissions: list[Json] = field(default_factory=lambda: [{"actions": ["*"], "notActions": []}])
    gallery: list[Json] = field(default_factory=list)

    def offering(self, kind: str, regions: Iterable[str]) -> list[str]:
        """The regions that have resources of that type."""
        lacking = self.no_daily_timer if kind == DAILY else []
        return [region for region in regions if not {"*", region} & set(lacking)]

    def refuse(self, call: Call, kind: str, action: str) -> None:
        """Raise what goes wrong with this call before anything is done: a right that is lacking, or a fault."""
        if not any(_grants(permission, action) for permission in self.permissions):
            raise Fault("AuthorizationFailed").refusal(action, call.path)
        later = set(OF_THE_MACHINE) | OF_THE_OPERATION | OF_THE_GROUP
        fault = self.take_fault(lambda fault: fault.code not in later and fault.fits(call, kind))
        if fault is not None:
            raise fault.refusal(action, call.path)

    def take(self, call: Call, kind: str, codes: Any) -> Fault | None:
        """The fault with one of these codes that is to befall what this call begins, used up once."""
        fault: Fault | None = self.take_fault(lambda fault: fault.code in codes and fault.fits(call, kind))
        return fault

    @staticmethod
    def in_region(places: dict[str, Any], region: str, absent: Any) -> Any:
        """What is set for a region, or for all of them under `*`."""
        return (
            {**places.get("*", {}), **places.get(region, {})}
            if isinstance(absent, dict)
            else [
                *places.get("*", absent),
                *places.get(region, absent),
            ]
        )
