"""Google Cloud beside the others: without its extra, without credentials, and while it is down."""

import sys

import pytest
from support.cli import Operator
from support.google import LoopbackGoogle
from support.wire import refuse_google

from gpuctl.distribution import install_extra

L4 = ("provision", "g2-standard-4", "--region", "us-central1")


@pytest.fixture
def _without_google(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a computer where the extra was not installed."""
    for name in [module for module in sys.modules if module.startswith(("requests", "google", "gpuctl.providers.gcp"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "requests", None)
    monkeypatch.setitem(sys.modules, "google", None)


@pytest.mark.usefixtures("_without_google")
def test_without_the_extra_a_hint_names_the_install_command_and_aws_goes_on(operator: Operator) -> None:
    refused = operator.run(*L4)
    assert refused.code == 2
    assert refused.err.splitlines()[-1] == f"hint: {install_extra('gcp')}"
    assert operator.provision("--name", "n").code == 0
    for argv in (("list", "--refresh"), ("reap", "--sweep"), ("terminate", "n")):
        ran = operator.run(*argv)
        assert (ran.code, "oogle" in ran.err) == (0, False), (argv, ran.err)


def test_without_credentials_google_cloud_is_refused_and_aws_goes_on(
    operator: Operator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "a-project")
    refused = operator.run(*L4)
    assert (refused.code, "gcloud auth application-default login" in refused.err) == (4, True)
    assert operator.provision("--name", "n").code == 0
    assert operator.run("reap").code == 0


def test_while_google_cloud_is_down_the_others_are_reaped(operator: Operator, google_cloud: LoopbackGoogle) -> None:
    operator.json(*L4, "--name", "there")
    operator.provision("--name", "here")
    operator.later(minutes=61)
    for action in ("GET project", "GET instances", "DELETE instances"):
        operator.wire.arm(action, *[refuse_google("backendError", 503)] * 12)
    assert operator.run("reap", "--sweep").code == 8
    assert operator.active == [instance["id"] for instance in google_cloud.instances()]
    operator.wire.reset()
    operator.run("reap", "--sweep")
    assert operator.active == []


def test_where_one_cloud_has_no_room_google_cloud_stands_in_for_it(
    operator: Operator, google_cloud: LoopbackGoogle
) -> None:
    from support.wire import refuse

    operator.wire.arm("RunInstances", *[refuse("InsufficientInstanceCapacity", 500)] * 9)
    ran = operator.json("provision", "--gpu", "T4", "--region", "us-east-1,us-central1", "--name", "n")
    assert (ran.code, ran.instance["provider"], ran.instance["region"]) == (0, "GCP", "us-central1")
    assert [attempt["outcome"] for attempt in ran.instance["attempts"]][-1] == "created"
    operator.run("terminate", "n", "--yes")
    assert operator.active == []
