"""Azure behind the provider protocol."""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from gpuctl.domain.diagnosis import Finding
from gpuctl.domain.instance import CloudState, Observed, ProviderName
from gpuctl.domain.offers import InstanceType
from gpuctl.domain.protection import Killer, Protector, Standing
from gpuctl.domain.request import Request
from gpuctl.domain.strangers import ORPHAN_AGE
from gpuctl.domain.tags import EXPIRES_AT, ID, STATE, deadline_tag, ownership
from gpuctl.errors import CloudError, CredentialsError, GpuctlError, OutcomeUnknown, UnreachableError
from gpuctl.providers.azure import create as creation
from gpuctl.providers.azure import timer
from gpuctl.providers.azure.addresses import addresses_of
from gpuctl.providers.azure.client import SUBSCRIPTIONS_API, Clients
from gpuctl.providers.azure.diagnose import diagnose
from gpuctl.providers.azure.ending import end_group, is_deleted
from gpuctl.providers.azure.errors import SDK_ERRORS, is_absent, translate
from gpuctl.providers.azure.images import find_image
from gpuctl.providers.azure.names import USER, group_in, group_of, token_of
from gpuctl.providers.azure.observe import observed, region_of
from gpuctl.providers.base import Capabilities, Identity, Image, Order, Trial

_ODD_SHAPE = (KeyError, IndexError, TypeError, ValueError, AttributeError, ValidationError)


@dataclass(frozen=True, slots=True)
class _Deletion:
    """An end that this process asked for: what it was asked of, and where Azure tells how far it is."""

    seen: Observed
    address: str


