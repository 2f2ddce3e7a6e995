"""One cloud's users never notice another: what is not installed, or has no login, is neither loaded nor spoken of."""

import sys

import pytest
from support.cli import Operator

from gpuctl.distribution import install_extra


@pytest.fixture
def _without_azure(monkeypatch: pytest.MonkeyPatch) -> None:
    """As on an instance where the extra was not installed."""
    for name in [
        module for module in sys.modules if module == "azure" or module.startswith(("azure.", "gpuctl.providers.azure"))
    ]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "azure", None)


@pytest.mark.usefixtures("_without_azure")
def test_a_lifecycle_on_aws_never_uses_azure(operator: Operator) -> None:
    output = ""
    for argv in (
        ("provision", "g4dn.xlarge", "--region", "us-east-1", "--name", "n"),
        ("list", "--refresh"),
        ("extend", "n", "--by", "5m"),
        ("get", "n", "--refresh"),
        ("reap", "--sweep"),
        ("terminate", "n"),
        ("stats",),
    ):
        ran = operator.run(*argv)
        assert ran.code == 0, (argv, ran.err)
        output += ran.out + ran.err
    assert "zure" not in output
    assert not [module for module in sys.modules if module.startswith("azure.")]


@pytest.mark.usefixtures("_without_azure")
def test_asking_for_what_is_not_installed_says_how_to_install_it(operator: Operator) -> None:
    refused = operator.run("provision", "Standard_NC4as_T4_v3", "--region", "eastus")
    assert refused.code == 2
    assert refused.err.splitlines()[-1] == f"hint: {install_extra('azure')}"
    assert operator.active == []


@pytest.mark.usefixtures("_without_azure")
def test_a_lost_state_is_rebuilt_from_the_clouds_that_answer(operator: Operator) -> None:
    instance = operator.provision("--name", "n").instance
    operator.state.unlink()
    rebuilt = operator.run("recover", "--yes")
    assert (rebuilt.code, "zure" in rebuilt.err) == (0, False)
    assert operator.json("get", instance["id"]).instance["status"] == "CONFIGURING"
    assert operator.json("get", instance["id"], "--refresh").instance["status"] == "READY"
