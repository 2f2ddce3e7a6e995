"""Making an instance: its group first, then its network, then the instance with everything that hangs on it.

Every body follows from the order alone and every name from its token, so that a repeat makes nothing twice.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Any

from gpuctl.domain.duration import as_typed
from gpuctl.domain.instance import Market
from gpuctl.domain.market.request import Request
from gpuctl.domain.tags import CREATED_AT, EXPIRES_AT, ID, OWNER, STATE, deadline_tag
from gpuctl.errors import (
    CloudError,
    Extent,
    GpuctlError,
    OutcomeUnknown,
    PartialCreate,
    UnreachableError,
    UsageError,
)
from gpuctl.providers.azure.client import AzureClients
from gpuctl.providers.azure.errors import SDK_ERRORS, code_of, is_absent, is_not_visible_yet, translate_create
from gpuctl.providers.azure.facts import FACTS
from gpuctl.providers.azure.imagenames import image_named
from gpuctl.providers.azure.images import FAST_NETWORK, NOT_AS_SPOT, NVME, TRUSTED_LAUNCH
from gpuctl.providers.azure.names import ADDRESS, NIC, SUBNET, group_id, group_of
from gpuctl.providers.azure.observe import NAME
from gpuctl.providers.base import Order

_USER, _KEYS = FACTS.capabilities.user, FACTS.capabilities.ssh_keys
_NETWORK_WITHIN_S = 60
_VM_WITHIN_S = 60
_ONCE = {"retry_total": 0}
_NETWORK_API = "2022-11-01"
_MOST_TAGS, _OURS = 50, 6
_LONGEST_KEY, _LONGEST_VALUE = 512, 256
_NOT_IN_KEYS = frozenset("<>%&\\?/")
_RESERVED = ("microsoft", "azure", "windows")
_LARGEST_DISK_GB = 4095
# What was created that long ago is known everywhere in Azure; before that it may be missing for a moment.
_KNOWN_AFTER = timedelta(seconds=30)
_POLLS, _POLL_AGAIN = 6, timedelta(seconds=3)
_NOT_YET = "Azure does not find yet what it created just now"


def check_request(request: Request) -> None:
    """UsageError for a tag, an image, a subnet or a disk that Azure would refuse."""
    if len(request.tags) > _MOST_TAGS - _OURS:
        raise UsageError(
            f"Azure accepts at most {_MOST_TAGS - _OURS} tags in addition to those of gpuctl, not {len(request.tags)}"
        )
    folded = [key.casefold() for key in request.tags]
    for key, value in request.tags.items():
        if len(key) > _LONGEST_KEY or set(key) & _NOT_IN_KEYS or key.casefold().startswith(_RESERVED):
            raise UsageError(f"Azure does not take {as_typed(key)} as a tag's key", hint="add `--tag project=x`")
        if folded.count(key.casefold()) > 1:
            raise UsageError(f"Azure takes {as_typed(key)} as a tag's key once, whatever its case")
        if len(value) > _LONGEST_VALUE:
            raise UsageError(f"Azure takes at most {_LONGEST_VALUE} characters in a tag's value: {as_typed(key)}")
    if request.image is not None:
        image_named(request.image)
    if request.subnet is not None and "/subnets/" not in request.subnet:
        raise UsageError(
            f"on Azure --subnet must be a complete resource ID, not {as_typed(request.subnet)}",
            hint="az network vnet subnet show --query id",
        )
    if request.disk_gb > _LARGEST_DISK_GB:
        raise UsageError(
            f"Azure's largest system disk has {_LARGEST_DISK_GB} GB, not {request.disk_gb}",
            hint=f"add `--disk-size {_LARGEST_DISK_GB}`",
        )


def create_group(clients: AzureClients, order: Order) -> None:
    """Create the resource group of the attempt, or confirm that it is ours already.

    CloudError if the group belongs to others, or the type is not sold as spot in that region; raises what the SDK
    raises.
    """
    # The key was chosen for the provider of the first attempt, which may have been another one.
    objection = _KEYS.objection(order.ssh_key or "")
    if objection is not None:
        raise CloudError(f"Azure accepts {objection}", hint="ssh-keygen -t ed25519")
    if order.market is Market.SPOT and NOT_AS_SPOT in order.image.settings:
        raise CloudError(
            f"`{order.instance_type}` is not sold as spot in `{order.region}`",
            hint="add `--fallback on-demand`, or leave out `--spot`",
            cloud_code="AzureSpotIsNotSupportedForThisVMSize",
            extent=Extent.REGION,
        )
    group = group_of(order.token)
    try:
        present = clients.resource.resource_groups.get(group).as_dict()
    except SDK_ERRORS as error:
        if not is_absent(error):
            raise
    else:
        tags = present.get("tags") or {}
        if (tags.get(ID), tags.get(STATE)) != (order.record_id, order.state_id):
            raise CloudError(f"there is a group `{group}` already, and it is not ours")
    body = {"location": order.region, "tags": tags_of(order)}
    clients.resource.resource_groups.create_or_update(group, body, **_ONCE)


def create_network(clients: AzureClients, order: Order) -> None:
    """Make the instance's firewall and, unless it goes into a subnet of the user's, its network.

    TimeoutError where Azure does not get done with them; raises what the SDK raises.
    """
    group, network_client = group_of(order.token), clients.network
    rules, networks = network_client.network_security_groups, network_client.virtual_networks
    pending = [
        _sent_when_known(clients, group, lambda: rules.begin_create_or_update(group, SUBNET, firewall(order), **_ONCE))
    ]
    if order.subnet is None:
        body = network(order)
        pending.append(
            _sent_when_known(clients, group, lambda: networks.begin_create_or_update(group, SUBNET, body, **_ONCE))
        )
    for poller in pending:
        poller.wait(_NETWORK_WITHIN_S)
        if not poller.done():
            raise TimeoutError("the network is not made yet")
        try:
            poller.result()
        except SDK_ERRORS as error:
            # The operation has succeeded; only the look at what it made came too soon.
            if not is_not_visible_yet(error, group):
                raise


def create_vm(clients: AzureClients, order: Order) -> Any:
    """Request the virtual machine and return a poller of its creation; raises what the SDK raises."""
    body, group = machine(order, clients.subscription), group_of(order.token)
    machines = clients.compute.virtual_machines
    return _sent_when_known(clients, group, lambda: machines.begin_create_or_update(group, order.token, body, **_ONCE))


def _sent_when_known(clients: AzureClients, group: str, send: Callable[[], Any]) -> Any:
    """The answer to a request that refers to what was created just now, sent again while Azure does not find that.

    Each such answer is a definite refusal, so that nothing is created twice.
    """
    for polls_left in reversed(range(_POLLS)):
        try:
            return send()
        except SDK_ERRORS as error:
            if not polls_left or not is_not_visible_yet(error, group):
                raise
            clients.pause(_POLL_AGAIN)
    raise AssertionError("the last request returns or raises")


def wait_for_refusal(poller: Any) -> None:
    """Wait up to a minute for a late refusal; raises what the SDK raises.

    Azure accepts an instance before it looks for capacity. A later refusal is seen when the instance is listed.
    """
    poller.wait(_VM_WITHIN_S)
    if poller.done():
        poller.result()


def tags_of(order: Order) -> dict[str, str]:
    """The tags of everything made for that attempt."""
    named = {NAME: order.name} if order.name else {}
    return {
        **order.tags,
        **named,
        ID: order.record_id,
        STATE: order.state_id,
        OWNER: order.owner[:_LONGEST_VALUE],
        EXPIRES_AT: deadline_tag(order.expires_at),
        CREATED_AT: deadline_tag(order.created_at.replace(microsecond=0)),
    }


def firewall(order: Order) -> dict[str, Any]:
    """Ssh from the caller's address, or nothing from outside at all."""
    rules = []
    if order.ssh_from is not None:
        allowed = {
            "priority": 1000,
            "direction": "Inbound",
            "access": "Allow",
            "protocol": "Tcp",
            "sourceAddressPrefix": order.ssh_from,
            "sourcePortRange": "*",
            "destinationAddressPrefix": "*",
            "destinationPortRange": "22",
        }
        rules.append({"name": "ssh", "properties": allowed})
    return {"location": order.region, "tags": tags_of(order), "properties": {"securityRules": rules}}


