"""What AWS says of a machine that is not made: dry runs, quotas, zones, and how long the login lasts."""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import partial
from typing import Any

from gpuctl.domain.diagnosis import Finding, Verdict
from gpuctl.domain.duration import rough
from gpuctl.errors import CredentialsError
from gpuctl.providers.aws.client import Clients
from gpuctl.providers.aws.create import run_instances
from gpuctl.providers.aws.errors import NOT_FOUND, SDK_ERRORS, code_of, translate
from gpuctl.providers.base import Trial

# Quotas are of vCPUs, by the first letters of a type's name; https://docs.aws.amazon.com/ec2/latest/instancetypes/
_QUOTAS = {"g": ("L-DB2E81BA", ("g", "vt")), "p": ("L-417A185B", ("p",))}
_PERMITTED = "DryRunOperation"
_NOBODYS = "i-00000000000000000"
# Logins that the SDK renews by itself, for as long as the machine or the file they come from is there.
_RENEWED = ("iam-role", "container-role", "assume-role-with-web-identity", "assume-role", "custom-process")


def diagnose(clients: Clients, trial: Trial) -> Iterator[Finding]:
    """See `Provider.diagnose`."""
    yield _create(clients, trial)
    yield _end(clients, trial)
    yield _asked("quota", lambda: _quota(clients, trial))
    yield _asked("offered", lambda: _offered(clients, trial))
    yield _asked("lasts", lambda: _lasts(clients, trial))


def _asked(check: str, ask: Callable[[], Finding]) -> Finding:
    """What could not be asked is no failure of what was to be checked."""
    try:
        return ask()
    except SDK_ERRORS as error:
        problem = translate(error, "could not be asked")
        return Finding(check, Verdict.UNKNOWN, problem.message, problem.hint)


def _create(clients: Clients, trial: Trial) -> Finding:
    if trial.order is None:
        return Finding("create", Verdict.UNKNOWN, "there is no image to try it with")
    what = f"`{trial.kind.name}` in {trial.region}"
    call = run_instances(trial.order, None) | {"DryRun": True}
    code, failure = _tried(lambda: clients.client("ec2", trial.region, once=True).run_instances(**call))
    if code == _PERMITTED:
        return Finding("create", Verdict.OK, f"creating {what} is permitted")
    if failure is None:
        raise AssertionError("a dry run was carried out")
    problem = translate(failure, f"creating {what} would fail")
    is_denied = isinstance(problem, CredentialsError)
    return Finding("create", Verdict.FAIL, problem.message, "docs/aws-policy.json" if is_denied else problem.hint)


def _end(clients: Clients, trial: Trial) -> Finding:
    """Asked about a machine that cannot exist; policies may tell machines by their tags, so then about a real one."""
    ec2 = clients.client("ec2", trial.region)
    failure: Exception | None = None
    for machine in (_NOBODYS, *([trial.machine] if trial.machine else [])):
        code, failure = _tried(partial(ec2.terminate_instances, InstanceIds=[machine], DryRun=True))
        if code == _PERMITTED or code in NOT_FOUND:
            return Finding("end", Verdict.OK, f"ending machines in {trial.region} is permitted")
    if failure is None:
        raise AssertionError("a dry run was carried out")
    problem = translate(failure, f"ending machines in {trial.region}")
    if isinstance(problem, CredentialsError) and trial.machine is None:
        text = "not permitted, unless the policy permits it by gpuctl's tags, which only a machine can show"
        return Finding("end", Verdict.UNKNOWN, text, "start a machine, then: gpuctl doctor")
    return Finding("end", Verdict.FAIL, problem.message, "docs/aws-policy.json")


def _quota(clients: Clients, trial: Trial) -> Finding:
    if clients.connection.sandbox_url is not None:
        return Finding("quota", Verdict.OK, "the sandbox's AWS sets no quota")
    family = trial.kind.name.split(".")[0].rstrip("abcdefghijklmnopqrstuvwxyz-").rstrip("0123456789")
    need = trial.kind.vcpus
    if family not in _QUOTAS or need is None:
        return Finding("quota", Verdict.UNKNOWN, f"no quota is known for `{trial.kind.name}`")
    code, families = _QUOTAS[family]
    said = clients.client("service-quotas", trial.region).get_service_quota(ServiceCode="ec2", QuotaCode=code)
    allowed = int(said["Quota"]["Value"])
    used = _used(clients, trial, families)
    text = f"{used} of {allowed} vCPUs in use in {trial.region} ({code}); `{trial.kind.name}` needs {need}"
    if used + need <= allowed:
        return Finding("quota", Verdict.OK, text)
    more = f"--service-code ec2 --quota-code {code} --desired-value {used + need} --region {trial.region}"
    return Finding("quota", Verdict.FAIL, text, f"aws service-quotas request-service-quota-increase {more}")


def _used(clients: Clients, trial: Trial, families: tuple[str, ...]) -> int:
    """The vCPUs of everything that counts against the quota, whoever started it; spot has one of its own."""
    pages = (
        clients.client("ec2", trial.region)
        .get_paginator("describe_instances")
        .paginate(
            Filters=[
                {
                    "Name": "instance-type",
                    "Values": [f"{family}{digit}*" for family in families for digit in range(1, 10)],
                },
                {"Name": "instance-state-name", "Values": ["pending", "running", "stopping"]},
            ]
        )
    )
    machines = [one for page in pages for reservation in page["Reservations"] for one in reservation["Instances"]]
    return sum(_vcpus(one) for one in machines if one.get("InstanceLifecycle") != "spot")


def _vcpus(machine: dict[str, Any]) -> int:
    shape = machine.get("CpuOptions") or {}
    return int(shape.get("CoreCount", 0)) * int(shape.get("ThreadsPerCore", 1))


def _offered(clients: Clients, trial: Trial) -> Finding:
    said = clients.client("ec2", trial.region).describe_instance_type_offerings(
        LocationType="availability-zone", Filters=[{"Name": "instance-type", "Values": [trial.kind.name]}]
    )
    zones = sorted(str(one["Location"]) for one in said["InstanceTypeOfferings"])
    if not zones:
        text = f"AWS offers `{trial.kind.name}` in no zone of {trial.region}"
        return Finding("offered", Verdict.FAIL, text, f"gpuctl types --gpu {trial.kind.gpu_model}")
    return Finding("offered", Verdict.OK, f"`{trial.kind.name}` is offered in {', '.join(zones)}")


def _lasts(clients: Clients, trial: Trial) -> Finding:
    login = clients.session.get_credentials()
    if login is None:
        return Finding("lasts", Verdict.UNKNOWN, "the login could not be read")
    ends: datetime | None = getattr(login, "_expiry_time", None)
    if login.method in _RENEWED or (ends is None and login.token is None):
        return Finding("lasts", Verdict.OK, "the login does not expire, or is renewed by itself")
    if ends is None:
        text = "the login is for a session and does not say when it ends; the timers on the machines need none"
        return Finding("lasts", Verdict.WARN, text, "aws sts get-caller-identity")
    left = rough(ends - trial.now)
    if ends < trial.until:
        text = f"the login ends in {left}, before the last deadline; from then on only the machines' own timers act"
        return Finding("lasts", Verdict.WARN, text, "aws sso login, or take a profile whose keys last")
    return Finding("lasts", Verdict.OK, f"the login lasts {left}, beyond every deadline")


def _tried(call: Callable[[], Any]) -> tuple[str, Exception | None]:
    """AWS's code for what would have happened."""
    try:
        call()
    except SDK_ERRORS as error:
        return code_of(error), error
    return "", None
