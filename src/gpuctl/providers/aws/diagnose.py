"""What AWS says of an instance that is not made: dry runs, quotas, zones, and how long the login lasts."""

from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any

from gpuctl.domain.diagnosis import Finding, Verdict
from gpuctl.domain.duration import approximate
from gpuctl.domain.instance import Market
from gpuctl.errors import CredentialsError
from gpuctl.providers.aws.client import AwsClients
from gpuctl.providers.aws.create import run_instances
from gpuctl.providers.aws.errors import NOT_FOUND, SDK_ERRORS, code_of, translate
from gpuctl.providers.aws.facts import quota_families
from gpuctl.providers.aws.ingress import try_group
from gpuctl.providers.base import DiagnosedInstance, Order

# Quotas are of vCPUs; https://docs.aws.amazon.com/ec2/latest/instancetypes/ec2-instance-quotas.html
_QUOTAS = {
    ("g", Market.ON_DEMAND): "L-DB2E81BA",
    ("p", Market.ON_DEMAND): "L-417A185B",
    ("dl", Market.ON_DEMAND): "L-6E869C2A",
    ("g", Market.SPOT): "L-3819A6DF",
    ("p4", Market.SPOT): "L-7212CCBC",
    ("p5", Market.SPOT): "L-C4BD4855",
    ("dl", Market.SPOT): "L-85EED4F7",
}
_FIRST_LETTERS = {"g": ("g", "vt"), "p": ("p",), "p4": ("p",), "p5": ("p",), "dl": ("dl",)}
_PERMITTED = "DryRunOperation"
_NOBODYS = "i-00000000000000000"
# Credentials that the SDK renews by itself, for as long as the computer or the file they come from is there.
_RENEWED = ("iam-role", "container-role", "assume-role-with-web-identity")
_EXAMPLE_RANGE = "192.0.2.1/32"


def diagnose(clients: AwsClients, trial: DiagnosedInstance) -> Iterator[Finding]:
    """See `Provider.diagnose`."""
    yield _create(clients, trial)
    yield _end(clients, trial)
    yield _finding_of("quota", lambda: _quota(clients, trial))
    yield _finding_of("zones", lambda: _offered(clients, trial))
    yield _finding_of("credential-expiry", lambda: _credential_expiry(clients, trial))


def _finding_of(check: str, ask: Callable[[], Finding]) -> Finding:
    """The finding, or UNKNOWN if AWS could not be queried."""
    try:
        return ask()
    except SDK_ERRORS as error:
        problem = translate(error, "could not be queried")
        return Finding(check, Verdict.UNKNOWN, problem.message, problem.hint)


def _create(clients: AwsClients, trial: DiagnosedInstance) -> Finding:
    if trial.order is None:
        return Finding("create-permission", Verdict.UNKNOWN, "there is no image to check with")
    what = f"`{trial.kind.name}` in {trial.region}"
    call = run_instances(trial.order, None) | {"DryRun": True}
    code, failure = _dry_run_code(lambda: clients.client("ec2", trial.region, once=True).run_instances(**call))
    if code == _PERMITTED:
        text = f"creating {what} is permitted{_spot(clients, trial.order)}"
        return _group(clients, trial.order, trial.opens_ssh) or Finding("create-permission", Verdict.OK, text)
    if failure is None:
        raise AssertionError("a dry run was carried out")
    problem = translate(failure, f"creating {what} would fail")
    is_denied = isinstance(problem, CredentialsError)
    return Finding(
        "create-permission", Verdict.FAIL, problem.message, "docs/aws-policy.json" if is_denied else problem.hint
    )


def _spot(clients: AwsClients, order: Order) -> str:
    """What prevents a spot instance where an on-demand one is permitted; empty if nothing does."""
    call = run_instances(replace(order, market=Market.SPOT), None) | {"DryRun": True}
    code, failure = _dry_run_code(lambda: clients.client("ec2", order.region, once=True).run_instances(**call))
    if code == _PERMITTED or failure is None:
        return ""
    problem = translate(failure, "a spot request would fail")
    return f"; {problem.message}{f': {problem.hint}' if problem.hint else ''}"