def network(order: Order) -> dict[str, Any]:
    """A network of the instance's own, with one subnet."""
    subnet = {"name": SUBNET, "properties": {"addressPrefix": "10.0.0.0/24"}}
    shape = {"addressSpace": {"addressPrefixes": ["10.0.0.0/24"]}, "subnets": [subnet]}
    return {"location": order.region, "tags": tags_of(order), "properties": shape}


def machine(order: Order, subscription: str) -> dict[str, Any]:
    """The instance, its disk, its interface and its address; all of them go when it goes."""
    settings = order.image.settings
    controller = {"diskControllerType": "NVMe"} if NVME in settings else {}
    shape: dict[str, Any] = {
        "hardwareProfile": {"vmSize": order.instance_type},
        "storageProfile": {
            "imageReference": image_named(order.image.id).reference,
            "osDisk": _disk(order),
            **controller,
        },
        "osProfile": {
            "computerName": order.token,
            "adminUsername": _USER,
            "linuxConfiguration": {
                "disablePasswordAuthentication": True,
                "ssh": {"publicKeys": [{"path": f"/home/{_USER}/.ssh/authorized_keys", "keyData": order.ssh_key}]},
            },
        },
        "networkProfile": {
            "networkApiVersion": _NETWORK_API,
            "networkInterfaceConfigurations": [_interface(order, subscription)],
        },
    }
    if TRUSTED_LAUNCH in settings:
        # A driver that is not signed does not load under Secure Boot, which is on where nothing is said.
        off = {"secureBootEnabled": False, "vTpmEnabled": False}
        shape["securityProfile"] = {"securityType": "TrustedLaunch", "uefiSettings": off}
    if order.market is Market.SPOT:
        cap = float(order.max_price) if order.max_price is not None else -1
        shape |= {"priority": "Spot", "evictionPolicy": "Delete", "billingProfile": {"maxPrice": cap}}
    body = {"location": order.region, "tags": tags_of(order), "properties": shape}
    return body | ({"zones": [order.zone.rsplit("-", 1)[-1]]} if order.zone else {})


