"""Credentials and other secrets are nowhere: not in what gpuctl says, not on its disk, not in what it sends."""

import base64
import io
import os
from itertools import cycle

import pytest
from support.canaries import canary_hits
from support.cli import Operator
from support.wire import GARBLED, LOST, NEVER_ARRIVED, refuse

from gpuctl.cli.context import Streams
from gpuctl.cli.main import main

FORMS = ["json", "table", "csv", "tsv"]
CANARIES = {
    "the key id": "AKIACANARYCANARYKEYI",
    "the secret key": "canarysecret/4Jx+ambient",
    "the session token": "canarytoken//IQoJb3JpZ2lu",
    "an unrelated variable": "canary-of-somebody-else",
    "the password of the proxy": "canaryproxypassword",
    "the key id of the profile": "AKIACANARYCANARYPROF",
    "the secret key of the profile": "canarysecret/9Qz+profile",
    "the token of the profile": "canarytoken//of-the-profile",
}


class Listener:
    """An operator whose every word is kept."""

    def __init__(self, operator: Operator) -> None:
        self.operator = operator
        self.said: dict[str, str] = {}
        self.codes: set[int] = set()

    def run(self, *argv: str, terminal: bool = False) -> int:
        streams = Streams(*(_Stream(terminal) for _ in range(3)))
        code = main(argv, clock=self.operator.clock, environ=os.environ | self.operator.environ, streams=streams)
        for name, stream in (("stdout", streams.out), ("stderr", streams.err)):
            self.said[(f"{name} of {' '.join(argv)} ({len(self.said)})")] = stream.getvalue()  # type: ignore[attr-defined]
        self.codes.add(code)
        return code

    def hits(self) -> list[str]:
        return canary_hits(CANARIES, body=self.said, folder=self.operator.state.parent, sent=self.operator.wire.sent)


class _Stream(io.StringIO):
    def __init__(self, is_terminal: bool) -> None:
        super().__init__()
        self._is_terminal = is_terminal

    def isatty(self) -> bool:
        return self._is_terminal


@pytest.fixture
def listener(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> Listener:
    """Somebody whose environment is full of secrets; the state has a folder of its own, without the credentials."""
    operator.state = operator.folder / "own" / "state.json"
    operator.environ["GPUCTL_STATE"] = str(operator.state)
    operator.environ["XDG_STATE_HOME"] = str(operator.folder / "own")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", CANARIES["the key id"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", CANARIES["the secret key"])
    monkeypatch.setenv("AWS_SESSION_TOKEN", CANARIES["the session token"])
    monkeypatch.setenv("DATABASE_URL", CANARIES["an unrelated variable"])
    return Listener(operator)


@pytest.fixture
def with_profile(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> Listener:
    """The same with a profile in a credentials file, named by the config."""
    folder = listener.operator.folder
    (folder / "credentials").write_text(
        f"[work]\naws_access_key_id = {CANARIES['the key id of the profile']}\n"
        f"aws_secret_access_key = {CANARIES['the secret key of the profile']}\n"
        f"aws_session_token = {CANARIES['the token of the profile']}\n"
    )
    (folder / "gpuctl").mkdir()
    (folder / "gpuctl" / "config.toml").write_text('[aws]\nprofile = "work"\n')
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(folder / "credentials"))
    return listener


def every_command(listener: Listener, *form: str) -> None:
    """Each command once, so that it succeeds."""
    start = ["provision", "g4dn.xlarge", "--region", "us-east-1"]
    assert listener.run(*start, "--name", "n", "--tag", "project=x", *form) == 0
    assert listener.run(*start, "--dry-run", *form) == 0
    for argv in (
        ["get", "n", "--refresh"],
        ["list", "--all", "--refresh"],
        ["stats"],
        ["types", "--region", "us-east-1"],
        ["extend", "n", "--by", "10m"],
        ["reap", "--sweep"],
        ["terminate", "n"],
        ["sandbox", "status"],
    ):
        assert listener.run(*argv, *form) == 0, argv
    for argv in (["completion", "bash"], ["--help"], ["--version"]):
        assert listener.run(*argv) == 0


