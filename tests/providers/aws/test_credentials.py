"""Credentials and settings that fail before anything is sent: one line, the right exit code, and never a traceback."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from support.cli import Operator
from support.wire import Sent

START = ("provision", "g4dn.xlarge", "--region", "us-east-1", "--no-wait")
ROLE = "arn:aws:iam::123456789012:role/ci"
MFA = f"""
[default]
role_arn = {ROLE}
source_profile = base
mfa_serial = arn:aws:iam::123456789012:mfa/ana
[profile base]
aws_access_key_id = AKIABASEBASEBASEBASE
aws_secret_access_key = base-secret-base-secret
"""


@pytest.fixture
def keyless(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """An operator whose variables hold no keys: a file decides."""
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("HOME", str(operator.folder))
    return operator


def configured(operator: Operator, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (operator.folder / "aws-config").write_text(text)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(operator.folder / "aws-config"))


def error_of(operator: Operator, *argv: str) -> dict[str, Any]:
    """What the command line fails with. The operator's own `run` has refused tracebacks already."""
    error: dict[str, Any] = operator.run(*(argv or START), "-o", "json", environ=dict(os.environ)).json["error"]
    return error


FAILING = {
    "a program that is not there": ("[default]\ncredential_process = /opt/none/aws-vault exec prod\n", {}, "aws-vault"),
    "a role with MFA": (MFA, {}, "MFA code"),
    "a token file that is not there": (
        "",
        {"AWS_WEB_IDENTITY_TOKEN_FILE": "/nonexistent/token", "AWS_ROLE_ARN": ROLE},
        "/nonexistent/token",
    ),
    "a container's token file": (
        "",
        {
            "AWS_CONTAINER_CREDENTIALS_FULL_URI": "http://127.0.0.1:9/",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE": "/nonexistent/auth",
        },
        "/nonexistent/auth",
    ),
    "aws login without its library": (
        "[default]\nlogin_session = arn:aws:iam::123456789012:user/ana\n",
        {},
        "botocore[crt]",
    ),
}