class AzureProvider:
    """A subscription as one login sees it; see `Provider` for what each method promises.

    A machine's cloud id is the name of its resource group, and its account is tenant and subscription.
    """

    name = ProviderName.AZURE
    capabilities = Capabilities(
        timer_in_create=False, timer_ends_all=False, idle_ends=False, needs_ssh_key=True, user=USER
    )

    def __init__(self, clients: Clients) -> None:
        self._clients = clients
        self._account: str | None = None
        self._deletions: dict[str, _Deletion] = {}

    @property
    def login(self) -> str | None:
        return self._clients.known_subscription

    @property
    def is_local(self) -> bool:
        return self._clients.is_loopback

    def default_region(self) -> tuple[str, str] | None:
        region = self._clients.environ.get("AZURE_DEFAULTS_LOCATION")
        if not region:
            return None
        return region_of(region), "AZURE_DEFAULTS_LOCATION"

    def identity(self) -> Identity:
        with _translated("could not ask Azure whose login this is"):
            path = f"/subscriptions/{self._clients.subscription}"
            said = self._clients.ask("GET", path, SUBSCRIPTIONS_API).json()
            self._account = f"{said['tenantId']}/{said['subscriptionId']}"
        return Identity(self._account, self._clients.cloud_time)

    def regions(self) -> Collection[str]:
        with _translated("could not ask Azure which regions this subscription can use"):
            path = f"/subscriptions/{self._clients.subscription}/locations"
            said = self._clients.ask("GET", path, SUBSCRIPTIONS_API).json()
            return frozenset(str(one["name"]) for one in said["value"])

    def find_image(self, region: str, kind: InstanceType, image: str | None) -> Image:
        with _translated("could not find an image"):
            return find_image(self._clients, region, kind, image)

    def check_request(self, request: Request) -> None:
        creation.check_request(request)

    def check_life(self, region: str, life: timedelta) -> None:
        timer.check_life(life)

    def zones(self, region: str, kind: InstanceType) -> Sequence[str]:
        # A machine that names no zone is put wherever the region has a place: trying its zones one by one adds nothing.
        return ()

    def create(self, order: Order) -> Observed:
        making, group = creation.Making(order), group_of(order.token)
        with _translated(f"could not create `{order.instance_type}` in `{order.region}`"):
            account = self._known_account()
        try:
            creation.create_group(self._clients, order)
            making.has_begun = True
            creation.create_network(self._clients, order)
            poller = creation.create_machine(self._clients, order)
            # Armed at once: from here on it bills, whatever becomes of us.
            self._try_to_arm(order, group)
            creation.wait_for_refusal(poller)
            seen = self._one(group, account)
            if seen.state is CloudState.REMNANT:
                raise OutcomeUnknown(f"Azure accepted `{order.token}` and does not show it yet")
        except (GpuctlError, *SDK_ERRORS, *_ODD_SHAPE, TimeoutError) as error:
            raise making.failure(error) from error
        return seen

    def other_ssh_sources(self, region: str, subnet: str | None, ssh_from: str | None) -> Sequence[str]:
        # AllowVnetInBound is in every network security group; nothing else exists in a network of the instance's own.
        return () if subnet is None else ("the virtual network of the subnet and networks peered with it",)

    def close_ingress(self, region: str, state_id: str, needed: Collection[str]) -> bool:
        # Each instance has a network security group of its own, which is deleted with it.
        return True

    def get(self, region: str, cloud_id: str) -> Observed | None:
        with _translated(f"could not look at {cloud_id}"):
            try:
                return self._one(cloud_id, self._known_account())
            except SDK_ERRORS as error:
                if not is_absent(error):
                    raise
            return self._deleted(cloud_id)

    def find(self, region: str, record_id: str) -> Sequence[Observed]:
        return self._listed(region, f"tagName eq '{ID}' and tagValue eq '{record_id}'", ())

    def list_instances(self, region: str, ask_ready: Collection[str] = ()) -> Sequence[Observed]:
        return self._listed(region, f"tagName eq '{STATE}'", ask_ready)

    def terminate(self, region: str, cloud_ids: Sequence[str], *, force: bool = False) -> Mapping[str, GpuctlError]:
        failures: dict[str, GpuctlError] = {}
        for group in dict.fromkeys(cloud_ids):
            try:
                with _translated(f"could not end {group}"):
                    self._end(group, force=force)
            except CredentialsError:
                raise
            except GpuctlError as error:
                failures[group] = error
        return failures

    def protection(
        self, region: str, cloud_id: str, at: datetime, ready_at: datetime | None = None
    ) -> Sequence[Protector]:
        with _translated(f"could not read back what protects {cloud_id}"):
            group = self._clients.resource.resource_groups.get(cloud_id).as_dict()
            return [_sweep(group.get("tags") or {}, at), timer.read_back(self._clients, cloud_id, at)]

    def diagnose(self, trial: Trial) -> Iterable[Finding]:
        with _translated("could not look at what this subscription may have"):
            return list(diagnose(self._clients, trial))

    def set_deadline(self, region: str, cloud_id: str, expires_at: datetime) -> None:
        with _translated(f"could not move the deadline of {cloud_id}"):
            groups, machines = self._clients.resource.resource_groups, self._clients.compute.virtual_machines
            moved = {EXPIRES_AT: deadline_tag(expires_at)}
            tags = (groups.get(cloud_id).as_dict().get("tags") or {}) | moved
            timer.arm(self._clients, cloud_id, region, tags, expires_at)
            stands = groups.update(cloud_id, {"tags": tags}).as_dict().get("tags") or {}
            machines.begin_update(cloud_id, token_of(cloud_id), {"tags": tags}, polling=False)
            if stands.get(EXPIRES_AT) != moved[EXPIRES_AT]:
                raise CloudError(f"the deadline of {cloud_id} does not stand as it was set")

    def _known_account(self) -> str:
        return self._account or self.identity().account

    def _try_to_arm(self, order: Order, group: str) -> None:
        """Arm the timer; where that fails the machine is there all the same, and what reads it back says what is
        missing."""
        try:
            timer.arm(self._clients, group, order.region, creation.tags_of(order), order.expires_at)
        except (GpuctlError, *SDK_ERRORS, *_ODD_SHAPE):
            return

    def _one(self, group: str, account: str) -> Observed:
        """The machine of that group with its readiness and addresses; raises what the SDK raises."""
        said = self._clients.resource.resource_groups.get(group).as_dict()
        try:
            token = token_of(group)
            machine = self._clients.compute.virtual_machines.get(group, token, expand="instanceView").as_dict()
        except SDK_ERRORS as error:
            if not is_absent(error):
                raise
            machine = None
        seen = observed(said, machine, _statuses(machine), account, is_asked_ready=True)
        return seen if machine is None else seen.model_copy(update=addresses_of(self._clients, machine))

    def _listed(self, region: str, wanted: str, ask_ready: Collection[str]) -> list[Observed]:
        with _translated(f"could not list machines in `{region}`"):
            account = self._known_account()
            every = [one.as_dict() for one in self._clients.resource.resource_groups.list(filter=wanted)]
            groups = {str(one["name"]).lower(): one for one in every if region_of(one["location"]) == region}
            machines = self._machines(set(groups)) if groups else {}
            found = []
            for name, group in groups.items():
                machine, statuses = machines.get(name, (None, []))
                seen = observed(group, machine, statuses, account, is_asked_ready=name in ask_ready)
                if machine is not None and name in ask_ready:
                    seen = seen.model_copy(update=addresses_of(self._clients, machine))
                found.append(seen)
            gone = [self._deleted(one) for one, deletion in self._deletions.items() if deletion.seen.region == region]
            return [*found, *(one for one in gone if one is not None and one.cloud_id not in groups)]

    def _machines(self, groups: set[str]) -> dict[str, tuple[Mapping[str, Any], list[Mapping[str, Any]]]]:
        """The machine of each group with what its instance view says, from two listings of the subscription."""
        operations = self._clients.compute.virtual_machines
        views = {str(one["id"]).casefold(): _statuses(one) for one in _dicts(operations.list_all(status_only="true"))}
        found = {}
        for machine in _dicts(operations.list_all()):
            group = group_in(machine["id"]).lower()
            if group in groups and str(machine["name"]).lower() == token_of(group):
                found[group] = (machine, views.get(str(machine["id"]).casefold(), []))
        return found

    def _end(self, group: str, *, force: bool) -> None:
        seen = self.get("", group)
        if seen is None or not seen.exists:
            return
        address = end_group(self._clients, group, force=force)
        if address is not None:
            self._deletions[group] = _Deletion(seen, address)

    def _deleted(self, group: str) -> Observed | None:
        """The machine as ended, where Azure reports the deletion that we asked for as completed."""
        deletion = self._deletions.get(group)
        try:
            if deletion is None or not is_deleted(self._clients, deletion.address):
                return None
        except SDK_ERRORS:
            return None
        # Azure tells of no machine when it ended: this is when it said that nothing is left.
        ended = {"state": CloudState.ENDED, "ready": False, "ended_at": self._clients.cloud_time}
        return deletion.seen.model_copy(update=ended)


