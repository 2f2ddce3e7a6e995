"""ARM as one WSGI application, one call at a time: its routes, and what every call goes through first."""

import re
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from threading import RLock
from typing import Any

from werkzeug.wrappers import Response

from gpuctl_sandbox.azure import lives
from gpuctl_sandbox.azure.account import Account
from gpuctl_sandbox.azure.daily import DailyTimers
from gpuctl_sandbox.azure.disks import Disks
from gpuctl_sandbox.azure.firewall import ssh_from
from gpuctl_sandbox.azure.galleries import Galleries
from gpuctl_sandbox.azure.groups import KIND as GROUP
from gpuctl_sandbox.azure.groups import Groups
from gpuctl_sandbox.azure.guests import guest_of
from gpuctl_sandbox.azure.images import Marketplace
from gpuctl_sandbox.azure.interfaces import Interfaces
from gpuctl_sandbox.azure.launches import Launches
from gpuctl_sandbox.azure.links import DISK, MACHINE, VNET
from gpuctl_sandbox.azure.machines import Machines, find_machine
from gpuctl_sandbox.azure.network import Network
from gpuctl_sandbox.azure.operations import result, told
from gpuctl_sandbox.azure.places import OLDEST
from gpuctl_sandbox.azure.routes import Route, Routes
from gpuctl_sandbox.azure.stock import Stock
from gpuctl_sandbox.azure.wire import Call, Json, Refusal, read_call
from gpuctl_sandbox.azure.workflows import Workflows
from gpuctl_sandbox.azure.world import World
from gpuctl_sandbox.guests.guest import Guest
from gpuctl_sandbox.setup import set_up

_CALLS_KEPT = 10_000
_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_PROVIDERS = "Microsoft.Resources/subscriptions/providers"
_PREFIXES = ("/subscriptions", "/tenants", "/providers")