def _group(clients: AwsClients, order: Order, opens_ssh: bool) -> Finding | None:
    """What prevents the security group that allows SSH; None if nothing does."""
    if not opens_ssh:
        return None
    code, failure = _dry_run_code(lambda: try_group(clients, replace(order, ssh_from=_EXAMPLE_RANGE), _EXAMPLE_RANGE))
    if code == _PERMITTED:
        return None
    if failure is None:
        raise AssertionError("a dry run was carried out")
    problem = translate(failure, "creating a security group for ssh would fail")
    is_denied = isinstance(problem, CredentialsError)
    hint = "add `--ssh-from none`, or allow it: docs/aws-policy.json" if is_denied else problem.hint
    return Finding("create-permission", Verdict.FAIL, problem.message, hint)


def _end(clients: AwsClients, trial: DiagnosedInstance) -> Finding:
    """Ask about an instance that cannot exist; a policy may decide by tags, so then about a real one."""
    ec2 = clients.client("ec2", trial.region)
    failure: Exception | None = None
    for machine in (_NOBODYS, *([trial.machine] if trial.machine else [])):
        code, failure = _dry_run_code(partial(ec2.terminate_instances, InstanceIds=[machine], DryRun=True))
        if code == _PERMITTED or code in NOT_FOUND:
            return Finding("terminate-permission", Verdict.OK, f"terminating instances in {trial.region} is permitted")
    if failure is None:
        raise AssertionError("a dry run was carried out")
    problem = translate(failure, f"terminating instances in {trial.region}")
    if isinstance(problem, CredentialsError) and trial.machine is None:
        text = "denied; a policy that permits it by gpuctl's tags can be checked only with an active instance"
        return Finding("terminate-permission", Verdict.UNKNOWN, text, "start an instance, then: gpuctl doctor")
    return Finding("terminate-permission", Verdict.FAIL, problem.message, "docs/aws-policy.json")


def _quota(clients: AwsClients, trial: DiagnosedInstance) -> Finding:
    if clients.connection.sandbox_url is not None:
        return Finding("quota", Verdict.OK, "the emulated AWS has no quota")
    need = trial.kind.vcpus
    family = _family(trial.kind.name, Market.ON_DEMAND)
    code = _QUOTAS.get((family, Market.ON_DEMAND))
    if code is None or need is None:
        return Finding("quota", Verdict.UNKNOWN, f"no quota is known for `{trial.kind.name}`")
    allowed, used = _allowed(clients, trial, code), _used_vcpus(clients, trial, Market.ON_DEMAND)
    text = f"{used} of {allowed} vCPUs in use in {trial.region} ({code}); `{trial.kind.name}` needs {need}"
    text += _as_spot(clients, trial)
    if used + need <= allowed:
        return Finding("quota", Verdict.OK, text)
    more = f"--service-code ec2 --quota-code {code} --desired-value {used + need} --region {trial.region}"
    return Finding("quota", Verdict.FAIL, text, f"aws service-quotas request-service-quota-increase {more}")


def _as_spot(clients: AwsClients, trial: DiagnosedInstance) -> str:
    """How much of the type's quota for spot is in use; empty where that is not known."""
    code = _QUOTAS.get((_family(trial.kind.name, Market.SPOT), Market.SPOT))
    if code is None:
        return ""
    try:
        allowed, used = _allowed(clients, trial, code), _used_vcpus(clients, trial, Market.SPOT)
    except (*SDK_ERRORS, KeyError):
        return ""
    return f"; as spot {used} of {allowed} ({code})"


def _allowed(clients: AwsClients, trial: DiagnosedInstance, code: str) -> int:
    service_quota = clients.client("service-quotas", trial.region).get_service_quota(ServiceCode="ec2", QuotaCode=code)
    return int(service_quota["Quota"]["Value"])


def _family(name: str, market: Market) -> str:
    on_demand, spot = quota_families(name)
    return spot if market is Market.SPOT else on_demand