def _sweep(tags: Mapping[str, str], at: datetime) -> Protector:
    claims = ownership(tags)
    told = {"id": claims.record_id, "state": claims.state_id, "deadline": claims.expires_at, "birth": claims.created_at}
    missing = [name for name, value in told.items() if value is None]
    if missing or claims.expires_at is None or claims.created_at is None:
        why = f"no readable tag for {', '.join(missing)}"
        return Protector(killer=Killer.SWEEP, standing=Standing.MISSING, read_at=at, detail=why)
    acts_at = max(claims.expires_at, claims.created_at + ORPHAN_AGE)
    return Protector(
        killer=Killer.SWEEP, standing=Standing.CONFIGURED, acts_at=acts_at, read_at=at, detail="by its group's tags"
    )


def _statuses(machine: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    view = (machine or {}).get("properties", {}).get("instanceView", {})
    return list(view.get("statuses", ()))


def _dicts(pages: Any) -> Iterator[Mapping[str, Any]]:
    return (one.as_dict() for one in pages)


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """SDK errors stop here; an answer of an odd shape is no answer."""
    try:
        yield
    except SDK_ERRORS as error:
        raise translate(error, doing) from error
    except _ODD_SHAPE as error:
        raise UnreachableError(f"{doing}: Azure's answer could not be read ({type(error).__name__})") from error
