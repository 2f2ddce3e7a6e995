"""`gpuctl doctor` over a cloud on loopback: what is right, what is not, and what to type to mend it."""

import json
from datetime import timedelta
from typing import Any

import pytest
from support.cli import Operator, Ran
from support.wire import Fault, refuse

from gpuctl.domain.schedule import Installed
from gpuctl.home.schedule import ScheduleNote
from gpuctl_sandbox.azure.places import SUBSCRIPTION

ARGV = ("doctor", "--region", "us-east-1", "--type", "g4dn.xlarge")


def of(ran: Ran) -> dict[str, dict[str, Any]]:
    return {check["check"]: check for check in ran.json["checks"]}


def a_quota(vcpus: int) -> Fault:
    body = json.dumps({"Quota": {"ServiceCode": "ec2", "QuotaCode": "L-DB2E81BA", "Value": float(vcpus)}}).encode()
    return Fault(False, lambda _: (200, {"Content-Type": "application/x-amz-json-1.1"}, body))


@pytest.fixture
def healthy(operator: Operator) -> Operator:
    """An operator whose every check can be answered."""
    operator.wire.arm("GetServiceQuota", a_quota(8))
    return operator


def test_a_healthy_setup_creates_nothing_and_passes_every_check(healthy: Operator) -> None:
    ran = healthy.json(*ARGV)
    statuses = {check: item["status"] for check, item in of(ran).items()}
    assert ran.code == 0
    assert statuses == {
        "version": "ok",
        "state": "ok",
        "schedule": "warn",
        "budget": "ok",
        "credentials": "ok",
        "clock": "ok",
        "type": "ok",
        "prices": "warn",
        "image": "ok",
        "create-permission": "ok",
        "terminate-permission": "ok",
        "quota": "ok",
        "zones": "ok",
        "credential-expiry": "ok",
    }
    assert all(sent.form["DryRun"] == "true" for sent in healthy.wire.calls("RunInstances"))
    assert all(sent.form["DryRun"] == "true" for sent in healthy.wire.calls("TerminateInstances"))
    assert (healthy.cloud.instances(), healthy.state.exists()) == ([], False)


def test_prices_are_reported_by_their_age(healthy: Operator) -> None:
    stale = of(healthy.json(*ARGV))["prices"]
    assert "are older than 30 days, the oldest 127 days" in stale["message"]
    assert stale["hint"] == "gpuctl prices refresh --provider aws --region us-east-1"
    healthy.clock.jump(-timedelta(days=120))
    assert (of(healthy.json(*ARGV))["prices"]["status"]) == "ok"


def test_a_person_sees_a_line_each_with_a_mark(healthy: Operator) -> None:
    ran = healthy.run(*ARGV, "--color", "never", terminal=True)
    assert "ok    credentials" in ran.out
    assert "warn  schedule" in ran.out
    assert "hint: gpuctl schedule install" in ran.out
    assert "14 checks: no failures, 2 warnings" in ran.err


@pytest.mark.parametrize(
    ("action", "check"), [("RunInstances", "create-permission"), ("TerminateInstances", "terminate-permission")]
)
def test_what_is_not_permitted_fails_and_names_the_policy(healthy: Operator, action: str, check: str) -> None:
    healthy.provision()
    healthy.wire.arm(action, *[refuse("UnauthorizedOperation", 403)] * 2)
    ran = healthy.json(*ARGV)
    results = of(ran)[check]
    assert (ran.code, results["status"], results["hint"]) == (1, "fail", "docs/aws-policy.json")
    assert ran.json["failed"] == 1
    assert len(healthy.active) == 1


def test_a_refusal_to_terminate_an_impossible_id_proves_no_permission(healthy: Operator) -> None:
    healthy.wire.arm("TerminateInstances", refuse("UnauthorizedOperation", 403))
    ran = healthy.json(*ARGV)
    assert (ran.code, of(ran)["terminate-permission"]["status"]) == (0, "unknown")


def test_an_end_that_the_policy_permits_by_tags_is_found_on_an_instance_of_ours(healthy: Operator) -> None:
    healthy.provision()
    healthy.wire.arm("TerminateInstances", refuse("UnauthorizedOperation", 403))
    assert of(healthy.json(*ARGV))["terminate-permission"]["status"] == "ok"


def test_a_quota_is_compared_with_the_need_and_what_is_in_use(operator: Operator) -> None:
    operator.wire.arm("GetServiceQuota", a_quota(2))
    ran = operator.json(*ARGV)
    check = of(ran)["quota"]
    assert (ran.code, check["status"]) == (1, "fail")
    assert "0 of 2 vCPUs" in check["message"]
    assert "--quota-code L-DB2E81BA --desired-value 4" in check["hint"]


def test_a_quota_that_may_not_be_queried_is_unknown(operator: Operator) -> None:
    operator.wire.arm("GetServiceQuota", refuse("AccessDeniedException"))
    ran = operator.json(*ARGV)
    assert (ran.code, of(ran)["quota"]["status"]) == (0, "unknown")