class ArmCloud:
    """Azure with one subscription (more can be set up) and every region; empty at birth, held in memory only."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = RLock()
        self._forget()

    @staticmethod
    def owns(path: str) -> bool:
        """Whether a path is one of ARM's."""
        return any(path.lower() == prefix or path.lower().startswith(f"{prefix}/") for prefix in _PREFIXES)

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            call = read_call(environ)
            with self._lock:
                answer = self._answer(call)
        except Refusal as refusal:
            answer = refusal.reply()
        return answer(environ, start_response)

    def machines(self) -> list[Json]:
        """Every machine since the last reset, ended ones too, oldest first."""
        with self._lock:
            self._settle(is_look=False)
            books = self._world.books
            alive = [
                lives.entry(resource, self._now()) | {"ssh_from": ssh_from(books, resource)}
                for resource in books.resources(MACHINE)
            ]
            return sorted([*self._world.ended, *alive], key=lambda item: (item["launched_at"], item["id"]))

    def guests(self) -> list[Guest]:
        """Every virtual machine that exists, as those who log in find it."""
        with self._lock:
            self._settle(is_look=False)
            return [guest_of(machine, self._world.books) for machine in self._world.books.resources(MACHINE)]

    def resources(self) -> list[Json]:
        """Everything that exists now, groups included: id, type, location, tags, state, and whether it bills."""
        with self._lock:
            self._settle(is_look=False)
            groups = [
                {"id": group.id, "type": GROUP, "location": group.location, "tags": dict(group.tags)}
                | {"state": group.state, "bills": False}
                for group in self._world.books.groups()
            ]
            return groups + [
                {"id": resource.id, "type": resource.type, "location": resource.location, "tags": dict(resource.tags)}
                | {"state": resource.state, "bills": lives.bills(resource)}
                for resource in self._world.books.resources()
            ]

    def calls(self) -> list[Json]:
        """The ARM calls served since the last reset, oldest first; of very many, the last ten thousand."""
        with self._lock:
            return list(self._calls)

    def interrupt(self, machine_id: str) -> bool:
        """Take one spot machine back as its eviction policy says. False if no spot machine has that id."""
        with self._lock:
            self._settle(is_look=False)
            machine = find_machine(self._world, machine_id)
            if machine is None or machine.properties.get("priority") != "Spot":
                return False
            self._machines.evict(machine)
            return True

    def power_off(self, machine_id: str) -> bool:
        """Power a machine off from inside: it stays allocated and bills on. False if there is none of that id."""
        with self._lock:
            self._settle(is_look=False)
            machine = find_machine(self._world, machine_id)
            if machine is None or machine.hidden["power"] != "running":
                return False
            self._machines.shut_down(machine)
            return True

    def set_up(self, what: str, said: Json) -> Json | None:
        """Change the conditions: `settings` by name, or one of the `faults` more. None if it means nothing.

        Raises Refusal, and changes nothing then, for a name or value that is unknown.
        """
        with self._lock:
            world = self._world
            return set_up(what, said, world.conditions, lambda: world.operations.finish_all(self._now()))

    def reset(self) -> None:
        """An empty cloud under the usual conditions."""
        with self._lock:
            self._forget()

    def _forget(self) -> None:
        self._calls: deque[Json] = deque(maxlen=_CALLS_KEPT)
        world = self._world = World(self._now)
        interfaces, stock = Interfaces(world), Stock(world)
        self._account, self._galleries = Account(world), Galleries(world)
        self._machines = Machines(world, Launches(world, stock, interfaces))
        self._groups = Groups(world, self._machines)
        self._daily = DailyTimers(world, self._machines)
        self._routes = Routes(self._all_routes(Network(world, interfaces), Disks(world), stock, Marketplace()))

    def _settle(self, *, is_look: bool) -> None:
        self._world.operations.settle(self._now(), is_look=is_look)
        self._daily.fire()

    def _answer(self, call: Call) -> Response:
        self._settle(is_look=True)
        entry: Json = {
            "service": "azure",
            "action": "",
            "region": "",
            "method": call.method,
            "type": "",
            "path": call.path,
        }
        self._calls.append(entry)
        route, call = self._routes.find(call)
        kind = route.kind(call)
        entry |= {"type": kind, "action": f"{call.method} {kind}", "region": self._region(call)}
        if route.method == "POST":
            entry["action"] = f"{kind}/{call.path.rpartition('/')[2]}"
        _check_version(call, kind.partition("/")[0])
        if "subscription" in call.names:
            self._account.check(call.subscription)
        self._world.conditions.refuse(call, kind, route.action(call))
        if "subscription" in call.names and "namespace" not in call.names:
            self._account.check_registered(call.subscription, kind.partition("/")[0])
        return route.answer(call)

    def _region(self, call: Call) -> str:
        body = call.body.get("location") if call.body else None
        if "location" in call.names or isinstance(body, str):
            return str(call.names.get("location") or body).replace(" ", "").lower()
        if "group" in call.names:
            group = self._world.books.find_group(call.subscription, call.group)
            return group.location if group is not None else ""
        return ""

    def _operation(self, call: Call) -> Response:
        operation = self._world.operations.find(call.names["operation"])
        patience = self._world.conditions.retry_after
        return result(call, operation, patience) if "monitor" in call.query else told(operation, patience)

    def _all_routes(self, network: Network, disks: Disks, stock: Stock, market: Marketplace) -> list[Route]:
        root = "/subscriptions/{subscription}"
        group = root + "/resourceGroups/{group}"
        account, groups, machines = self._account, self._groups, self._machines
        compute, compute_here = root + "/providers/Microsoft.Compute", group + "/providers/Microsoft.Compute"
        machine, disk = compute_here + "/virtualMachines/{name}", compute_here + "/disks/{name}"
        place = compute + "/locations/{location}"
        image = place + "/publishers/{publisher}/artifacttypes/vmimage/offers"
        any_network = "/providers/Microsoft.Network/{kind}"
        subnet = group + "/providers/Microsoft.Network/virtualNetworks/{name}/subnets"
        images, operations = "Microsoft.Compute/locations/publishers", "/locations/{location}/{word}/{operation}"
        word = "operations|operationResults"
        return [
            Route("GET", "/tenants", account.tenants, "Microsoft.Resources/tenants"),
            Route("GET", "/subscriptions", account.subscriptions, "Microsoft.Resources/subscriptions"),
            Route("GET", root, account.subscription, "Microsoft.Resources/subscriptions"),
            Route("GET", root + "/locations", account.locations, "Microsoft.Resources/subscriptions/locations"),
            Route("GET", root + "/providers", account.providers, _PROVIDERS),
            Route(
                "GET",
                root + "/providers/Microsoft.Authorization/permissions",
                account.permissions,
                "Microsoft.Authorization/permissions",
            ),
            Route("GET", root + "/providers/{namespace}", account.provider, _PROVIDERS),
            Route("POST", root + "/providers/{namespace}/register", account.register, "{namespace}"),
            Route(
                "GET",
                root + "/providers/Microsoft.Features/providers/{namespace}/features/{feature}",
                account.feature,
                "Microsoft.Resources/features",
            ),
            Route("GET", root + "/resourceGroups", groups.every, GROUP),
            Route("PUT", group, groups.put, GROUP),
            Route("GET", group, groups.get, GROUP),
            Route("HEAD", group, groups.head, GROUP),
            Route("PATCH", group, groups.patch, GROUP),
            Route("DELETE", group, groups.delete, GROUP),
            Route("GET", group + "/resources", groups.resources, "Microsoft.Resources/resources"),
            Route("GET", root + "/resources", groups.resources, "Microsoft.Resources/resources"),
            Route(
                "GET", root + "/operationresults/{operation}", groups.operation_result, "Microsoft.Resources/operations"
            ),
            *(
                Route(
                    "GET",
                    f"{root}/providers/{name}{operations.replace('{word}', part)}",
                    self._operation,
                    f"{name}/operations",
                )
                for name in ("Microsoft.Compute", "Microsoft.Network")
                for part in word.split("|")
            ),
            Route("GET", compute + "/skus", stock.skus, "Microsoft.Compute/skus"),
            Route("GET", place + "/usages", stock.usages, "Microsoft.Compute/locations/usages"),
            Route(
                "GET",
                root + "/providers/Microsoft.Network/locations/{location}/usages",
                stock.network_usages,
                "Microsoft.Network/locations/usages",
            ),
            Route("GET", place + "/publishers", market.publishers, images),
            Route("GET", image, market.offers, images),
            Route("GET", image + "/{offer}/skus", market.skus, images),
            Route("GET", image + "/{offer}/skus/{sku}/versions", market.versions, images),
            Route("GET", image + "/{offer}/skus/{sku}/versions/{version}", market.version, images),
            *self._galleries.routes(compute_here),
            Route("GET", compute + "/virtualMachines", machines.every, MACHINE),
            Route("GET", place + "/virtualMachines", machines.every, MACHINE),
            Route("GET", compute_here + "/virtualMachines", machines.every, MACHINE),
            Route("PUT", machine, machines.put, MACHINE),
            Route("GET", machine, machines.get, MACHINE),
            Route("PATCH", machine, machines.patch, MACHINE),
            Route("DELETE", machine, machines.delete, MACHINE),
            Route("GET", machine + "/instanceView", machines.view, MACHINE),
            Route("POST", machine + "/deallocate", machines.deallocate, MACHINE),
            Route("POST", machine + "/powerOff", machines.power_off, MACHINE),
            Route("POST", machine + "/start", machines.start, MACHINE),
            Route("GET", compute + "/disks", disks.every, DISK),
            Route("GET", compute_here + "/disks", disks.every, DISK),
            Route("PUT", disk, disks.put, DISK),
            Route("GET", disk, disks.get, DISK),
            Route("DELETE", disk, disks.delete, DISK),
            *self._daily.routes(root, group),
            *Workflows(self._world).routes(root, group),
            Route("GET", subnet, network.subnets, VNET),
            Route("GET", subnet + "/{subnet}", network.subnet, VNET),
            Route("PUT", subnet + "/{subnet}", network.put_subnet, VNET),
            Route("DELETE", subnet + "/{subnet}", network.delete_subnet, VNET),
            Route("GET", root + any_network, network.every, "Microsoft.Network/{kind}"),
            Route("GET", group + any_network, network.every, "Microsoft.Network/{kind}"),
            Route("PUT", group + any_network + "/{name}", network.put, "Microsoft.Network/{kind}"),
            Route("GET", group + any_network + "/{name}", network.get, "Microsoft.Network/{kind}"),
            Route("PATCH", group + any_network + "/{name}", network.patch, "Microsoft.Network/{kind}"),
            Route("DELETE", group + any_network + "/{name}", network.delete, "Microsoft.Network/{kind}"),
        ]


def _check_version(call: Call, namespace: str) -> None:
    version = call.api_version
    if not version:
        raise Refusal(
            400,
            "MissingApiVersionParameter",
            "The api-version query parameter (?api-version=) is required for all requests.",
        )
    if not _VERSION.fullmatch(version) or version < OLDEST.get(namespace, ""):
        raise Refusal(
            400,
            "InvalidApiVersionParameter",
            f"The api-version '{version}' is invalid. The oldest supported version is '{OLDEST.get(namespace, '')}'.",
        )
