"""Azure behind the provider protocol."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from pydantic import ValidationError

from gpuctl.domain.diagnosis import Finding
from gpuctl.domain.instance import CloudState, Observed
from gpuctl.domain.market.offers import InstanceType
from gpuctl.domain.market.request import Request
from gpuctl.domain.resource import Resource
from gpuctl.domain.safeguards import Safeguard
from gpuctl.domain.tags import EXPIRES_AT, ID, STATE, deadline_tag, ownership
from gpuctl.errors import CloudError, GpuctlError, OutcomeUnknown, UnreachableError
from gpuctl.providers.azure import create as creation
from gpuctl.providers.azure import timer
from gpuctl.providers.azure.addresses import addresses_of
from gpuctl.providers.azure.client import SUBSCRIPTIONS_API, AzureClients
from gpuctl.providers.azure.diagnose import diagnose
from gpuctl.providers.azure.errors import SDK_ERRORS, is_absent, translate, unless_absent, unreadable_credentials
from gpuctl.providers.azure.facts import FACTS, REGION_VARIABLE
from gpuctl.providers.azure.images import find_image
from gpuctl.providers.azure.names import group_in, group_of, token_of
from gpuctl.providers.azure.observe import observed, region_of, statuses_of
from gpuctl.providers.azure.registration import Registration
from gpuctl.providers.azure.resources import list_resources
from gpuctl.providers.azure.termination import RequestedDeletion, end_group, is_deleted
from gpuctl.providers.base import DiagnosedInstance, Identity, Image, Order
from gpuctl.providers.safeguards import sweep_safeguard

_FEW = 4
_ODD_SHAPE = (KeyError, IndexError, TypeError, ValueError, AttributeError, ValidationError)


class AzureProvider:
    """A subscription as one login sees it; see `Provider` for what each method promises.

    An instance's cloud id is the name of its resource group, and its account is tenant and subscription.
    """

    name = FACTS.name
    capabilities = FACTS.capabilities

    def __init__(self, clients: AzureClients) -> None:
        self._clients = clients
        self._account: str | None = None
        self._deletions: dict[str, RequestedDeletion] = {}
        self._registration = Registration(clients)
        self._unarmed: dict[str, str] = {}

    @property
    def login(self) -> str | None:
        return self._clients.known_subscription

    @property
    def is_local(self) -> bool:
        return self._clients.is_loopback

    def default_region(self) -> tuple[str, str] | None:
        region = self._clients.environ.get(REGION_VARIABLE)
        return (region_of(region), REGION_VARIABLE) if region else None

    def identity(self) -> Identity:
        with _translated("could not read the Azure identity"):
            path = f"/subscriptions/{self._clients.subscription}"
            reply = self._clients.ask("GET", path, SUBSCRIPTIONS_API).json()
            self._account = f"{reply['tenantId']}/{reply['subscriptionId']}"
        return Identity(self._account, self._clients.cloud_time)

    def regions(self) -> Collection[str]:
        with _translated("could not list the Azure regions of this subscription"):
            path = f"/subscriptions/{self._clients.subscription}/locations"
            reply = self._clients.ask("GET", path, SUBSCRIPTIONS_API).json()
            return frozenset(str(item["name"]) for item in reply["value"])

    def find_image(self, region: str, kind: InstanceType, image: str | None) -> Image:
        with _translated("could not find an image"):
            return find_image(self._clients, region, kind, image)

    def check_request(self, request: Request) -> None:
        creation.check_request(request)

    def check_ttl(self, region: str, ttl: timedelta) -> None:
        timer.check_ttl(ttl)
        with _translated(f"could not check whether Azure has shutdown schedules in `{region}`"):
            self._registration.check_timer(region)

    def prepare(self, region: str, say: Callable[[str], None]) -> None:
        with _translated("could not read the registrations of this subscription"):
            self._registration.register(say)

    def zones(self, region: str, kind: InstanceType) -> Sequence[str]:
        # Without a zone Azure uses any zone of the region with capacity: trying its zones one by one adds nothing.
        return ()

    def create(self, order: Order) -> Observed:
        making, group = creation.CreateProgress(order, lambda: self._clients.cloud_time), group_of(order.token)
        with _translated(f"could not create `{order.instance_type}` in `{order.region}`"):
            account = self._known_account()
        try:
            creation.create_group(self._clients, order)
            making.has_begun = True
            creation.create_network(self._clients, order)
            poller = creation.create_vm(self._clients, order)
            # Armed at once: from here on it bills, whatever becomes of us.
            is_armed = self._try_to_arm(order, group)
            creation.wait_for_refusal(poller)
            if not is_armed and poller.done():
                # It may be that Azure takes no schedule for an instance that it is still creating.
                self._try_to_arm(order, group)
            instance = self._instance_of(group, account)
            if instance.state is CloudState.REMNANT:
                raise OutcomeUnknown(f"Azure accepted `{order.token}` and does not show it yet")
        except (GpuctlError, *SDK_ERRORS, *_ODD_SHAPE, OSError) as error:
            raise making.failure(error) from error
        return instance

    def other_ssh_sources(self, region: str, subnet: str | None, ssh_from: str | None) -> Sequence[str]:
        # AllowVnetInBound is in every network security group; nothing else exists in a network of the instance's own.
        return () if subnet is None else ("the virtual network of the subnet and networks peered with it",)

    def close_ingress(self, region: str, state_id: str, needed: Collection[str]) -> bool:
        # Each instance has a network security group of its own, which is deleted with it.
        return True

    def get(self, region: str, cloud_id: str) -> Observed | None:
        with _translated(f"could not read {cloud_id}"):
            try:
                return self._instance_of(cloud_id, self._known_account())
            except SDK_ERRORS as error:
                if not is_absent(error):
                    raise
            return self._deleted(cloud_id)

    def find(self, region: str, record_id: str) -> Sequence[Observed]:
        return self._listed(region, f"tagName eq '{ID}' and tagValue eq '{record_id}'", ())

    def list_instances(self, region: str, query_ready: Collection[str] = ()) -> Sequence[Observed]:
        return self._listed(region, f"tagName eq '{STATE}'", query_ready)

    def terminate(self, region: str, cloud_ids: Sequence[str], *, force: bool = False) -> Mapping[str, GpuctlError]:
        failures: dict[str, GpuctlError] = {}
        for group in dict.fromkeys(cloud_ids):
            try:
                with _translated(f"could not delete the group {group}"):
                    self._end(group, force=force)
            except GpuctlError as error:
                # A login without the permission for one group may have it for the next.
                failures[group] = error
        return failures

    def safeguards(
        self, region: str, cloud_id: str, at: datetime, ready_at: datetime | None = None
    ) -> Sequence[Safeguard]:
        with _translated(f"could not read the safeguards of {cloud_id}"):
            group = self._clients.resource.resource_groups.get(cloud_id).as_dict()
            tags = group.get("tags") or {}
            sweep = sweep_safeguard(tags, ownership(tags).created_at, at, source="the tags of its resource group")
            return [sweep, self._timer(cloud_id, at)]

    def resources(self, region: str, record_id: str, cloud_id: str, known: Collection[str] = ()) -> Sequence[Resource]:
        with _translated(f"could not list the resources of {record_id}"):
            return list_resources(self._clients, record_id, cloud_id)

    def diagnose(self, trial: DiagnosedInstance) -> Iterable[Finding]:
        with _translated("could not check the permissions of this subscription"):
            return list(diagnose(self._clients, trial))

    def unattended_warning(self) -> None:
        return None

    def set_deadline(self, region: str, cloud_id: str, expires_at: datetime) -> None:
        with _translated(f"could not extend the deadline of {cloud_id}"):
            groups, moved = self._clients.resource.resource_groups, deadline_tag(expires_at)
            stored_tags = groups.get(cloud_id).as_dict().get("tags") or {}
            tags = stored_tags | {EXPIRES_AT: moved}
            timer.arm(self._clients, cloud_id, region, tags, expires_at)
            self._unarmed.pop(cloud_id, None)
            if stored_tags.get(EXPIRES_AT) != moved:
                stored_tags = groups.update(cloud_id, {"tags": tags}).as_dict().get("tags") or {}
            self._tag_vm(cloud_id, tags)
            if stored_tags.get(EXPIRES_AT) != moved:
                raise CloudError(f"{cloud_id}: the provider shows another deadline than the one set")

    def _known_account(self) -> str:
        return self._account or self.identity().account

    def _try_to_arm(self, order: Order, group: str) -> bool:
        """Set the timer; a failure does not affect the instance, and reading the safeguards back reports it."""
        try:
            with _translated("it could not be set"):
                timer.arm(self._clients, group, order.region, creation.tags_of(order), order.expires_at)
        except GpuctlError as error:
            self._unarmed[group] = error.message
            return False
        self._unarmed.pop(group, None)
        return True

    def _timer(self, group: str, at: datetime) -> Safeguard:
        safeguard, reason = timer.read_back(self._clients, group, at), self._unarmed.get(group)
        if not safeguard.is_missing or reason is None:
            return safeguard
        return safeguard.model_copy(update={"detail": f"{safeguard.detail}: {reason}"})

    def _tag_vm(self, group: str, tags: Mapping[str, str]) -> None:
        """Give the instance the tags of its group. One that is being created is left alone: an update could preempt
        that, and what counts is on the group."""
        machines, token = self._clients.compute.virtual_machines, token_of(group)
        present = machines.get(group, token).as_dict()
        is_changed = (present.get("tags") or {}).get(EXPIRES_AT) != tags[EXPIRES_AT]
        if is_changed and present["properties"].get("provisioningState") == "Succeeded":
            machines.begin_update(group, token, {"tags": dict(tags)}, polling=False)

    def _instance_of(self, group: str, account: str) -> Observed:
        """The instance of that group with its readiness and addresses; raises what the SDK raises."""
        reply = self._clients.resource.resource_groups.get(group).as_dict()
        machine = self._machine(group)
        instance = observed(reply, machine, statuses_of(machine), account, is_readiness_queried=True)
        return instance if machine is None else instance.model_copy(update=addresses_of(self._clients, machine))

    def _machine(self, group: str) -> Mapping[str, Any] | None:
        """The instance in that group with its instance view; None where there is none, or the group is of others."""
        operations, token = self._clients.compute.virtual_machines, token_of(group)
        if token is None:
            return None
        return unless_absent(lambda: operations.get(group, token, expand="instanceView").as_dict())

    def _listed(self, region: str, wanted: str, query_ready: Collection[str]) -> list[Observed]:
        with _translated(f"could not list instances in `{region}`"):
            account = self._known_account()
            replies = _dicts(self._clients.resource.resource_groups.list(filter=wanted))
            groups = {str(item["name"]).lower(): item for item in replies if region_of(item["location"]) == region}
            machines = self._machines(set(groups)) if groups else {}
            matching = []
            for name, group in groups.items():
                machine, statuses = machines.get(name, (None, []))
                instance = observed(group, machine, statuses, account, is_readiness_queried=name in query_ready)
                if machine is not None and name in query_ready:
                    instance = instance.model_copy(update=addresses_of(self._clients, machine))
                matching.append(instance)
            deleting = [
                name for name, requested in self._deletions.items() if region_of(requested.group["location"]) == region
            ]
            deleted = [self._deleted(name) for name in deleting]
            return [*matching, *(group for group in deleted if group is not None and group.cloud_id not in groups)]

    def _machines(self, groups: set[str]) -> dict[str, tuple[Mapping[str, Any], list[Mapping[str, Any]]]]:
        """The instance of each group with what its instance view says: asked one by one where they are few, as every
        listing is of the whole subscription."""
        operations = self._clients.compute.virtual_machines
        if len(groups) <= _FEW:
            single = {name: self._machine(name) for name in groups}
            return {name: (item, statuses_of(item)) for name, item in single.items() if item is not None}
        views = {
            str(item["id"]).casefold(): statuses_of(item) for item in _dicts(operations.list_all(status_only="true"))
        }
        fields = {}
        for machine in _dicts(operations.list_all()):
            group = group_in(machine["id"]).lower()
            if group in groups and str(machine["name"]).lower() == token_of(group):
                fields[group] = (machine, views.get(str(machine["id"]).casefold(), []))
        return fields

    def _end(self, group: str, *, force: bool) -> None:
        requested = end_group(self._clients, group, force=force)
        if requested is not None and requested.address:
            self._deletions[group] = requested

    def _deleted(self, group: str) -> Observed | None:
        """The instance as ended, where Azure reports the deletion that we asked for as completed."""
        deletion = self._deletions.get(group)
        try:
            if deletion is None or not is_deleted(self._clients, deletion.address):
                return None
        except SDK_ERRORS:
            return None
        # Azure tells of no instance when it ended: this is when it said that nothing is left.
        ended = {"state": CloudState.ENDED, "ready": False, "ended_at": self._clients.cloud_time}
        return observed(deletion.group, None, [], self._known_account()).model_copy(update=ended)


def _dicts(pages: Any) -> Iterator[Mapping[str, Any]]:
    return (page.as_dict() for page in pages)


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """SDK errors stop here; an answer of an odd shape is no answer."""
    try:
        yield
    except SDK_ERRORS as error:
        raise translate(error, doing) from error
    except (OSError, EOFError) as error:
        raise unreadable_credentials(error, doing) from error
    except _ODD_SHAPE as error:
        raise UnreachableError(f"{doing}: Azure's answer could not be read ({type(error).__name__})") from error
