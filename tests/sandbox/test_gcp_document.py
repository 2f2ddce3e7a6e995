"""The emulated Compute Engine against Google's own discovery document."""

import json
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from typing import Any

import pytest
from support.google import LoopbackGoogle

from gpuctl_sandbox.gcp.schema import Discovery

ROOT = Path(__file__).parents[2]
EXTRACT = ROOT / "sandbox" / "src" / "gpuctl_sandbox" / "gcp" / "discovery.json"


def _script() -> Any:
    specification = spec_from_file_location("extract_discovery", ROOT / "scripts" / "extract_discovery.py")
    assert specification is not None and specification.loader is not None
    module = module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


def test_the_extract_is_what_the_script_takes_from_the_document() -> None:
    script = _script()
    document = json.loads(script.document_path().read_text("utf-8"))
    mine = EXTRACT.read_text("utf-8")
    if document["revision"] != json.loads(mine)["revision"]:
        pytest.skip(f"google-api-python-client brings revision {document['revision']}")
    assert script.extract(document) == mine


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("projects.get", ""),
        ("instances.get", "zones/us-central1-a/instances/vm"),
        ("instances.aggregatedList", "aggregated/instances"),
        ("instances.getSerialPortOutput", "zones/us-central1-a/instances/vm/serialPort"),
        ("disks.get", "zones/us-central1-a/disks/vm"),
        ("disks.aggregatedList", "aggregated/disks"),
        ("zoneOperations.list", "zones/us-central1-a/operations"),
        ("firewalls.list", "global/firewalls"),
        ("machineTypes.aggregatedList", "aggregated/machineTypes"),
        ("acceleratorTypes.aggregatedList", "aggregated/acceleratorTypes"),
        ("subnetworks.get", "regions/us-central1/subnetworks/default"),
        ("zones.list", "zones"),
        ("regions.get", "regions/us-central1"),
    ],
)
def test_every_reply_fits_the_document(google: LoopbackGoogle, method: str, path: str) -> None:
    google.launch(labels={"a": "b"}, tags=["ours"], metadata={"k": "v"})
    google.set(advised=["us-central1-b"])
    google.break_next("ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS")
    google.done(google.insert("other"))
    rule = {"name": "r", "allowed": [{"IPProtocol": "tcp", "ports": ["22"]}], "targetTags": ["ours"]}
    google.call("POST", "global/firewalls", rule)
    assert Discovery().faults_of_reply(method, google.call("GET", path)) == []


def test_a_family_of_images_fits_the_document(google: LoopbackGoogle) -> None:
    family = "ubuntu-accelerator-2404-amd64-with-nvidia-580"
    status, reply = google.raw(
        "GET", f"/compute/v1/projects/ubuntu-os-accelerator-images/global/images/family/{family}"
    )
    assert (status, reply["name"]) == (200, f"{family}-v20261103")
    assert Discovery().faults_of_reply("images.getFromFamily", reply) == []