@pytest.mark.parametrize("which", FAILING)
def test_credentials_that_cannot_be_had_are_exit_4_in_one_line(
    keyless: Operator, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    config, variables, names = FAILING[which]
    configured(keyless, monkeypatch, config)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    error = error_of(keyless)
    assert (error["exitCode"], error["code"], error["retryable"]) == (4, "credentials", False)
    assert names in error["message"]
    assert error["hint"]
    assert keyless.wire.calls("RunInstances") == []


@pytest.mark.parametrize("which", FAILING)
def test_the_reaper_says_in_one_line_that_credentials_cannot_be_had(
    keyless: Operator, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    with monkeypatch.context() as keys:
        keys.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
        keys.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-canary")
        assert keyless.provision("--no-wait").code == 0
    config, variables, names = FAILING[which]
    configured(keyless, monkeypatch, config)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    ran = keyless.run("reap", "--sweep")
    assert ran.code == 8
    assert names in ran.err
    assert "internal error" not in ran.err


def test_doctor_prints_its_table_when_credentials_cannot_be_had(
    keyless: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(keyless, monkeypatch, "[default]\ncredential_process = /opt/none/aws-vault exec prod\n")
    ran = keyless.json("doctor", "--provider", "aws", "--region", "us-east-1")
    failed = {check["check"] for check in ran.json["checks"] if check["status"] == "fail"}
    assert "credentials" in failed


WRONG = {
    "an endpoint without a scheme": ("AWS_ENDPOINT_URL", "localhost:4566", 2),
    "a region with a line break": ("AWS_REGION", "us-east-1\r", 2),
    "a time that is not a number": ("AWS_METADATA_SERVICE_TIMEOUT", "2s", 2),
    "a key with a line break": ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE\n", 4),
    "a token with a line break": ("AWS_SESSION_TOKEN", "IQoJb3JpZ2luSECRET\n", 4),
}


@pytest.mark.parametrize("which", WRONG)
def test_a_wrong_setting_is_the_users_and_never_worth_a_retry(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, which: str
) -> None:
    name, value, exit_code = WRONG[which]
    monkeypatch.setenv(name, value)
    error = error_of(operator)
    assert (error["exitCode"], error["retryable"]) == (exit_code, False)
    assert f"`{name}`" in error["message"]
    assert "could not be read" not in error["message"]
    assert operator.wire.sent == []


def test_a_bundle_of_certificates_that_is_not_there_is_named(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", operator.wire.url.replace("http://", "https://"))
    monkeypatch.setenv("AWS_CA_BUNDLE", "/nonexistent/bundle.pem")
    error = error_of(operator)
    assert (error["exitCode"], error["retryable"]) == (2, False)
    assert "AWS_CA_BUNDLE" in f"{error['message']} {error['hint']}"


# which profile the record names


def accounts(operator: Operator, **by_key: str) -> None:
    """Let STS answer with the account of the access key that signed the call."""
    xml = "<GetCallerIdentityResponse><GetCallerIdentityResult><Arn>arn:aws:iam::{0}:user/a</Arn><UserId>A</UserId>"
    end = "<Account>{0}</Account></GetCallerIdentityResult></GetCallerIdentityResponse>"

    def answer(sent: Sent) -> Any:
        if sent.action != "GetCallerIdentity":
            return None
        signed = sent.headers.get("Authorization", "")
        account = next((account for key, account in by_key.items() if key in signed), "123456789012")
        return 200, {"Content-Type": "text/xml"}, (xml + end).format(account).encode()

    operator.wire.instead = answer


@pytest.fixture
def profiles(keyless: Operator, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """Two profiles, of two accounts."""
    (keyless.folder / "credentials").write_text(
        "[a]\naws_access_key_id = AKIAAAAAAAAAAAAAAAAA\naws_secret_access_key = secret-of-profile-a\n"
        "[b]\naws_access_key_id = AKIABBBBBBBBBBBBBBBB\naws_secret_access_key = secret-of-profile-b\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(keyless.folder / "credentials"))
    accounts(keyless, AKIABBBBBBBBBBBBBBBB="210987654321")
    return keyless


@pytest.mark.parametrize("variable", ["AWS_PROFILE", "AWS_DEFAULT_PROFILE"])
@pytest.mark.parametrize("later", ["b", None])
def test_an_instance_made_under_a_profile_of_the_environment_ends_from_any_shell(
    profiles: Operator, monkeypatch: pytest.MonkeyPatch, variable: str, later: str | None
) -> None:
    monkeypatch.setenv(variable, "a")
    assert profiles.provision("--name", "x").code == 0
    assert profiles.records[0].profile == "a"
    monkeypatch.delenv(variable)
    if later is not None:
        monkeypatch.setenv(variable, later)
    assert profiles.run("terminate", "x").code == 0
    assert profiles.active == []


def test_keys_in_variables_go_before_a_profile_so_that_it_is_not_written_down(
    profiles: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "b")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-canary")
    assert profiles.provision().code == 0
    record = profiles.records[0]
    assert (record.account, record.profile) == ("123456789012", None)


def test_the_ambient_credentials_are_tried_where_the_recorded_profile_fails(
    profiles: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_PROFILE", "a")
    assert profiles.provision("--name", "x").code == 0
    monkeypatch.delenv("AWS_PROFILE")
    (profiles.folder / "credentials").write_text("")
    configured(profiles, monkeypatch, "[profile a]\ncredential_process = /opt/none/aws-vault\n")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-canary")
    assert profiles.run("terminate", "x").code == 0
    assert profiles.active == []


# codes


def test_role_credentials_are_cached_where_the_aws_cli_keeps_them_and_serve_the_next_command(
    keyless: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    configured(keyless, monkeypatch, MFA.replace("mfa_serial", "# mfa_serial"))
    assert keyless.provision("--name", "x").code == 0
    (cached,) = (keyless.folder / ".aws" / "cli" / "cache").glob("*.json")
    assert cached.stat().st_mode & 0o077 == 0
    assert set(json.loads(cached.read_text())["Credentials"]) >= {"AccessKeyId", "SecretAccessKey", "SessionToken"}
    assumed = len(keyless.wire.calls("AssumeRole"))
    assert keyless.run("terminate", "x").code == 0
    assert len(keyless.wire.calls("AssumeRole")) == assumed == 1


def test_what_a_code_at_a_terminal_has_opened_serves_the_reaper_without_one(
    keyless: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    import getpass

    questions: list[str] = []

    def typed(question: str) -> str:
        questions.append(question)
        return "123456"

    monkeypatch.setattr(getpass, "getpass", typed)
    configured(keyless, monkeypatch, MFA)
    assert keyless.run(*START, "--name", "x", "--yes", terminal=True).code == 0
    assert len(questions) == 1
    assert keyless.wire.calls("AssumeRole")[0].form["TokenCode"] == "123456"
    keyless.later(minutes=61)
    assert keyless.run("reap").code == 0
    assert keyless.active == []


def test_the_proof_of_a_schedule_says_that_a_role_needs_a_code_again_and_again(
    keyless: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    import getpass

    monkeypatch.setattr(getpass, "getpass", lambda question: "123456")
    configured(keyless, monkeypatch, MFA)
    ran = keyless.run("schedule", "prove", "-o", "json", terminal=True, environ={"GPUCTL_AWS_REGION": "us-east-1"})
    (proof,) = json.loads(ran.out)["proofs"]
    assert (proof["account"], proof["error"]) == ("123456789012", None)
    assert "the role needs an MFA code" in proof["warning"]


@pytest.mark.parametrize(("argv", "environ"), [(("--no-input",), {}), ((), {"CI": "true"})])
def test_no_mfa_code_is_requested_without_a_prompt(
    keyless: Operator, monkeypatch: pytest.MonkeyPatch, argv: tuple[str, ...], environ: dict[str, str]
) -> None:
    configured(keyless, monkeypatch, MFA)
    ran = keyless.run(*START, *argv, terminal=True, environ=environ)
    assert ran.code == 4
    assert "hint: at a terminal: aws sts get-caller-identity" in ran.err


def test_a_real_process_without_a_terminal_asks_for_no_code_and_ends_with_4(tmp_path: Path) -> None:
    (tmp_path / "config").write_text(MFA)
    environ = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "AWS_CONFIG_FILE": str(tmp_path / "config"),
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "GPUCTL_STATE": str(tmp_path / "state.json"),
    }
    ran = subprocess.run(
        [sys.executable, "-m", "gpuctl", *START],
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=60,
    )
    assert ran.returncode == 4
    assert "Traceback" not in ran.stderr
    assert "MFA code" in ran.stderr
