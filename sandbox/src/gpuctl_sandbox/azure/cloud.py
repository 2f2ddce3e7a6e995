"""ARM as one WSGI application, one call at a time: its routes, and what every call goes through first."""

import re
from typing import Any

from werkzeug.wrappers import Response

from gpuctl_sandbox.azure import lives
from gpuctl_sandbox.azure.account import Account
from gpuctl_sandbox.azure.conditions import DAILY
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
from gpuctl_sandbox.azure.links import DISK, MACHINE
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
from gpuctl_sandbox.operated import OperatedCloud

_VERSION = re.compile(r"\d{4}-\d{2}-\d{2}(-preview)?")
_PROVIDERS = "Microsoft.Resources/subscriptions/providers"
_PREFIXES = ("/subscriptions", "/tenants", "/providers")


class ArmCloud(OperatedCloud):
    """Azure with one subscription (more can be set up) and every region."""

    _world: World

    @staticmethod
    def owns(path: str) -> bool:
        """Whether a path is one of ARM's."""
        return any(path.lower() == prefix or path.lower().startswith(f"{prefix}/") for prefix in _PREFIXES)

    def instances(self) -> list[Json]:
        """Every machine since the last reset, ended ones too, oldest first."""
        with self._lock:
            self._settle(is_look=False)
            books = self._world.books
            active = [
                lives.entry(resource, self._now()) | {"ssh_from": ssh_from(books, resource)}
                for resource in books.resources(MACHINE)
            ]
            return sorted([*self._world.ended, *active], key=lambda item: (item["launched_at"], item["id"]))

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

    def _forget(self) -> None:
        world = self._world = World(self._now)
        interfaces, stock = Interfaces(world), Stock(world)
        self._account, self._galleries = Account(world), Galleries(world)
        self._machines = Machines(world, Launches(world, stock, interfaces))
        self._groups = Groups(world, self._machines)
        self._daily = DailyTimers(world, self._machines)
        self._routes = Routes(self._all_routes(Network(world), Disks(world), stock, Marketplace()))

    def _settle(self, *, is_look: bool) -> None:
        self._world.operations.settle(self._now(), is_look=is_look)
        self._daily.fire()

    def _read(self, environ: dict[str, Any]) -> Call:
        return read_call(environ)

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
        machine, schedule = compute_here + "/virtualMachines/{name}", f"{group}/providers/{DAILY}/{{name}}"
        place = compute + "/locations/{location}"
        image = place + "/publishers/{publisher}/artifacttypes/vmimage/offers"
        network_part = group + "/providers/Microsoft.Network/{kind}/{name}"
        images = "Microsoft.Compute/locations/publishers"
        return [
            Route("GET", "/subscriptions", account.subscriptions, "Microsoft.Resources/subscriptions"),
            Route("GET", root, account.subscription, "Microsoft.Resources/subscriptions"),
            Route("GET", root + "/locations", account.locations, "Microsoft.Resources/subscriptions/locations"),
            Route(
                "GET",
                root + "/providers/Microsoft.Authorization/permissions",
                account.permissions,
                "Microsoft.Authorization/permissions",
            ),
            Route("GET", root + "/providers/{namespace}", account.provider, _PROVIDERS),
            Route("POST", root + "/providers/{namespace}/register", account.register, "{namespace}"),
            Route("GET", root + "/resourceGroups", groups.every, GROUP),
            Route("PUT", group, groups.put, GROUP),
            Route("GET", group, groups.get, GROUP),
            Route("PATCH", group, groups.patch, GROUP),
            Route("DELETE", group, groups.delete, GROUP),
            Route("GET", group + "/resources", groups.resources, "Microsoft.Resources/resources"),
            Route(
                "GET", root + "/operationresults/{operation}", groups.operation_result, "Microsoft.Resources/operations"
            ),
            *(
                Route(
                    "GET",
                    f"{root}/providers/{name}/locations/{{location}}/{part}/{{operation}}",
                    self._operation,
                    f"{name}/operations",
                )
                for name in ("Microsoft.Compute", "Microsoft.Network")
                for part in ("operations", "operationResults")
            ),
            Route("GET", compute + "/skus", stock.skus, "Microsoft.Compute/skus"),
            Route("GET", place + "/usages", stock.usages, "Microsoft.Compute/locations/usages"),
            Route("GET", image + "/{offer}/skus/{sku}/versions", market.versions, images),
            Route("GET", image + "/{offer}/skus/{sku}/versions/{version}", market.version, images),
            *self._galleries.routes(compute_here),
            Route("GET", compute + "/virtualMachines", machines.every, MACHINE),
            Route("PUT", machine, machines.put, MACHINE),
            Route("GET", machine, machines.get, MACHINE),
            Route("PATCH", machine, machines.patch, MACHINE),
            Route("DELETE", machine, machines.delete, MACHINE),
            Route("POST", machine + "/deallocate", machines.deallocate, MACHINE),
            Route("PUT", compute_here + "/disks/{name}", disks.put, DISK),
            Route("PUT", schedule, self._daily.put, DAILY),
            Route("GET", schedule, self._daily.get, DAILY),
            *Workflows(self._world).routes(root, group),
            Route("PUT", network_part, network.put, "Microsoft.Network/{kind}"),
            Route("GET", network_part, network.get, "Microsoft.Network/{kind}"),
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
