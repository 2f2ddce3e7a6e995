"""Secret values are taken out of every text in every form, and nothing else is."""

import io
import json
from urllib.parse import quote

import pytest
from support.cli import Operator
from support.wire import refuse

from gpuctl.cli.terminal.streams import Streams, cleaned
from gpuctl.providers.registry import secret_variables
from gpuctl.redaction import HIDDEN, Redactor

TOKEN = "IQoJb3JpZ2luX2VjEJr//////////wEaCXVzLWVhc3Qt+MSJHMEUCIQD/canary=="
KEY = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"
ENVIRON = {
    "AWS_SECRET_ACCESS_KEY": KEY,
    "AWS_SESSION_TOKEN": f"{TOKEN}\n",
    "HTTPS_PROXY": "http://ana:pass%2Fword1@proxy:3128",
}


@pytest.mark.parametrize("secret", [KEY, TOKEN])
@pytest.mark.parametrize(
    "form",
    [
        str,
        str.upper,
        str.lower,
        repr,
        json.dumps,
        quote,
        lambda item: quote(item, safe=""),
        lambda item: quote(item, safe="").lower(),
        lambda item: repr(f"{item}\n".encode()),
        lambda item: f"a={item}&b",
        lambda item: f"{item}\r\n",
        lambda item: item[:40] + "…",
        lambda item: "…" + item[-30:],
    ],
)
def test_a_secret_is_taken_out_in_every_form(secret: str, form: object) -> None:
    text = Redactor(ENVIRON, secret_variables()).clean(f"before {form(secret)} after")  # type: ignore[operator]
    assert HIDDEN in text
    assert text.startswith("before ")
    assert text.rstrip().endswith("after")
    for part in (secret[:12], secret[-12:]):
        assert part.casefold() not in text.casefold()


@pytest.mark.parametrize("text", ["http://ana:pass%2Fword1@proxy:3128", "pass/word1 was refused", "PASS/WORD1"])
def test_the_password_of_a_proxy_is_taken_out(text: str) -> None:
    assert "word1" not in Redactor(ENVIRON, secret_variables()).clean(text).casefold()


def test_a_password_in_any_address_is_taken_out() -> None:
    assert Redactor({}, secret_variables()).clean("at https://u:hunter2@host/x") == f"at https://u:{HIDDEN}@host/x"


def test_a_value_as_short_as_a_word_hides_nothing() -> None:
    text = '{"name": "test", "costPerHour": 1}'
    assert Redactor({"AWS_SECRET_ACCESS_KEY": "test", "AWS_SESSION_TOKEN": ""}, secret_variables()).clean(text) == text


def test_a_short_secret_is_not_taken_out_of_a_longer_word() -> None:
    redactor = Redactor({"AWS_SECRET_ACCESS_KEY": "terminate"}, secret_variables())
    assert redactor.clean("terminated, terminate") == f"terminated, {HIDDEN}"


def test_a_value_that_becomes_known_later_is_taken_out_from_then_on() -> None:
    redactor = Redactor({}, secret_variables())
    redactor.add("ASIATEMPORARYKEY0001")
    assert redactor.clean("by ASIATEMPORARYKEY0001.") == f"by {HIDDEN}."


def test_json_stays_json() -> None:
    redactor = Redactor({"AWS_SECRET_ACCESS_KEY": 'has"quotes\\and+more'}, secret_variables())
    text = json.loads(redactor.clean(json.dumps({"lastError": 'x has"quotes\\and+more y'})))
    assert text == {"lastError": f"x {HIDDEN} y"}


def test_a_stream_passes_everything_else_on() -> None:
    out, err = io.StringIO(), io.StringIO()
    streams = cleaned(Streams(io.StringIO(), out, err), Redactor(ENVIRON, secret_variables()))
    streams.out.write(f"{KEY}\n")
    streams.err.writelines([f"{TOKEN}\n"])
    streams.out.flush()
    assert (out.getvalue(), err.getvalue()) == (f"{HIDDEN}\n", f"{HIDDEN}\n")
    assert not streams.out.isatty()


@pytest.mark.parametrize("form", [(), ("-v",), ("-o", "json", "-v")])
def test_what_a_cloud_quotes_of_the_credentials_is_not_printed(
    operator: Operator, monkeypatch: pytest.MonkeyPatch, form: tuple[str, ...]
) -> None:
    monkeypatch.setenv("AWS_SESSION_TOKEN", TOKEN)
    quoted = refuse("SignatureDoesNotMatch", 403, f"x-amz-security-token:{TOKEN.lower()} key {quote(TOKEN, safe='')}")
    operator.wire.arm("GetCallerIdentity", *[quoted] * 4)
    ran = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1", *form)
    assert ran.code == 4
    assert "canary" not in (ran.out + ran.err).casefold()


def test_credentials_of_a_role_are_taken_out_too(operator: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    config = operator.folder / "aws-config"
    config.write_text(
        "[profile r]\nrole_arn = arn:aws:iam::123456789012:role/ci\nsource_profile = base\n"
        "[profile base]\naws_access_key_id = AKIABASEBASEBASEBASE\naws_secret_access_key = base-secret-base-secret\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(config))
    monkeypatch.setenv("HOME", str(operator.folder))
    monkeypatch.setenv("AWS_PROFILE", "r")
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    assert operator.provision("--no-wait").code == 0
    token = operator.wire.calls("RunInstances")[0].headers["X-Amz-Security-Token"]
    operator.wire.arm("DescribeInstances", *[refuse("InvalidRequest", 400, f"bad token {token}")] * 4)
    ran = operator.run("list", "--refresh", "-v")
    assert "bad token" in ran.err
    assert token not in ran.err
