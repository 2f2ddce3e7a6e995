"""What keeps Azure's credentials from working, as the user reads it: one line, the SDK's own sentence, what to type.

The SDK's real chain of credentials runs, and nothing of it leaves this computer.
"""

import os
from pathlib import Path

import pytest
from support.cli import Operator, Ran
from support.tls import TlsFront, fake_az

DOING = "could not read the Azure identity: "
SUBSCRIPTION = "11111111-1111-4111-8111-111111111111"
TENANT = "22222222-2222-4222-8222-222222222222"
EXPIRED = (
    "ERROR: AADSTS700082: The refresh token has expired due to inactivity. The token was issued on 2026-06-01 and was "
    "inactive for 90.00:00:00. Trace ID: 1b8f3c9e Correlation ID: 77aa Timestamp: 2026-11-29 10:00:00Z\n"
    "Interactive authentication is needed. Please run:\naz login"
)
MFA = (
    "ERROR: AADSTS50076: Due to a configuration change made by your administrator, or because you moved to a new "
    "location, you must use multi-factor authentication to access '797f4846'. Trace ID: 1b8f3c9e"
)
SECRET = {"AZURE_CLIENT_ID": "an-app", "AZURE_CLIENT_SECRET": "hunter2hunter2", "AZURE_TENANT_ID": TENANT}
BY_SECRET = {**SECRET, "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential"}
BY_CLI = {"AZURE_TOKEN_CREDENTIALS": "AzureCliCredential"}


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """An environment in which nobody ever logged in, and whose endpoint is nobody's."""
    for name in [
        text for text in os.environ if text.startswith(("AZURE_", "MSI_", "IDENTITY_")) or "proxy" in text.lower()
    ]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AZURE_CONFIG_DIR", str(tmp_path))
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", SUBSCRIPTION)
    monkeypatch.setenv("GPUCTL_AZURE_ENDPOINT", "https://127.0.0.1:1")
    monkeypatch.setattr("azure.core.pipeline.transport.RequestsTransport.sleep", lambda transport, span: None)
    return monkeypatch


def provisioned(operator: Operator) -> Ran:
    return operator.run("provision", "Standard_NC4as_T4_v3", "--region", "eastus", "--no-wait")


def last(ran: Ran) -> list[str]:
    """The error and its hint."""
    return ran.err.splitlines()[-2:]


