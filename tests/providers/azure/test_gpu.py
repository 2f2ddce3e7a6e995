"""READY that means a GPU, on Azure: `--check nvidia-smi` against a real OpenSSH server and an ARM cloud on loopback."""

import sys
from collections.abc import Iterator

import pytest
from support.azure import GEN2, LoopbackAzure
from support.cli import Ran
from support.reachable import Reachable

# Says what the newest instance of the cloud has: its GPU, or that the driver cannot be talked to.
NVIDIA_SMI = """\
#!{python}
import json, sys, urllib.request
machines = json.load(urllib.request.urlopen("{url}/gpuctl-sandbox/instances"))
sys.exit(0 if [one for one in machines if one["cloud"] == "azure"][-1]["gpu_works"] else 9)
"""


@pytest.fixture
def azure_cloud(reachable: Reachable, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackAzure]:
    operator = reachable.operator
    operator.cloud.now = operator.clock.now
    monkeypatch.setenv("GPUCTL_AZURE_ENDPOINT", operator.wire.url)
    program = reachable.sshd.home / "bin" / "nvidia-smi"
    program.parent.mkdir()
    program.write_text(NVIDIA_SMI.format(python=sys.executable, url=operator.cloud.url))
    program.chmod(0o755)
    (reachable.sshd.home / ".bash_profile").write_text('export PATH="$HOME/bin:$PATH"\n')
    past_gpuctl = LoopbackAzure(operator.cloud)
    yield past_gpuctl
    past_gpuctl.close()


def provisioned(reachable: Reachable, name: str, *argv: str) -> Ran:
    return reachable.operator.run(
        "provision", name, "--region", "eastus", "--check", "nvidia-smi", "--timeout", "1m", "--disk-size", "100", *argv
    )


def test_the_recommended_image_has_a_gpu_that_works_with_secure_boot_by_default(
    reachable: Reachable, azure_cloud: LoopbackAzure
) -> None:
    azure_cloud.set(features=["TrustedLaunchByDefaultPreview"])
    assert provisioned(reachable, "Standard_NC4as_T4_v3").code == 0


def test_an_image_without_a_driver_for_the_gpu_is_never_ready(reachable: Reachable, azure_cloud: LoopbackAzure) -> None:
    ran = provisioned(reachable, "Standard_NV36ads_A10_v5", "--image", GEN2)
    assert ran.code == 5
    assert "was not ready in time and was terminated" in ran.err


def test_a_size_without_an_image_names_the_command_and_makes_nothing(
    reachable: Reachable, azure_cloud: LoopbackAzure
) -> None:
    ran = provisioned(reachable, "Standard_NV36ads_A10_v5")
    assert ran.code == 2
    assert "no Azure image with a driver for the A10 of `Standard_NV36ads_A10_v5` is known" in ran.err
    assert "hint: add `--image PUBLISHER:OFFER:SKU:VERSION`" in ran.err
    assert azure_cloud.resources() == []
    assert reachable.operator.json("list", "--all").json["instances"] == []


def test_a_description_is_met_by_a_type_that_has_an_image(reachable: Reachable, azure_cloud: LoopbackAzure) -> None:
    ran = reachable.operator.json("provision", "--provider", "azure", "--gpu", "A10", "--region", "eastus")
    assert ran.code == 2
    assert "without an image that has a driver for its GPU" in ran.json["error"]["message"]
    assert "add `--image`" in ran.json["error"]["hint"]
