"""Subscriptions, their regions, and the resource providers that they are registered for."""

from werkzeug.wrappers import Response

from gpuctl_sandbox.azure.places import REGIONS, RESOURCES, SUBSCRIPTION, TENANT, TYPES
from gpuctl_sandbox.azure.wire import Call, Json, Refusal, reply
from gpuctl_sandbox.azure.world import World

# Every subscription has these from the start; no other provider of those that are modelled here.
_ALWAYS = (RESOURCES, "Microsoft.Authorization", "Microsoft.Features")
_NAMESPACES = {name.lower(): name for name in TYPES}


class Account:
    """The calls about what may be called."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._under_way: dict[str, int | None] = {}

    def check(self, subscription: str) -> None:
        """Refuse a subscription that there is none of."""
        if subscription not in self._subscriptions:
            raise Refusal(404, "SubscriptionNotFound", f"The subscription '{subscription}' could not be found.")

    def check_registered(self, subscription: str, namespace: str) -> None:
        """Refuse to write to a provider that the subscription is not registered for."""
        if self._state(namespace) != "Registered":
            raise Refusal(
                409,
                "MissingSubscriptionRegistration",
                f"The subscription is not registered to use namespace '{namespace}'. See "
                f"https://aka.ms/rps-not-found for how to register subscriptions.",
                details=[
                    {
                        "code": "MissingSubscriptionRegistration",
                        "target": namespace,
                        "message": f"The subscription is not registered to use namespace '{namespace}'.",
                    }
                ],
            )

    def subscriptions(self, call: Call) -> Response:
        return self._world.page(
            call, [_subscription(*subscription) for subscription in sorted(self._subscriptions.items())]
        )

    def subscription(self, call: Call) -> Response:
        return reply(_subscription(call.subscription, self._subscriptions[call.subscription]))

    def locations(self, call: Call) -> Response:
        return reply({"value": [_location(call.subscription, name, shown) for name, shown in REGIONS.items()]})

    def provider(self, call: Call) -> Response:
        shown = self._provider(call, name := self._named(call))
        left = self._under_way.get(name)
        if left is not None:
            self._under_way[name] = left - 1
        if left is not None and left <= 1:
            del self._under_way[name]
        return reply(shown)

    def register(self, call: Call) -> Response:
        """Begin to register the subscription; that takes effect after some looks at the provider."""
        name, conditions = self._named(call), self._world.conditions
        if self._state(name) == "NotRegistered":
            conditions.unregistered = [text for text in conditions.unregistered if text.lower() != name.lower()]
            conditions.registered = [*conditions.registered, name]
            self._under_way[name] = conditions.registering
        return reply(self._provider(call, name))

    def permissions(self, call: Call) -> Response:
        """What this login may do on the subscription."""
        granted = [
            {"dataActions": [], "notDataActions": [], **permission} for permission in self._world.conditions.permissions
        ]
        return reply({"value": granted})

    @property
    def _subscriptions(self) -> dict[str, str]:
        return {SUBSCRIPTION: TENANT, **{k.lower(): v for k, v in self._world.conditions.subscriptions.items()}}

    def _state(self, namespace: str) -> str:
        conditions, name = self._world.conditions, _NAMESPACES.get(namespace.lower(), namespace)
        if name in self._under_way:
            return "Registering"
        present = {text.lower() for text in conditions.registered} - {text.lower() for text in conditions.unregistered}
        return "Registered" if name in _ALWAYS or name.lower() in present else "NotRegistered"

    def _named(self, call: Call) -> str:
        name = _NAMESPACES.get(call.names["namespace"].lower())
        if name is None:
            raise Refusal(
                404, "InvalidResourceNamespace", f"The resource namespace '{call.names['namespace']}' is invalid."
            )
        return name

    def _provider(self, call: Call, name: str) -> Json:
        return {
            "id": f"/subscriptions/{call.subscription}/providers/{name}",
            "namespace": name,
            "registrationPolicy": "RegistrationRequired",
            "registrationState": self._state(name),
            "resourceTypes": [
                {
                    "resourceType": kind,
                    "locations": [REGIONS[text] for text in self._world.conditions.offering(f"{name}/{kind}", REGIONS)],
                    "apiVersions": ["2025-04-01", "2024-07-01"],
                }
                for kind in TYPES[name]
            ],
        }


def _subscription(name: str, tenant: str) -> Json:
    return {
        "id": f"/subscriptions/{name}",
        "subscriptionId": name,
        "tenantId": tenant,
        "displayName": "gpuctl sandbox" if name == SUBSCRIPTION else f"sandbox {name[:8]}",
        "state": "Enabled",
        "subscriptionPolicies": {
            "locationPlacementId": "Public_2014-09-01",
            "quotaId": "PayAsYouGo_2014-09-01",
            "spendingLimit": "Off",
        },
        "authorizationSource": "RoleBased",
        "managedByTenants": [],
    }


def _location(subscription: str, name: str, shown: str) -> Json:
    return {
        "id": f"/subscriptions/{subscription}/locations/{name}",
        "name": name,
        "type": "Region",
        "displayName": shown,
        "regionalDisplayName": shown,
        "metadata": {"regionType": "Physical", "regionCategory": "Recommended"},
    }