def test_where_nothing_is_set_up_there_is_no_azure_login(
    operator: Operator, clean: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    clean.setenv("PATH", str(tmp_path))
    clean.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    ran = provisioned(operator)
    assert ran.code == 4
    assert last(ran) == [
        f"error: {DOING}there is no Azure login",
        "hint: az login, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET",
    ]


@pytest.mark.parametrize(
    ("failure", "sentence"),
    [
        (EXPIRED, "AADSTS700082: The refresh token has expired due to inactivity."),
        (MFA, "AADSTS50076: Due to a configuration change made by your administrator"),
    ],
)
def test_entras_own_number_and_sentence_are_shown(
    operator: Operator, clean: pytest.MonkeyPatch, tmp_path: Path, failure: str, sentence: str
) -> None:
    clean.setenv("PATH", f"{fake_az(tmp_path / 'bin', failure)}:{os.environ['PATH']}")
    clean.setenv("AZURE_TOKEN_CREDENTIALS", "AzureCliCredential")
    ran = provisioned(operator)
    assert ran.code == 4
    error, hint = last(ran)
    assert error.startswith(f"error: {DOING}{sentence}")
    assert "Trace ID" not in error
    assert hint == "hint: az login"


@pytest.mark.parametrize(
    ("settings", "code", "sentence", "hint"),
    [
        ({**BY_SECRET, "AZURE_TENANT_ID": f"{TENANT}\r"}, 2, "Invalid tenant ID provided", "AZURE_TENANT_ID"),
        (
            {**BY_SECRET, "AZURE_AUTHORITY_HOST": "http://127.0.0.1:1"},
            2,
            "is an invalid authority",
            "AZURE_AUTHORITY_HOST",
        ),
        ({"AZURE_TOKEN_CREDENTIALS": "bogus"}, 2, "bogus", "AZURE_TOKEN_CREDENTIALS"),
        (
            {
                "AZURE_CLIENT_ID": "an-app",
                "AZURE_TENANT_ID": TENANT,
                "AZURE_CLIENT_CERTIFICATE_PATH": "/nonexistent.pem",
                "AZURE_TOKEN_CREDENTIALS": "EnvironmentCredential",
            },
            4,
            "No such file or directory: '/nonexistent.pem'",
            "az login",
        ),
        (
            {
                "AZURE_CLIENT_ID": "an-app",
                "AZURE_TENANT_ID": TENANT,
                "AZURE_FEDERATED_TOKEN_FILE": "/nonexistent/token",
                "AZURE_TOKEN_CREDENTIALS": "WorkloadIdentityCredential",
            },
            4,
            "No such file or directory: '/nonexistent/token'",
            "az login",
        ),
        ({**BY_SECRET, "REQUESTS_CA_BUNDLE": "/nonexistent/ca.pem"}, 2, "/nonexistent/ca.pem", "REQUESTS_CA_BUNDLE"),
        ({**BY_SECRET, "HTTPS_PROXY": "http://127.0.0.1:1"}, 5, "login service could not be reached", "HTTPS_PROXY"),
        ({**BY_SECRET, "HTTPS_PROXY": "socks5://127.0.0.1:1"}, 2, "a SOCKS proxy needs `PySocks`", "PySocks"),
    ],
)
def test_a_setting_or_a_file_that_is_wrong_is_named_and_nothing_is_retryable_that_never_helps(
    operator: Operator, clean: pytest.MonkeyPatch, settings: dict[str, str], code: int, sentence: str, hint: str
) -> None:
    for name, value in settings.items():
        clean.setenv(name, value)
    ran = provisioned(operator)
    error, reported = last(ran)
    assert (ran.code, error.startswith(f"error: {DOING}")) == (code, True), ran.err
    assert sentence in error
    assert hint in reported
    assert "hunter2hunter2" not in ran.err
    assert operator.run("list", "--all", "-q").out == ""


@pytest.mark.parametrize(
    ("settings", "code", "sentence"),
    [
        ({"REQUESTS_CA_BUNDLE": "/nonexistent/ca.pem"}, 2, "/nonexistent/ca.pem"),
        ({"HTTPS_PROXY": "socks5://127.0.0.1:1"}, 2, "a SOCKS proxy needs `PySocks`"),
        ({"HTTPS_PROXY": "http://127.0.0.1:1"}, 5, "Azure could not be reached (through the proxy)"),
    ],
)
def test_a_setting_that_lets_no_request_out_to_azure_itself_is_named(
    operator: Operator, clean: pytest.MonkeyPatch, tmp_path: Path, settings: dict[str, str], code: int, sentence: str
) -> None:
    for name, value in (BY_CLI | settings | {"PATH": f"{fake_az(tmp_path / 'bin')}:{os.environ['PATH']}"}).items():
        clean.setenv(name, value)
    ran = provisioned(operator)
    assert ran.code == code, ran.err
    assert sentence in last(ran)[0]


def test_a_reaper_whose_login_fails_says_so_in_one_line_and_doctor_prints_its_table(
    operator: Operator, clean: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    front = TlsFront(operator.cloud.url, tmp_path)
    working = BY_CLI | {
        "PATH": f"{fake_az(tmp_path / 'bin')}:{os.environ['PATH']}",
        "GPUCTL_AZURE_ENDPOINT": front.url,
        "REQUESTS_CA_BUNDLE": str(front.ca),
    }
    for name, value in working.items():
        clean.setenv(name, value)
    assert provisioned(operator).code == 0
    front.stop()
    clean.setenv("AZURE_CLIENT_CERTIFICATE_PATH", "/nonexistent.pem")
    clean.setenv("AZURE_TENANT_ID", TENANT)
    clean.setenv("AZURE_CLIENT_ID", "an-app")
    clean.setenv("AZURE_TOKEN_CREDENTIALS", "EnvironmentCredential")
    operator.later(minutes=61)
    reaped = operator.run("reap")
    assert reaped.code == 8
    assert "No such file or directory: '/nonexistent.pem'" in reaped.err
    looked = operator.run("doctor", "--provider", "azure", "--region", "eastus")
    assert "No such file or directory: '/nonexistent.pem'" in looked.out + looked.err
