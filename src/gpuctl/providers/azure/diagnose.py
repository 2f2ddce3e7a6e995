"""What Azure says of an instance that is not made: rights, quota, where it is sold, and how long the login lasts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from fnmatch import fnmatchcase
from functools import partial
from typing import Any

from gpuctl.domain.diagnosis import Finding, Verdict
from gpuctl.errors import CapacityError
from gpuctl.providers.azure.client import AzureClients
from gpuctl.providers.azure.codes import NOT_REGISTERED
from gpuctl.providers.azure.errors import SDK_ERRORS, code_of, translate
from gpuctl.providers.azure.janitor import find_janitor
from gpuctl.providers.azure.registration import NOT_CHECKED, Registration
from gpuctl.providers.azure.sizes import size_of
from gpuctl.providers.base import DiagnosedInstance

_PERMISSIONS_API = "2022-04-01"
_GROUPS = "Microsoft.Resources/subscriptions/resourceGroups"
# What a create and an end cannot do without; docs/azure-role.json has all of it.
TO_CREATE = (
    "Microsoft.Resources/subscriptions/providers/read",
    f"{_GROUPS}/write",
    "Microsoft.Network/networkSecurityGroups/write",
    "Microsoft.Network/virtualNetworks/write",
    "Microsoft.Network/networkInterfaces/write",
    "Microsoft.Network/publicIPAddresses/write",
    "Microsoft.Compute/virtualMachines/write",
    "Microsoft.DevTestLab/schedules/write",
)
TO_END = (
    f"{_GROUPS}/read",
    f"{_GROUPS}/delete",
    f"{_GROUPS}/resources/read",
    "Microsoft.Compute/virtualMachines/delete",
)


# No credentials of Azure's say when they end: it is the tenant that decides.
_LASTS = (
    "tokens are renewed automatically until the `az login`, the client secret or the certificate behind them expires, "
    "which Azure does not report; an `az login` usually ends after 90 days without use"
)
_REGIONAL, _SPOT = "cores", "lowPriorityCores"


def diagnose(clients: AzureClients, trial: DiagnosedInstance) -> Iterator[Finding]:
    """See `Provider.diagnose`. Azure has no dry run: what this login is granted on the subscription is read instead."""
    registration = Registration(clients)
    granted = _finding_of("create-permission", lambda: _granted(clients))
    for check, needed in (("create-permission", TO_CREATE), ("terminate-permission", TO_END)):
        if check == "create-permission" and not isinstance(granted, Finding):
            yield _finding_of("create-permission", partial(_creatable, registration, granted, trial))
        elif isinstance(granted, Finding):
            yield Finding(check, granted.verdict, granted.text, granted.hint)
        else:
            yield _permitted(check, needed, granted, trial)
    yield find_janitor(clients, trial.now)
    offered = partial(_offered, registration)
    for check, look in (("quota", _quota), ("zones", offered)):
        yield _finding_at(check, look, clients, trial)
    yield Finding("credential-expiry", Verdict.OK, _LASTS)


def _finding_of(check: str, ask: Callable[[], Any]) -> Any:
    """The reply, or a finding UNKNOWN if Azure could not be queried."""
    try:
        return ask()
    except SDK_ERRORS as error:
        if code_of(error) == NOT_REGISTERED:
            return Finding(check, Verdict.UNKNOWN, NOT_CHECKED)
        problem = translate(error, "could not be queried")
        return Finding(check, Verdict.UNKNOWN, problem.message, problem.hint)


def _finding_at(
    check: str,
    look: Callable[[AzureClients, DiagnosedInstance], Finding],
    clients: AzureClients,
    trial: DiagnosedInstance,
) -> Finding:
    finding: Finding = _finding_of(check, lambda: look(clients, trial))
    return finding


def _creatable(registration: Registration, granted: Sequence[Mapping[str, Any]], trial: DiagnosedInstance) -> Finding:
    finding = _permitted("create-permission", TO_CREATE, granted, trial)
    missing = registration.missing() if finding.verdict is Verdict.OK else []
    barred = [name for name in missing if not any(_grants(item, f"{name}/register/action") for item in granted)]
    if barred:
        text = f"{barred[0]} is not registered in this subscription, and this login may not register it"
        return Finding("create-permission", Verdict.FAIL, text, f"az provider register --namespace {barred[0]}")
    if missing:
        return Finding(
            "create-permission", Verdict.OK, f"{finding.text}; the first instance also registers {', '.join(missing)}"
        )
    return finding


def _granted(clients: AzureClients) -> Sequence[Mapping[str, Any]]:
    path = f"/subscriptions/{clients.subscription}/providers/Microsoft.Authorization/permissions"
    granted: Sequence[Mapping[str, Any]] = clients.ask("GET", path, _PERMISSIONS_API).json()["value"]
    return granted


def _permitted(
    check: str, needed: Sequence[str], granted: Sequence[Mapping[str, Any]], trial: DiagnosedInstance
) -> Finding:
    missing = [right for right in needed if not any(_grants(item, right) for item in granted)]
    doing = {"create-permission": "creating", "terminate-permission": "terminating"}[check]
    if missing:
        more = " …" if len(missing) > 1 else ""
        text = f"{doing} `{trial.kind.name}` is not permitted on the whole subscription: lacks `{missing[0]}`{more}"
        return Finding(check, Verdict.FAIL, text, "docs/azure-role.json")
    return Finding(check, Verdict.OK, f"{doing} instances is permitted")


def _grants(role: Mapping[str, Any], right: str) -> bool:
    def among(patterns: Sequence[str]) -> bool:
        return any(fnmatchcase(right.casefold(), pattern.casefold()) for pattern in patterns)

    return among(role.get("actions") or ()) and not among(role.get("notActions") or ())


def _quota(clients: AzureClients, trial: DiagnosedInstance) -> Finding:
    """Azure counts vCPUs on demand for the family and for the region, and those of spot in a sum of their own."""
    need, name = trial.kind.vcpus, trial.kind.name
    try:
        family = size_of(clients, trial.region, name).family
    except CapacityError:
        family = ""
    usages = [item.as_dict() for item in clients.compute.usage.list(trial.region)] if family else []
    counters = {
        str(usage["name"]["value"]).casefold(): (int(usage["currentValue"]), int(usage["limit"])) for usage in usages
    }
    of_family = counters.get(family.casefold())
    if of_family is None or need is None:
        return Finding("quota", Verdict.UNKNOWN, f"no quota is known for `{name}`")
    named = {family: of_family, "all families": counters.get(_REGIONAL.casefold(), of_family)}
    text = ", ".join(
        f"{used} of {limit} vCPUs in use in {trial.region} ({label})" for label, (used, limit) in named.items()
    )
    text = f"{text}; `{name}` needs {need}"
    used, limit = counters.get(_SPOT.casefold(), (0, need))
    if used + need > limit:
        text += f"; as spot it does not fit: {used} of {limit} spot vCPUs in use"
    if all(used + need <= limit for used, limit in named.values()):
        return Finding("quota", Verdict.OK, text)
    return Finding("quota", Verdict.FAIL, text, f"az vm list-usage --location {trial.region}, then its Quotas page")


def _offered(registration: Registration, clients: AzureClients, trial: DiagnosedInstance) -> Finding:
    if not registration.has_timer(trial.region):
        text = f"Azure has no shutdown timer in {trial.region}: gpuctl starts nothing there"
        return Finding("zones", Verdict.FAIL, text, "take another `--region`")
    try:
        size = size_of(clients, trial.region, trial.kind.name)
    except CapacityError as error:
        return Finding("zones", Verdict.FAIL, error.message, error.hint)
    zones = f", zones {', '.join(size.zones)}" if size.zones else ""
    return Finding("zones", Verdict.OK, f"`{size.name}` is offered in {trial.region}{zones}")