@pytest.mark.parametrize("form", FORMS)
def test_no_secret_is_printed_stored_or_sent_by_any_command(listener: Listener, form: str) -> None:
    every_command(listener, "-o", form, "-v")
    listener.run("list", "--all", "-v", terminal=True)
    assert listener.hits() == []


def test_no_secret_of_a_profile_is_printed_stored_or_sent_by_any_command(with_profile: Listener) -> None:
    every_command(with_profile, "-o", "json", "-v")
    assert with_profile.hits() == []
    assert with_profile.operator.records[0].profile == "work"


def test_no_secret_is_in_what_a_failure_says(listener: Listener) -> None:
    start = ["provision", "g4dn.xlarge", "--region", "us-east-1", "--timeout", "10s", "-v"]
    forms = cycle(FORMS)
    wire = listener.operator.wire
    listener.run(*start, "--name", "n")
    listener.run(*start, "--disk-size", "1")
    listener.run("get", "nobody", "-v")
    listener.run("list", "--wat", "-v")
    for action in ("GetCallerIdentity", "GetParameter", "DescribeImages", "RunInstances"):
        for fault in (refuse("ExpiredToken"), refuse("UnauthorizedOperation"), GARBLED, NEVER_ARRIVED):
            wire.arm(action, *[fault] * 4)
            listener.run(*start, "-o", next(forms))
    for action, argv in (
        ("DescribeInstances", ["list", "--refresh"]),
        ("DescribeInstances", ["reap", "--sweep"]),
        ("CreateTags", ["extend", "n", "--by", "5m"]),
        ("TerminateInstances", ["terminate", "n", "--timeout", "10s"]),
    ):
        for fault in (refuse("AuthFailure"), refuse("InternalError", 500), LOST):
            wire.arm(action, *[fault] * 4)
            listener.run(*argv, "-v", "-o", next(forms))
    assert listener.codes >= {0, 1, 2, 3, 4, 8}
    assert listener.hits() == []


@pytest.mark.parametrize("action", ["GetCallerIdentity", "RunInstances", "TerminateInstances"])
def test_what_aws_quotes_of_a_request_it_could_not_verify_is_not_passed_on(listener: Listener, action: str) -> None:
    quoted = (
        "The Canonical String for this request should have been 'POST&#10;/&#10;&#10;host:x&#10;x-amz-date:x&#10;"
        f"x-amz-security-token:{CANARIES['the session token']}&#10;&#10;host;x-amz-date;x-amz-security-token'"
    )
    start = ["provision", "g4dn.xlarge", "--region", "us-east-1", "-v"]
    listener.run(*start, "--name", "n")
    listener.operator.wire.arm(action, *[refuse("SignatureDoesNotMatch", 403, quoted)] * 60)
    for argv in ([*start, "-o", "json"], start, ["terminate", "n", "-v", "--timeout", "10s"]):
        listener.run(*argv)
    assert any("should have been" in text for text in listener.said.values())
    assert listener.hits() == []