def test_a_quota_for_spot_is_reported_beside_the_one_on_demand(operator: Operator) -> None:
    operator.wire.arm("GetServiceQuota", a_quota(8), a_quota(16))
    check = of(operator.json(*ARGV))["quota"]
    assert (check["status"], "; as spot 0 of 16 (L-3819A6DF)" in check["message"]) == ("ok", True)


@pytest.mark.parametrize(("instance_type", "code"), [("gr6.4xlarge", "L-DB2E81BA"), ("p6-b200.48xlarge", "L-417A185B")])
def test_every_family_has_its_quota(operator: Operator, instance_type: str, code: str) -> None:
    operator.wire.arm("GetServiceQuota", a_quota(192))
    check = of(operator.json("doctor", "--region", "us-east-1", "--type", instance_type))["quota"]
    assert (check["status"], code in check["message"]) == ("ok", True)


def test_a_spot_instance_that_may_not_be_created_is_reported_beside_permitted_actions(healthy: Operator) -> None:
    healthy.wire.arm("RunInstances", None, refuse("AuthFailure.ServiceLinkedRoleCreationNotPermitted", 403))
    check = of(healthy.json(*ARGV))["create-permission"]
    assert (check["status"], "is permitted; a spot request would fail" in check["message"]) == ("ok", True)
    assert "create-service-linked-role --aws-service-name spot.amazonaws.com" in check["message"]


def test_a_security_group_that_may_not_be_created_fails_where_ssh_is_to_be_let_in(healthy: Operator) -> None:
    healthy.wire.arm("CreateSecurityGroup", refuse("UnauthorizedOperation", 403))
    check = of(healthy.json(*ARGV))["create-permission"]
    assert (check["status"], "security group" in check["message"]) == ("fail", True)
    assert check["hint"] == "add `--ssh-from none`, or allow it: docs/aws-policy.json"
    healthy.environ["GPUCTL_SSH_FROM"] = "none"
    healthy.wire.arm("CreateSecurityGroup", refuse("UnauthorizedOperation", 403))
    healthy.wire.arm("GetServiceQuota", a_quota(8))
    assert of(healthy.json(*ARGV))["create-permission"]["status"] == "ok"


@pytest.mark.parametrize(
    ("line", "status", "text"),
    [
        ("mfa_serial = arn:aws:iam::123456789012:mfa/ana", "warn", "MFA code"),
        ("sso_start_url = https://example.awsapps.com/start", "warn", "session that a person starts"),
        ("", "ok", "renewed automatically"),
    ],
)
def test_a_role_lasts_only_as_long_as_what_it_stands_on(
    healthy: Operator, monkeypatch: pytest.MonkeyPatch, line: str, status: str, text: str
) -> None:
    import getpass

    monkeypatch.setattr(getpass, "getpass", lambda question: "123456")
    config = healthy.folder / "aws-config"
    config.write_text(
        f"[profile r]\nrole_arn = arn:aws:iam::123456789012:role/ci\nsource_profile = base\n{line}\n"
        "[profile base]\naws_access_key_id = AKIABASEBASEBASEBASE\naws_secret_access_key = base-secret-base-secret\n"
    )
    for name, value in {"AWS_CONFIG_FILE": str(config), "AWS_PROFILE": "r", "HOME": str(healthy.folder)}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    ran = healthy.run(*ARGV, "-o", "json", terminal=True)
    check = of(ran)["credential-expiry"]
    assert (check["status"], text in check["message"]) == (status, True)


def test_a_retired_type_fails_with_its_successor(healthy: Operator) -> None:
    ran = healthy.json("doctor", "--region", "us-east-1", "--type", "p3.2xlarge")
    checks = of(ran)
    assert (ran.code, checks["type"]["status"], checks["zones"]["status"]) == (1, "fail", "fail")
    assert checks["type"]["hint"].startswith("gpuctl doctor --type g")


