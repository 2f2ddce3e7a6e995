"""The marketplace of the loopback ARM: what an image's urn becomes, and what its versions say of themselves."""

import pytest
from azure.core.exceptions import ResourceNotFoundError
from support.azure import LoopbackAzure


@pytest.mark.parametrize(
    ("urn", "generation", "size_gb"),
    [
        ("microsoft-dsvm:ubuntu-hpc:2204", "V2", 64),
        ("Canonical:0001-com-ubuntu-server-jammy:22_04-lts", "V1", 30),
        ("Canonical:0001-com-ubuntu-server-jammy:22_04-lts-gen2", "V2", 30),
    ],
)
def test_the_newest_version_of_an_image_is_found_and_described(
    azure: LoopbackAzure, urn: str, generation: str, size_gb: int
) -> None:
    images, location = azure.compute.virtual_machine_images, ("eastus", *urn.split(":"))

    every = [item.name for item in images.list(*location)]
    [newest] = images.list(*location, top=1, orderby="name desc")
    image = images.get(*location, newest.name)

    assert newest.name == every[-1]
    assert (image.hyper_v_generation, image.os_disk_image.operating_system) == (generation, "Linux")
    # On the wire, though today's SDK has no attribute for it.
    assert (image["properties"]["osDiskImage"]["sizeInGb"], image.architecture) == (size_gb, "x64")
    assert image.id.lower().endswith(f"/versions/{newest.name}")


@pytest.mark.parametrize(
    "location",
    [
        ("nobody", "ubuntu-hpc", "2204", "22.04.2026092301"),
        ("microsoft-dsvm", "ubuntu-hpc", "2299", "22.04.2026092301"),
        ("microsoft-dsvm", "ubuntu-hpc", "2204", "latest"),
    ],
)
def test_an_image_that_is_not_there_is_not_found(azure: LoopbackAzure, location: tuple[str, str, str, str]) -> None:
    with pytest.raises(ResourceNotFoundError, match="was not found"):
        azure.compute.virtual_machine_images.get("eastus", *location)