@pytest.mark.parametrize("variable", ["http_proxy", "HTTPS_PROXY"])
def test_the_password_of_a_proxy_is_not_said(
    listener: Listener, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    every_command(listener, "-o", "json")
    monkeypatch.setenv(variable, f"http://user:{CANARIES['the password of the proxy']}@127.0.0.1:9")
    if variable == "HTTPS_PROXY":
        monkeypatch.setenv("AWS_ENDPOINT_URL", "https://127.0.0.1:9")
    for form in ("json", "tsv"):
        assert listener.run("provision", "g4dn.xlarge", "--region", "us-east-1", "-v", "-o", form) == 5
        listener.run("list", "--refresh", "--all", "-v", "-o", form)
        listener.run("reap", "--sweep", "-v", "-o", form)
    assert listener.hits() == []


@pytest.mark.parametrize(
    "text",
    [
        "[work]\naws_secret_access_key {secret}\n",
        "[work\naws_secret_access_key = {secret}\n",
        "[work]\naws_secret_access_key = {secret}\n",
        "[work]\naws_access_key_id = x\naws_secret_access_key = {secret}\naws_secret_access_key = {secret}\n",
        "aws_secret_access_key = {secret}\n",
        "[work]\ncredential_process = sh -c 'echo {secret}'\n",
    ],
)
def test_no_secret_is_printed_of_a_credentials_file_that_cannot_be_used(with_profile: Listener, text: str) -> None:
    path = with_profile.operator.folder / "credentials"
    path.write_text(text.format(secret=CANARIES["the secret key of the profile"]))
    for form in FORMS:
        assert with_profile.run("provision", "g4dn.xlarge", "--region", "us-east-1", "-v", "-o", form) != 0
    assert with_profile.hits() == []


def test_no_secret_is_in_the_traceback_of_a_bug(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpuctl.cli.commands.stats import command as stats
    from gpuctl.providers.aws import create

    def buggy(*_: object, **more: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr(stats, "report", buggy)
    monkeypatch.setattr(create, "run_instances", buggy)
    for form in FORMS:
        assert listener.run("stats", "-v", "-o", form) == 1
        assert listener.run("provision", "g4dn.xlarge", "--region", "us-east-1", "-v", "-o", form) == 1
    assert sum("ZeroDivisionError: a bug" in text for text in listener.said.values()) == 2 * len(FORMS)
    assert listener.hits() == []


def test_the_search_finds_a_secret_that_is_printed(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    from gpuctl.cli import context
    from gpuctl.cli.render import renderer

    monkeypatch.setattr(context, "cleaned", lambda streams, redactor: streams)
    honest = renderer.failure_lines
    monkeypatch.setattr(renderer, "failure_lines", lambda *some, **more: [*honest(*some, **more), str(os.environ)])
    listener.run("get", "nobody")
    actual = listener.hits()
    assert len(actual) == 4
    assert all(text.startswith("stderr of get nobody") for text in actual)


def test_a_secret_in_a_message_is_redacted_where_it_is_printed(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpuctl.cli.render import renderer

    honest = renderer.failure_lines
    monkeypatch.setattr(renderer, "failure_lines", lambda *some, **more: [*honest(*some, **more), str(os.environ)])
    listener.run("get", "nobody")
    assert [hit.rpartition(": ")[2] for hit in listener.hits()] == ["an unrelated variable"]


def test_the_search_finds_a_secret_that_is_stored_and_sent(listener: Listener) -> None:
    secret = CANARIES["an unrelated variable"]
    listener.run("provision", "g4dn.xlarge", "--region", "us-east-1", "--tag", f"password={secret}", "-q")
    places = " ".join(listener.hits())
    assert "the file state.json" in places
    assert "of RunInstances" in places


def test_the_search_finds_a_secret_in_user_data_and_in_other_spellings(
    listener: Listener, monkeypatch: pytest.MonkeyPatch
) -> None:
    from gpuctl.providers.aws import create

    secret = CANARIES["the secret key"]
    monkeypatch.setattr(create, "user_data", lambda _: f"#!/bin/bash\nexport AWS_SECRET_ACCESS_KEY={secret}\n")
    listener.run("provision", "g4dn.xlarge", "--region", "us-east-1")
    assert "UserData of RunInstances: the secret key" in listener.hits()
    for before in ("", "x", "xy"):
        coded = base64.b64encode(f"{before}{secret}yz".encode()).decode()
        assert canary_hits({"it": secret}, body={"there": coded}) == ["there: it"]
    assert canary_hits({"it": secret}, body={"there": secret.encode().hex()}) == ["there: it"]
    assert canary_hits({"it": secret}, body={"there": secret[:-1]}) == []
