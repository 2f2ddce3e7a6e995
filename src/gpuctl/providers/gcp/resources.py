"""Everything that exists in Google Cloud for one record: instances, disks, addresses, and firewall rules it uses."""

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from gpuctl.domain.resource import Resource
from gpuctl.domain.tags import ID
from gpuctl.providers.gcp.client import Api, Json, last_part
from gpuctl.providers.gcp.errors import is_absent
from gpuctl.providers.gcp.failures import ApiError
from gpuctl.providers.gcp.names import cloud_id, parts


def list_resources(api: Api, record_id: str, instance_id: str, known: Collection[str]) -> list[Resource]:
    """The instances and disks with the record's label, and what they hold. Complete, or raises what a call raises."""
    wanted = f"labels.{ID}={record_id}"
    instances = {cloud_id(zone, item["name"]): item for zone, item in api.aggregated("instances", filter=wanted)}
    for each in (instance_id, *known):
        fields = None if each in instances or each.count("/") != 1 else _get_resource(api, "instances", each)
        if fields is not None:
            instances[each] = fields
    disks = {cloud_id(zone, item["name"]): item for zone, item in api.aggregated("disks", filter=wanted)}
    for each in (*_disks_of(instances.values()), *known):
        fields = None if each in disks or each.count("/") != 1 else _get_resource(api, "disks", each)
        if fields is not None:
            disks[each] = fields
    return [
        *(Resource("instance", name, _labels(item)) for name, item in instances.items()),
        *(Resource("disk", name, _labels(item)) for name, item in disks.items()),
        *(part for name, item in instances.items() for part in _parts(name, item)),
    ]


def _get_resource(api: Api, kind: str, name: str) -> Json | None:
    zone, short = parts(name)
    try:
        return api.get(f"zones/{zone}/{kind}/{short}")
    except ApiError as error:
        if is_absent(error):
            return None
        raise


def _disks_of(instances: Collection[Mapping[str, Any]]) -> Iterator[str]:
    for instance in instances:
        for disk in instance.get("disks") or ():
            if disk.get("source"):
                yield cloud_id(last_part(instance["zone"]), last_part(disk["source"]))


def _parts(name: str, instance: Mapping[str, Any]) -> Iterator[Resource]:
    for interface in instance.get("networkInterfaces") or ():
        for config in interface.get("accessConfigs") or ():
            if config.get("natIP"):
                yield Resource("address", f"{name}/{config['natIP']}", is_part=True)


def _labels(item: Mapping[str, Any]) -> dict[str, str]:
    return {str(key): str(value) for key, value in (item.get("labels") or {}).items()}
