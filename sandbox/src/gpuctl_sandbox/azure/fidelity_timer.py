"""The rules about shutdown schedules, registration, updates and what is left behind, for docs/fidelity.md."""

from gpuctl_sandbox.fidelity import Rule, Status


def _rule(name: str, statement: str, source: str, status: Status) -> Rule:
    return Rule("Azure", name, statement, source, status)


RULES: tuple[Rule, ...] = (
    _rule(
        "half hour before a shutdown",
        "A daily schedule that is written in the last 30 minutes before its time acts the next day, also when the "
        "same time is written again.",
        "MicrosoftDocs/azure-docs, articles/devtest-labs/devtest-lab-auto-shutdown.md (note)",
        "documented",
    ),
    _rule(
        "shutdown at the old time after a late change",
        "A test can let the shutdown at the old time take place all the same.",
        "not documented: both answers are tested",
        "assumed",
    ),
    _rule(
        "lead time of a new shutdown schedule",
        "A daily schedule whose time is less than 31 minutes ahead acts the next day.",
        "a Microsoft support article on auto-shutdown times gives 31 minutes with notifications; the shorter time "
        "without them is not known, so 31 minutes are taken for both",
        "reported",
    ),
    _rule(
        "regions without shutdown schedules",
        "A schedule in a region that its provider does not list is refused with 400 "
        "LocationNotAvailableForResourceType; `polandcentral` is one of them.",
        "reports of Terraform users for denmarkeast, polandcentral and indiasouthcentral, with Azure's own message",
        "reported",
    ),
    _rule(
        "schedule for a machine that is being created",
        "A schedule for a machine in `Creating` is refused with 409.",
        "no source: portal templates always wait for the machine",
        "assumed",
    ),
    _rule(
        "registration of resource providers",
        "A subscription is registered for Microsoft.Resources alone; every call to another provider is refused with "
        "409 MissingSubscriptionRegistration until that is registered.",
        "MicrosoftDocs/azure-docs, azure-services-resource-providers.md (registered by default), and "
        "azure-mgmt-core's ARMAutoResourceProviderRegistrationPolicy",
        "documented",
    ),
    _rule(
        "calls while a provider is registering",
        "A provider is `Registering` for a number of looks, and refuses other calls until it is `Registered`.",
        "Microsoft says that a region may be usable earlier; the emulated cloud lets none be",
        "assumed",
    ),
    _rule(
        "update of a machine that is being created",
        "A PATCH of a machine in `Creating` is refused with 409, or, set up so, preempts the creation, which then "
        "fails with OperationPreempted.",
        "Azure/azure-rest-api-specs#22434, Azure/azure-sdk-for-python#5167, osbuild/osbuild-composer#1447",
        "reported",
    ),
    _rule(
        "updates of one machine",
        "One machine takes 12 updates at once and 4 a minute; more are refused with 429 and Retry-After.",
        "MicrosoftDocs/azure-compute-docs, articles/virtual-machines/compute-throttling-limits.md",
        "documented",
    ),
    _rule(
        "tags of interfaces and addresses inside a machine's call",
        "They are kept; a test can let them be lost.",
        "azure-mgmt-compute documents both `tags` fields; whether Azure keeps them is not proven",
        "assumed",
    ),
    _rule(
        "parts that a policy adds",
        "A test can let a policy put a security group without tags into the group of every new machine.",
        "Azure Policy, effects deployIfNotExists and modify",
        "documented",
    ),
    _rule(
        "parts of an evicted spot machine",
        "Eviction with policy Delete removes machine and system disk, and leaves interface and address.",
        "no source: the documentation names the machine and its disks only",
        "assumed",
    ),
)
