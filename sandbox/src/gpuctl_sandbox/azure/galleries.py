"""Images in compute galleries: none of them, until a test or a user sets some up."""

from collections.abc import Mapping
from typing import Any

from werkzeug.wrappers import Response

from gpuctl_sandbox.azure.conditions import Conditions
from gpuctl_sandbox.azure.images import Image, features
from gpuctl_sandbox.azure.routes import Route
from gpuctl_sandbox.azure.wire import Call, Json, Refusal, invalid, reply
from gpuctl_sandbox.azure.world import World

_STATE = {"provisioningState": "Succeeded"}


class Galleries:
    """The calls about definitions of images, and about their versions."""

    def __init__(self, world: World) -> None:
        self._world = world

    def routes(self, compute: str) -> list[Route]:
        """The addresses, under the compute provider of a group."""
        image, kind = compute + "/galleries/{gallery}/images/{image}", "Microsoft.Compute/galleries/images"
        return [
            Route("GET", image, self.definition, kind),
            Route("GET", image + "/versions", self.versions, f"{kind}/versions"),
            Route("GET", image + "/versions/{version}", self.version, f"{kind}/versions"),
        ]

    def definition(self, call: Call) -> Response:
        image, shape = self._found(call)
        body = {
            "osType": image.system,
            "osState": shape.get("state", "Generalized"),
            "hyperVGeneration": image.generation,
            "architecture": image.arch,
            "features": features(image),
            "identifier": {"publisher": "them", "offer": "theirs", "sku": call.names["image"]},
        }
        plan = {"purchasePlan": {"name": image.plan}} if image.plan else {}
        return reply(self._entry(call, image.id, call.names["image"], {**body, **plan}))

    def versions(self, call: Call) -> Response:
        image, _ = self._found(call)
        return reply({"value": [self._version(call, image, version) for version in image.versions]})

    def version(self, call: Call) -> Response:
        image, _ = self._found(call)
        if call.names["version"] not in image.versions:
            raise _absent(f"{image.id}/versions/{call.names['version']}")
        return reply(self._version(call, image, call.names["version"]))

    def _version(self, call: Call, image: Image, version: str) -> Json:
        stored = {"storageProfile": {"osDiskImage": {"sizeInGB": image.size_gb, "hostCaching": "ReadWrite"}}}
        return self._entry(call, f"{image.id}/versions/{version}", version, stored)

    def _entry(self, call: Call, place: str, name: str, body: Json) -> Json:
        return {"id": place, "name": name, "location": "eastus", "properties": {**_STATE, **body}}

    def _found(self, call: Call) -> tuple[Image, Mapping[str, Any]]:
        wanted = call.path.split("/versions")[0]
        shape = _told(self._world.conditions, wanted)
        if shape is None:
            raise _absent(wanted)
        return _image(shape), shape


def in_gallery(reference: Json, conditions: Conditions) -> tuple[Image, str]:
    """The image that a machine's call names by its id, and its version. Refused if there is none."""
    definition, _, version = str(reference["id"]).partition("/versions/")
    shape = _told(conditions, definition)
    if shape is None or (version and version not in shape["versions"]):
        raise _absent(str(reference["id"]))
    if shape.get("state", "Generalized") != "Generalized":
        raise invalid("osProfile", "Parameter 'osProfile' is not allowed.")
    image = _image(shape)
    return image, version or image.versions[-1]


def _told(conditions: Conditions, place: str) -> Mapping[str, Any] | None:
    return next((item for item in conditions.gallery if str(item["id"]).casefold() == place.casefold()), None)


def _image(shape: Mapping[str, Any]) -> Image:
    return Image(
        "",
        "",
        "",
        str(shape.get("generation", "V2")),
        int(shape.get("size_gb", 64)),
        tuple(shape["versions"]),
        arch=str(shape.get("arch", "x64")),
        has_trusted_launch=bool(shape.get("trusted_launch")),
        gpus=str(shape.get("gpus", "")),
        plan=str(shape.get("plan", "")),
        system=str(shape.get("system", "Linux")),
        controllers=str(shape.get("controllers", "SCSI, NVMe")),
        id=str(shape["id"]),
    )


def _absent(place: str) -> Refusal:
    return Refusal(404, "NotFound", f"The gallery image {place} is not available in the region.", "imageReference")
