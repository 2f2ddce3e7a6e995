"""What Google says before an instance is made: permissions, quota, where it is sold, how long the login lasts."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from gpuctl.domain.diagnosis import Finding, Verdict
from gpuctl.domain.instance import Market
from gpuctl.providers.base import DiagnosedInstance
from gpuctl.providers.gcp.client import Api
from gpuctl.providers.gcp.codes import TABLE
from gpuctl.providers.gcp.errors import CALL_ERRORS, translate
from gpuctl.providers.gcp.names import other_types_hint, parts
from gpuctl.providers.gcp.zones import Zones

# docs/gcp-role.yaml has all of it.
TO_CREATE = (
    "compute.projects.get",
    "compute.machineTypes.list",
    "compute.instances.create",
    "compute.instances.setLabels",
    "compute.instances.setMetadata",
    "compute.instances.setTags",
    "compute.disks.create",
    "compute.disks.setLabels",
    "compute.subnetworks.use",
    "compute.subnetworks.useExternalIp",
    "compute.zoneOperations.get",
    "compute.firewalls.list",
)
TO_OPEN = ("compute.firewalls.create", "compute.networks.updatePolicy", "compute.globalOperations.get")
TO_END = ("compute.instances.list", "compute.instances.get", "compute.instances.delete", "compute.zoneOperations.list")

_GLOBAL = "GPUS_ALL_REGIONS"
_LASTS = (
    "tokens are renewed automatically until the login or the key behind them is revoked, which Google does not report; "
    "an organization may require a new `gcloud auth application-default login` every few hours"
)
_PAGE = "https://console.cloud.google.com/iam-admin/quotas"


def diagnose(api: Api, zones: Zones, trial: DiagnosedInstance) -> Iterator[Finding]:
    """See `Provider.diagnose`. Google has no dry run: the permissions held on the whole project are read instead."""
    to_create = TO_CREATE + (TO_OPEN if trial.opens_ssh else ())
    yield _finding_of("create-permission", lambda: _may_create(api, to_create, trial))
    yield _finding_of("terminate-permission", lambda: _may_end(api, trial))
    yield _finding_of("quota", lambda: _quota(api, trial))
    yield _finding_of("zones", lambda: _offered(zones, trial))
    yield Finding("credential-expiry", Verdict.OK, _LASTS)


def _finding_of(check: str, ask: Callable[[], Finding]) -> Finding:
    """The finding, or UNKNOWN if Google could not be queried."""
    try:
        return ask()
    except (*CALL_ERRORS, KeyError, TypeError, ValueError) as error:
        problem = translate(error, "could not be queried")
        return Finding(check, Verdict.UNKNOWN, problem.message, problem.hint)


def _permitted(api: Api, check: str, wanted: tuple[str, ...], trial: DiagnosedInstance) -> Finding:
    current = api.permissions(list(wanted))
    return _finding(check, [name for name in wanted if name not in current], trial)


def _may_create(api: Api, wanted: tuple[str, ...], trial: DiagnosedInstance) -> Finding:
    finding = _permitted(api, "create-permission", wanted, trial)
    if finding.verdict is Verdict.FAIL:
        return finding
    try:
        has_billing = api.has_billing()
    except (*CALL_ERRORS, ValueError) as error:
        text = f"{finding.text}; whether the project has billing could not be queried"
        return Finding(finding.check, finding.verdict, f"{text} ({translate(error, 'Cloud Billing API').message})")
    if has_billing:
        return Finding(finding.check, finding.verdict, f"{finding.text}, and the project has billing")
    return Finding(finding.check, Verdict.FAIL, "the project has no billing", TABLE.hint("BILLING_DISABLED"))


def _may_end(api: Api, trial: DiagnosedInstance) -> Finding:
    if trial.machine is None:
        return _permitted(api, "terminate-permission", TO_END, trial)
    zone, name = parts(trial.machine)
    wanted = ["compute.instances.get", "compute.instances.delete"]
    reply = api.post(f"zones/{zone}/instances/{name}/testIamPermissions", {"permissions": wanted})
    current = reply.get("permissions") or ()
    return _finding("terminate-permission", [name for name in wanted if name not in current], trial)


def _finding(check: str, missing: list[str], trial: DiagnosedInstance) -> Finding:
    doing = {"create-permission": "creating", "terminate-permission": "terminating"}[check]
    if missing:
        more = " …" if len(missing) > 1 else ""
        text = f"{doing} `{trial.kind.name}` is not permitted on the whole project: lacks `{missing[0]}`{more}"
        return Finding(check, Verdict.FAIL, text, "docs/gcp-role.yaml")
    return Finding(check, Verdict.OK, f"{doing} instances is permitted")


def _quota(api: Api, trial: DiagnosedInstance) -> Finding:
    """The quota of the GPU family on demand and as spot in the region, and of all GPUs in the project."""
    need, kind = trial.kind.gpu_count, trial.kind
    of_project = _counters(api.get(""))
    of_region = _counters(api.get(f"regions/{trial.region}"))
    total = of_project.get(_GLOBAL)
    standard = of_region.get(kind.quota_family(Market.ON_DEMAND))
    spot = of_region.get(kind.quota_family(Market.SPOT))
    parts = [f"{used:g} of {limit:g} GPUs in use in all regions" for used, limit in [total] if total] if total else []
    parts += [
        f"{used:g} of {limit:g} in {trial.region} ({name})" for name, used, limit in _limits_named(kind, standard)
    ]
    if spot is not None:
        parts.append(f"as spot {spot[0]:g} of {spot[1]:g}")
    text = f"{', '.join(parts) or 'no quota is shown'}; `{kind.name}` needs {need:g}"
    if total is not None and total[0] + float(need) > total[1]:
        return Finding("quota", Verdict.FAIL, text, _PAGE)
    if standard is None:
        return Finding("quota", Verdict.UNKNOWN, f"{text}; the quota of its GPU family is not in this API", _PAGE)
    if standard[0] + float(need) > standard[1]:
        # An instance that a run limit deletes within 7 days may draw on the preemptible quota as well.
        fits = spot is not None and spot[0] + float(need) <= spot[1]
        return Finding("quota", Verdict.WARN if fits else Verdict.FAIL, text, _PAGE)
    return Finding("quota", Verdict.OK, text)


def _limits_named(kind: Any, standard: tuple[float, float] | None) -> list[tuple[str, float, float]]:
    return [] if standard is None else [(kind.quota_family(Market.ON_DEMAND), *standard)]


def _counters(reply: Mapping[str, Any]) -> dict[str, tuple[float, float]]:
    return {str(item["metric"]): (float(item["usage"]), float(item["limit"])) for item in reply.get("quotas") or ()}


def _offered(zones: Zones, trial: DiagnosedInstance) -> Finding:
    zone_order = zones.of(trial.region, trial.kind.name)
    if not zone_order:
        text = f"`{trial.kind.name}` is not offered in {trial.region}"
        return Finding("zones", Verdict.FAIL, text, other_types_hint(trial.region))
    return Finding("zones", Verdict.OK, f"`{trial.kind.name}` is offered in {', '.join(zone_order)}")