def test_missing_credentials_are_reported_once_and_nothing_more_is_queried(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    ran = operator.json(*ARGV)
    assert (ran.code, list(of(ran))) == (1, ["version", "state", "schedule", "budget", "credentials"])
    assert of(ran)["credentials"]["hint"].startswith("aws configure")


def test_a_login_that_ends_before_the_deadline_is_reported(healthy: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    from datetime import UTC, datetime

    # botocore compares with the real time, and renews nothing that is good for more than 15 minutes.
    healthy.clock.jump(datetime.now(UTC) - healthy.clock.now())
    ends = healthy.clock.now() + timedelta(minutes=30)
    monkeypatch.setenv("AWS_SESSION_TOKEN", "a-token-canary")
    monkeypatch.setenv("AWS_CREDENTIAL_EXPIRATION", ends.isoformat())
    check = of(healthy.json(*ARGV))["credential-expiry"]
    assert (check["status"], "before the last deadline" in check["message"]) == ("warn", True)
    monkeypatch.delenv("AWS_CREDENTIAL_EXPIRATION")
    healthy.wire.arm("GetServiceQuota", a_quota(8))
    assert "of unknown expiry" in of(healthy.json(*ARGV))["credential-expiry"]["message"]


def test_a_clock_that_is_off_fails(healthy: Operator) -> None:
    healthy.skew = timedelta(minutes=4)
    ran = healthy.json(*ARGV)
    assert (ran.code, of(ran)["clock"]["status"]) == (1, "fail")
    assert "4m ahead of the provider's" in of(ran)["clock"]["message"]


def test_an_instance_past_its_deadline_fails(healthy: Operator) -> None:
    healthy.provision("--name", "train-7")
    healthy.later(minutes=70)
    ran = healthy.json(*ARGV)
    check = of(ran)["state"]
    assert (ran.code, check["status"], check["hint"]) == (1, "fail", "gpuctl reap")
    assert check["message"] == "past the deadline: train-7 by 10m"


def test_a_damaged_state_fails_and_the_clouds_are_looked_at_all_the_same(healthy: Operator) -> None:
    healthy.provision()
    healthy.state.write_text("{")
    ran = healthy.json(*ARGV)
    checks = of(ran)
    assert (ran.code, checks["state"]["status"], checks["credentials"]["status"]) == (1, "fail", "ok")


def test_a_silent_reaper_fails(healthy: Operator) -> None:
    healthy.store.add([], lambda present: None)
    note = Installed(kind="cron", every=timedelta(minutes=1), installed_at=healthy.clock.now())
    ScheduleNote(healthy.own_folder).write(note)
    ran = healthy.json(*ARGV)
    assert (ran.code, of(ran)["schedule"]["status"]) == (1, "fail")
    assert of(ran)["schedule"]["hint"] == "gpuctl schedule status"


def test_without_a_region_no_regional_check_runs(operator: Operator) -> None:
    ran = operator.json("doctor", "--provider", "aws")
    assert (ran.code, list(of(ran))[-1]) == (0, "region")


@pytest.mark.parametrize("argv", [["--type", "nope"], ["--provider", "oracle"], ["--region", ""]])
def test_invalid_values_are_refused(operator: Operator, argv: list[str]) -> None:
    assert operator.json("doctor", *argv).code == 2
    assert operator.wire.sent == []


def test_a_region_is_checked_at_the_providers_that_have_it(healthy: Operator) -> None:
    ran = healthy.json("doctor", "--region", "us-east-1")
    assert {check["provider"] for check in ran.json["checks"]} == {None, "AWS"}
    assert (ran.code, ran.json["failed"]) == (0, 0)


def test_a_region_that_the_providers_in_use_lack_is_checked_where_it_is(healthy: Operator) -> None:
    healthy.provision()
    checks = healthy.json("doctor", "--region", "eastus").json["checks"]
    assert {check["provider"] for check in checks} == {None, "AZURE"}


@pytest.mark.parametrize("argv", [[], ["--provider", "aws"], ["--type", "g5.xlarge"]])
def test_an_unknown_region_is_refused_with_the_closest_names(operator: Operator, argv: list[str]) -> None:
    ran = operator.json("doctor", "--region", "us-eest-1", *argv)
    assert (ran.code, ran.json["error"]["code"], operator.wire.sent) == (2, "usage", [])
    assert "us-east-1" in ran.json["error"]["hint"]


def test_an_unknown_region_of_the_settings_is_one_failed_check(healthy: Operator) -> None:
    healthy.environ["GPUCTL_AWS_REGION"] = "us-eest-1"
    ran = healthy.json("doctor", "--provider", "aws")
    assert (ran.code, ran.json["failed"], of(ran)["type"]["status"]) == (1, 1, "fail")


def test_a_region_without_a_common_type_is_a_failed_check(operator: Operator) -> None:
    operator.environ |= {"GPUCTL_AZURE_ENDPOINT": operator.cloud.url, "AZURE_SUBSCRIPTION_ID": SUBSCRIPTION}
    ran = operator.json("doctor", "--provider", "azure", "--region", "chilecentral")
    assert (ran.code, of(ran)["type"]["hint"]) == (1, "gpuctl types --region chilecentral")


def test_a_folder_that_cannot_hold_the_state_is_named_by_doctor_and_by_provision(healthy: Operator) -> None:
    state = "/proc/nope/state.json"
    check = of(healthy.json(*ARGV, "--state", state))["state"]
    assert (check["status"], "the folder of the state, `/proc/nope`, cannot be" in check["message"]) == ("fail", True)
    ran = healthy.provision("--state", state)
    assert (ran.code, ran.json["error"]["message"]) == (9, check["message"])
    assert healthy.cloud.instances() == []
