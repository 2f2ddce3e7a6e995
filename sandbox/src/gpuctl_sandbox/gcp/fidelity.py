"""The rules of the emulated Compute Engine and their sources, for docs/fidelity.md."""

from gpuctl_sandbox.fidelity import Rule, Status
from gpuctl_sandbox.gcp.guests import RULES as GUESTS


def _rule(name: str, statement: str, source: str, status: Status) -> Rule:
    return Rule("Google Cloud", name, statement, source, status)


_DISCOVERY = "Google's discovery document of compute v1, revision 20261106"
_INSTANCE_LIMIT = "cloud.google.com/compute/docs/instances/limit-vm-runtime"

RULES: tuple[Rule, ...] = (
    *GUESTS,
    _rule(
        "fields and parameters",
        "A path, parameter, field, type or enum value that is not in the discovery document is refused with 400; "
        "fields that only Google sets are ignored.",
        _DISCOVERY,
        "documented",
    ),
    _rule(
        "an insert is answered before it is decided",
        "An insert is answered with 200 and an operation; stockouts, quotas and organization policies are errors "
        "inside the operation, whose reply stays 200.",
        f"{_DISCOVERY}, Operation.error; public run logs of stockouts",
        "reported",
    ),
    _rule(
        "OS Login required by a policy",
        "Under constraints/compute.requireOsLogin an insert whose metadata has `enable-oslogin: FALSE` is 412 "
        "`conditionNotMet` at once.",
        "Compute Engine documentation, Manage OS Login in an organization: such requests are rejected; how is assumed",
        "documented",
    ),
    _rule(
        "request ID",
        "A repeat with the same request ID returns the operation that the first one began, in the state it has by "
        "then, and begins nothing.",
        f"{_DISCOVERY}, instances.insert.requestId",
        "documented",
    ),
    _rule(
        "how long a request ID is remembered",
        "A request ID is forgotten after an hour, also when the body of the repeat differs.",
        "not documented for Compute Engine; other Google APIs name at least 60 minutes",
        "assumed",
    ),
    _rule(
        "names are unique in a zone",
        "A second instance of the same name in a zone is 409 `alreadyExists`, whatever its request ID; a deleted "
        "name is free at once.",
        "Compute Engine error reference, alreadyExists",
        "documented",
    ),
    _rule(
        "labels, metadata and network tags",
        "Keys, values, numbers and sizes beyond their limits are refused with 400.",
        "Compute Engine documentation, Label requirements and Metadata entry limits; the discovery document",
        "documented",
    ),
    _rule(
        "fingerprints",
        "setLabels and setMetadata replace everything and need the current fingerprint; a stale or missing one is 412 "
        "`conditionNotMet`.",
        f"{_DISCOVERY}, Instance.labelFingerprint and Metadata.fingerprint; Terraform retries on that message",
        "documented",
    ),
    _rule(
        "auto-delete",
        "A disk goes with its instance only where `autoDelete` is true, which it is not by default.",
        f"{_DISCOVERY}, AttachedDisk.autoDelete",
        "documented",
    ),
    _rule(
        "leftovers of a failed insert",
        "An insert whose operation fails leaves neither instance nor disk.",
        "a public run log lists what remained after a stockout: nothing",
        "reported",
    ),
    _rule(
        "time limit",
        "`maxRunDuration` is 30 seconds to 120 days, needs `instanceTerminationAction`, counts from RUNNING and is "
        "acted upon up to 30 seconds late.",
        _INSTANCE_LIMIT,
        "documented",
    ),
    _rule(
        "time limit of a stopped instance",
        "An instance that was stopped before its limit is not deleted by it; a test can let it be deleted.",
        f"{_INSTANCE_LIMIT} clears the timestamp on a stop; one user's log shows a deletion",
        "assumed",
    ),
    _rule(
        "power-off from inside",
        "The instance becomes TERMINATED, its disk bills on, and the termination action is not taken; the operation is "
        "`compute.instances.guestTerminate`.",
        "public run logs",
        "reported",
    ),
    _rule(
        "how an instance ended",
        "The operations of a zone show for 14 days `compute.instances.preempted`, `deferredDelete`, `deferredStop`, "
        "`guestTerminate`, `hostError`, `delete` and `stop`; there is no other trace of a deleted instance.",
        "public logs of `gcloud compute operations list`; the 14 days are assumed",
        "reported",
    ),
    _rule(
        "automatic restart",
        "`automaticRestart` is true by default: after a host error the instance runs again, with a new time limit.",
        f"{_DISCOVERY}, Scheduling.automaticRestart; that the limit begins anew is assumed",
        "documented",
    ),
    _rule(
        "GPUs and host maintenance",
        "An instance with GPUs needs `onHostMaintenance: TERMINATE`; GPUs are attached to N1 types only, all other "
        "types bring theirs.",
        "Compute Engine documentation, GPU machine types; the message is quoted in public logs",
        "documented",
    ),
    _rule(
        "disk types of a machine family",
        "A disk type that the family does not take is 400 `features are not compatible for creating instance`.",
        "the message is quoted in public logs; the table is that of the documentation as far as known",
        "reported",
    ),
    _rule(
        "types that are not sold as standard instances",
        "A3 with fewer than 8 GPUs, A3 Ultra, A4 and A4X are refused with 400 unless they are spot instances.",
        "no source for the answer; the documentation names the consumption options of each type",
        "assumed",
    ),
    _rule(
        "deletion protection",
        "A delete of a protected instance is 400 `invalidResourceUsage`.",
        "Compute Engine documentation, Prevent accidental VM deletion, quotes the message",
        "documented",
    ),
    _rule(
        "second delete",
        "A delete while another is under way is 400 `resourceNotReady`; a test can let it be accepted.",
        "not documented: both answers are tested",
        "assumed",
    ),
    _rule(
        "deletion of an instance that is being created",
        "The delete is accepted, and the operation of the insert ends with an error of status 409.",
        "public run logs",
        "reported",
    ),
    _rule(
        "lists of all zones",
        "An aggregated list has an entry for every zone: its items, or a warning, `NO_RESULTS_ON_PAGE` for an empty "
        "one; a zone that is out is a warning, an entry of `unreachables`, or 503.",
        f"{_DISCOVERY}, InstanceAggregatedList",
        "documented",
    ),
    _rule(
        "filters",
        "`name=value` and `name:*` are the filters that gpuctl sends; anything else is 400.",
        f"{_DISCOVERY}, instances.list.filter",
        "documented",
    ),
    _rule(
        "quotas",
        "GPUs count against the metric of their model in the region, spot GPUs against its PREEMPTIBLE one, all "
        "against GPUS_ALL_REGIONS; newer models have no metric.",
        "Compute Engine documentation, Allocation quotas; public logs of both messages",
        "reported",
    ),
    _rule(
        "rules of the default network",
        "The default network has `default-allow-ssh` (tcp 22 from everywhere, priority 65534); a lower number comes "
        "first, and a denial before a permission of the same priority.",
        "VPC documentation, Firewall rules and Pre-populated rules in the default network",
        "documented",
    ),
    _rule(
        "firewall rules in use",
        "A firewall rule can be deleted while instances use it.",
        "VPC documentation names no such refusal",
        "assumed",
    ),
    _rule(
        "permissions",
        "Every call is refused with 403 `forbidden` unless the caller holds what Google's reference names for the "
        "method; testIamPermissions returns those held, and no field where none is.",
        "Compute Engine IAM reference; the reference of each method",
        "documented",
    ),
    _rule(
        "billing of a project",
        "projects.getBillingInfo needs `resourcemanager.projects.get`; a project without billing has no field "
        "`billingEnabled`.",
        "discovery document of Cloud Billing v1, projects.getBillingInfo; that a false field is left out is assumed",
        "documented",
    ),
    _rule(
        "API or billing off",
        "A project without the API answers 403 `accessNotConfigured`, one without billing 403 with BILLING_DISABLED on "
        "calls that create.",
        "Google Cloud documentation, Troubleshoot API errors; which calls billing refuses is assumed",
        "documented",
    ),
    _rule(
        "console output",
        "The serial port shows what was written a minute after the start at the earliest, also of a stopped instance; "
        "an image that runs no startup script with systemd writes nothing of the guard.",
        "Compute Engine documentation, Viewing serial port output; the minute is assumed",
        "documented",
    ),
    _rule(
        "GPU drivers",
        "A GPU works where its image has a driver for it: none before Turing with driver 580 and later.",
        "NVIDIA's notes on its open kernel modules; that the image has these is assumed",
        "assumed",
    ),
)
