"""The resource providers of Azure that an instance needs: whether the subscription is registered for them, and where
the one with the shutdown timers has these."""

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from typing import Any

from gpuctl.errors import CloudError, CredentialsError, NotReadyError, UsageError
from gpuctl.providers.azure.client import AzureClients
from gpuctl.providers.azure.errors import SDK_ERRORS, translate
from gpuctl.providers.azure.observe import region_of

TIMERS = "Microsoft.DevTestLab"
COMPUTE = "Microsoft.Compute"
NAMESPACES = (TIMERS, COMPUTE, "Microsoft.Network")
NOT_CHECKED = (
    f"not checked: {COMPUTE} is not registered in this subscription yet; the first `gpuctl provision` registers it"
)
POLLS, PAUSE = 30, timedelta(seconds=10)

_API = "2021-04-01"
_ROLE = "docs/azure-role.json has the permissions that gpuctl needs"


class Registration:
    """What one subscription is registered for. Each provider is asked for once, and again while it is registering."""

    def __init__(self, clients: AzureClients) -> None:
        self._clients = clients
        self._known: dict[str, Mapping[str, Any]] = {}

    def check_timer(self, region: str) -> None:
        """UsageError for a region in which Azure has no shutdown timers. Raises what the SDK raises."""
        if not self.has_timer(region):
            raise UsageError(
                f"Azure has no shutdown timer in `{region}`: nothing there would stop an instance if your computer "
                f"never came back",
                hint="add another `--region`; for those that have it: az provider show --namespace "
                "Microsoft.DevTestLab --query \"resourceTypes[?resourceType=='schedules'].locations\"",
            )

    def has_timer(self, region: str) -> bool:
        """Whether Azure has shutdown timers in that region. Raises what the SDK raises."""
        kinds = self._provider(TIMERS)["resourceTypes"]
        matching = [kind for kind in kinds if str(kind["resourceType"]).casefold() == "schedules"]
        return region in {region_of(place) for item in matching for place in item["locations"]}

    def missing(self) -> list[str]:
        """The providers that are needed and not registered. Raises what the SDK raises."""
        return [name for name in NAMESPACES if not _is_registered(self._provider(name))]

    def register(self, say: Callable[[str], None]) -> None:
        """Register the missing resource providers, reporting to `say` first, and return when Azure reports all as
        registered.

        CredentialsError without permission; NotReadyError after five minutes. A second call does nothing. Raises what
        the SDK raises while reading.
        """
        missing = self.missing()
        if not missing:
            return
        names = ", ".join(missing)
        say(f"registering {names} in subscription {self._clients.subscription} (free): once, it may take some minutes")
        for name in missing:
            self._request(name)
        self._wait(missing)

    def _request(self, name: str) -> None:
        try:
            self._clients.ask("POST", f"{self._path(name)}/register", _API)
        except SDK_ERRORS as error:
            translated = translate(error, f"could not register {name}")
            if isinstance(translated, CredentialsError):
                hint = f"ask someone with that permission to run: az provider register --namespace {name}"
                raise CredentialsError(f"{translated.message}; {_ROLE}", hint=hint) from error
            raise translated from error

    def _wait(self, names: Iterable[str]) -> None:
        left = list(names)
        for _ in range(POLLS):
            for name in left:
                self._known.pop(name, None)
            left = [name for name in left if not _is_registered(self._provider(name))]
            if not left:
                return
            self._clients.pause(PAUSE)
        raise NotReadyError(
            f"Azure did not finish registering {', '.join(left)} within {POLLS * PAUSE}: nothing was created",
            hint=f"run it again when this says Registered: az provider show --namespace {left[0]}",
        )

    def _provider(self, name: str) -> Mapping[str, Any]:
        if name not in self._known:
            reply: Mapping[str, Any] = self._clients.ask("GET", self._path(name), _API).json()
            if not isinstance(reply["resourceTypes"], list):
                raise CloudError(f"Azure does not say what {name} has")
            self._known[name] = reply
        return self._known[name]

    def _path(self, name: str) -> str:
        return f"/subscriptions/{self._clients.subscription}/providers/{name}"


def _is_registered(provider: Mapping[str, Any]) -> bool:
    return str(provider["registrationState"]).casefold() == "registered"