def _used_vcpus(clients: AwsClients, trial: DiagnosedInstance, market: Market) -> int:
    """The vCPUs of every instance that counts against the type's quota in that market, regardless of who started it."""
    family = _family(trial.kind.name, market)
    pages = (
        clients.client("ec2", trial.region)
        .get_paginator("describe_instances")
        .paginate(
            Filters=[
                {"Name": "instance-type", "Values": [f"{letters}*" for letters in _FIRST_LETTERS[family]]},
                {"Name": "instance-state-name", "Values": ["pending", "running", "stopping"]},
            ]
        )
    )
    every = [instance for page in pages for current in page["Reservations"] for instance in current["Instances"]]
    return sum(
        _vcpus(instance)
        for instance in every
        if _family(instance["InstanceType"], market) == family
        and (instance.get("InstanceLifecycle") == "spot") is (market is Market.SPOT)
    )


def _vcpus(machine: dict[str, Any]) -> int:
    shape = machine.get("CpuOptions") or {}
    return int(shape.get("CoreCount", 0)) * int(shape.get("ThreadsPerCore", 1))


def _offered(clients: AwsClients, trial: DiagnosedInstance) -> Finding:
    instance_type_offerings = clients.client("ec2", trial.region).describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [trial.kind.name]}]
    )
    zones = sorted(
        str(instance_type_offering["Location"])
        for instance_type_offering in instance_type_offerings["InstanceTypeOfferings"]
    )
    if not zones:
        text = f"AWS offers `{trial.kind.name}` in no zone of {trial.region}"
        return Finding("zones", Verdict.FAIL, text, f"gpuctl types --gpu {trial.kind.gpu_model}")
    return Finding("zones", Verdict.OK, f"`{trial.kind.name}` is offered in {', '.join(zones)}")


def _credential_expiry(clients: AwsClients, trial: DiagnosedInstance) -> Finding:
    login = clients.session.get_credentials()
    if login is None:
        return Finding("credential-expiry", Verdict.UNKNOWN, "the credentials could not be read")
    ends: datetime | None = getattr(login, "_expiry_time", None)
    if (warning := _of_profile(clients, login.method)) is not None:
        return warning
    if login.method in (*_RENEWED, "assume-role") or (ends is None and login.token is None):
        return Finding("credential-expiry", Verdict.OK, "the credentials do not expire or are renewed automatically")
    if ends is None:
        text = "session credentials of unknown expiry; the shutdown timers work without credentials"
        return Finding("credential-expiry", Verdict.WARN, text, "aws sts get-caller-identity")
    left = approximate(ends - trial.now)
    if ends < trial.until:
        text = f"the credentials expire in {left}, before the last deadline; after that only the shutdown timers act"
        return Finding(
            "credential-expiry", Verdict.WARN, text, "aws sso login, or use a profile whose keys do not expire"
        )
    return Finding("credential-expiry", Verdict.OK, f"the credentials expire in {left}, after every deadline")


def unattended_warning(clients: AwsClients) -> str | None:
    """What a person must do again and again for a role of these credentials, None if nothing. Sends no request."""
    login = clients.session.get_credentials()
    finding = _of_profile(clients, login.method) if login is not None and login.method == "assume-role" else None
    return finding.text if finding else None


def _of_profile(clients: AwsClients, method: str) -> Finding | None:
    """What a person must do again and again for these credentials; None where nobody has to."""
    if method == "custom-process":
        text = "a program gets the credentials (`credential_process`): the scheduled reaper needs it on its PATH"
        return Finding("credential-expiry", Verdict.WARN, text, "gpuctl schedule status")
    if method != "assume-role":
        return None
    chain = list(clients.profile_chain())
    if any("mfa_serial" in profile for profile in chain):
        text = "the role needs an MFA code, whose session lasts an hour; after it only the instances' own timers act"
        return Finding(
            "credential-expiry", Verdict.WARN, text, "use a profile without `mfa_serial` for the scheduled reaper"
        )
    if any(key in profile for profile in chain for key in ("sso_session", "sso_start_url", "login_session")):
        text = "the role depends on a session that a person starts; after it expires, only the shutdown timers act"
        return Finding(
            "credential-expiry", Verdict.WARN, text, "use a profile whose keys do not expire for the scheduled reaper"
        )
    return None


def _dry_run_code(call: Callable[[], Any]) -> tuple[str, Exception | None]:
    """AWS's code for what would have happened."""
    try:
        call()
    except SDK_ERRORS as error:
        return code_of(error), error
    return "", None