def _disk(order: Order) -> Mapping[str, Any]:
    # Azure encrypts every managed disk at rest; Standard SSD is what every size takes, of the first generation too.
    return {
        "name": f"{order.token}-disk",
        "createOption": "FromImage",
        "deleteOption": "Delete",
        "diskSizeGB": order.disk_gb,
        "managedDisk": {"storageAccountType": "StandardSSD_LRS"},
    }


def _interface(order: Order, subscription: str) -> Mapping[str, Any]:
    network_of = f"{group_id(subscription, group_of(order.token))}/providers/Microsoft.Network"
    subnet = order.subnet or f"{network_of}/virtualNetworks/{SUBNET}/subnets/{SUBNET}"
    address = {
        "name": ADDRESS,
        "sku": {"name": "Standard"},
        "tags": tags_of(order),
        "properties": {"deleteOption": "Delete", "publicIPAllocationMethod": "Static"},
    }
    inner = {"subnet": {"id": subnet}, "primary": True, "publicIPAddressConfiguration": address}
    shape = {
        "primary": True,
        "deleteOption": "Delete",
        **({"enableAcceleratedNetworking": True} if FAST_NETWORK in order.image.settings else {}),
        "networkSecurityGroup": {"id": f"{network_of}/networkSecurityGroups/{SUBNET}"},
        "ipConfigurations": [{"name": NIC, "properties": inner}],
    }
    return {"name": NIC, "tags": tags_of(order), "properties": shape}


class CreateProgress:
    """What a failure means while an instance is made, by how far it had come."""

    def __init__(self, order: Order, cloud_time: Callable[[], datetime | None]) -> None:
        self._order = order
        self._cloud_time = cloud_time
        self._group = group_of(order.token)
        self._doing = f"could not create `{order.instance_type}` in `{order.region}`"
        self.has_begun = False

    def failure(self, error: Exception) -> GpuctlError:
        """A refusal before anything was begun, PartialCreate after parts were made, OutcomeUnknown for a lost reply."""
        if isinstance(error, OutcomeUnknown):
            return error
        if isinstance(error, GpuctlError):
            translated: GpuctlError = error
        elif isinstance(error, SDK_ERRORS) and self._is_young and is_not_visible_yet(error, self._group):
            translated = UnreachableError(f"{self._doing}: {_NOT_YET}", hint="run it again", cloud_code=code_of(error))
        elif isinstance(error, SDK_ERRORS):
            translated = translate_create(error, self._doing)
        else:
            return OutcomeUnknown(f"{self._doing}: Azure's answer could not be read ({type(error).__name__})")
        if isinstance(translated, OutcomeUnknown) or not self.has_begun:
            return translated
        return PartialCreate(translated, self._group)

    @property
    def _is_young(self) -> bool:
        now = self._cloud_time()
        return self.has_begun and (now is None or now - self._order.created_at < _KNOWN_AFTER)
