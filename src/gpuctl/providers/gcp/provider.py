"""Google Cloud behind the provider protocol."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta

from pydantic import ValidationError

from gpuctl.domain.diagnosis import Finding
from gpuctl.domain.instance import CloudState, Observed, ProviderName
from gpuctl.domain.market.offers import InstanceType
from gpuctl.domain.market.request import Request
from gpuctl.domain.resource import Resource
from gpuctl.domain.safeguards import Safeguard
from gpuctl.domain.tags import ID, STATE
from gpuctl.errors import CapacityError, CloudError, GpuctlError, OutcomeUnknown, PartialCreate, UnreachableError
from gpuctl.providers.base import DiagnosedInstance, Identity, Image, Order
from gpuctl.providers.gcp import create as creation
from gpuctl.providers.gcp import safeguards
from gpuctl.providers.gcp.client import Api, Json, region_of
from gpuctl.providers.gcp.deadline import set_deadline
from gpuctl.providers.gcp.diagnose import diagnose
from gpuctl.providers.gcp.ending import Deletions
from gpuctl.providers.gcp.errors import CALL_ERRORS, is_absent, refusal_of, translate, translate_create
from gpuctl.providers.gcp.facts import FACTS, REGION_VARIABLES
from gpuctl.providers.gcp.failures import ApiError, OperationFailed
from gpuctl.providers.gcp.images import find_image
from gpuctl.providers.gcp.ingress import Ingress
from gpuctl.providers.gcp.names import cloud_id, parts
from gpuctl.providers.gcp.observe import ended, observed
from gpuctl.providers.gcp.operations import check, end_reason, failed_insert, is_done, of_instance, wait
from gpuctl.providers.gcp.resources import list_resources
from gpuctl.providers.gcp.zones import Zones
from gpuctl.providers.wording import one_line

# Stockouts were seen up to 95 s after an insert was accepted; what takes longer is seen when the instance is listed.
_REFUSED_WITHIN = timedelta(seconds=100)
_ODD_SHAPE = (KeyError, IndexError, TypeError, ValueError, AttributeError, ValidationError)


class GcpProvider:
    """A project as one login sees it; see `Provider` for what each method promises.

    An instance's cloud id is its zone and name, and its account is the project's ID and number.
    """

    name = ProviderName.GCP
    capabilities = FACTS.capabilities

    def __init__(self, api: Api) -> None:
        self._api = api
        self._account: str | None = None
        self._zones = Zones(api)
        self._ingress = Ingress(api)
        self._ending = Deletions(api)

    @property
    def login(self) -> str | None:
        return self._api.known_project

    @property
    def is_local(self) -> bool:
        return self._api.is_loopback

    def default_region(self) -> tuple[str, str] | None:
        text = next((name for name in REGION_VARIABLES if self._api.environ.get(name)), None)
        return None if text is None else (self._api.environ[text], text)

    def identity(self) -> Identity:
        with _translated("could not read the Google Cloud identity"):
            project = self._api.get("")
            self._account = f"{project['name']}/{project['id']}"
        return Identity(self._account, self._api.cloud_time)

    def regions(self) -> Collection[str]:
        with _translated("could not list the regions of this project"):
            return frozenset(
                str(item["name"]) for page in self._api.pages("regions") for item in page.get("items") or ()
            )

    def find_image(self, region: str, kind: InstanceType, image: str | None) -> Image:
        with _translated("could not find an image"):
            if not self._zones.of(region, kind.name):
                raise CapacityError(f"`{kind.name}` is not offered in `{region}`", hint=f"gpuctl types {kind.name}")
            return find_image(self._api, kind, image)

    def check_request(self, request: Request) -> None:
        creation.check_request(request)

    def check_life(self, region: str, life: timedelta) -> None:
        # Google's limit takes up to 120 days, and gpuctl grants no life of more than 7.
        return None

    def prepare(self, region: str, say: Callable[[str], None]) -> None:
        return None

    def zones(self, region: str, kind: InstanceType) -> Sequence[str]:
        with _translated(f"could not list the zones of `{region}`"):
            return self._zones.of(region, kind.name)

    def create(self, order: Order) -> Observed:
        doing = f"could not create `{order.instance_type}` in `{order.zone or order.region}`"
        with _translated(doing):
            account = self._known_account()
            zone = order.zone or next(iter(self._zones.of(order.region, order.instance_type)), None)
            if zone is None:
                raise CapacityError(f"{doing}: no zone offers it", hint=f"gpuctl types {order.instance_type}")
            tags = self._ingress.tags_for(order)
            body = creation.insert_body(order, zone, self._api.project, tags)
        operation = self._insert(body, order, zone, doing)
        # From here on the instance may exist: only its operation can say that it does not.
        try:
            if operation is not None:
                self._decided(operation, order, zone)
            seen = self._seen(cloud_id(zone, order.token), account)
        except OperationFailed as error:
            raise translate_create(error, doing) from error
        except (*CALL_ERRORS, *_ODD_SHAPE) as error:
            problem = translate(error, "its state could not be read") if isinstance(error, CALL_ERRORS) else error
            raise OutcomeUnknown(f"{doing}: Google accepted it, but {one_line(str(problem))}") from error
        if seen is None:
            raise OutcomeUnknown(f"{doing}: Google accepted it and does not show it", may_repeat=operation is not None)
        return seen

    def other_ssh_sources(self, region: str, subnet: str | None, ssh_from: str | None) -> Sequence[str]:
        with _translated("could not read the firewall rules"):
            return self._ingress.other_sources(region, subnet)

    def close_ingress(self, region: str, state_id: str, needed: Collection[str]) -> bool:
        with _translated(f"could not delete the firewall rules of `{region}`"):
            return self._ingress.close(region, state_id, needed)

    def get(self, region: str, cloud_id: str) -> Observed | None:
        with _translated(f"could not read {cloud_id}"):
            account = self._known_account()
            return self._seen(cloud_id, account) or self._vanished(cloud_id, account)

    def find(self, region: str, record_id: str) -> Sequence[Observed]:
        return self._listed(region, f"labels.{ID}={record_id}", ())

    def list_instances(self, region: str, ask_ready: Collection[str] = ()) -> Sequence[Observed]:
        return self._listed(region, f"labels.{STATE}:*", ask_ready)

    def terminate(self, region: str, cloud_ids: Sequence[str], *, force: bool = False) -> Mapping[str, GpuctlError]:
        return self._ending.delete(cloud_ids)

    def safeguards(
        self, region: str, cloud_id: str, at: datetime, ready_at: datetime | None = None
    ) -> Sequence[Safeguard]:
        with _translated(f"could not read the safeguards of {cloud_id}"):
            return safeguards.read_back(self._api, cloud_id, at, ready_at)

    def resources(self, region: str, record_id: str, cloud_id: str, known: Collection[str] = ()) -> Sequence[Resource]:
        with _translated(f"could not list the resources of {record_id}"):
            return list_resources(self._api, record_id, cloud_id, known)

    def diagnose(self, trial: DiagnosedInstance) -> Iterable[Finding]:
        with _translated("could not check the permissions of this project"):
            return list(diagnose(self._api, self._zones, trial))

    def unattended_warning(self) -> None:
        return None

    def set_deadline(self, region: str, cloud_id: str, expires_at: datetime) -> None:
        with _translated(f"could not extend the deadline of {cloud_id}"):
            set_deadline(self._api, cloud_id, expires_at)

    def _known_account(self) -> str:
        return self._account or self.identity().account

    def _insert(self, body: Json, order: Order, zone: str, doing: str) -> Json | None:
        """The operation that the insert begins; None where an instance of ours has that name already.

        Raises the refusal where Google created nothing, else OutcomeUnknown.
        """
        path = f"zones/{zone}/instances"
        try:
            return self._api.post(path, body, requestId=creation.request_id(order.token))
        except CALL_ERRORS as error:
            if not isinstance(error, ApiError) or error.reason != "alreadyExists":
                raise translate_create(error, doing) from error
        except ValueError as error:
            raise OutcomeUnknown(f"{doing}: Google's answer could not be read ({type(error).__name__})") from error
        try:
            labels = self._api.get(f"{path}/{order.token}").get("labels") or {}
        except CALL_ERRORS as error:
            text = translate(error, f"{doing}: its name is taken, and by what could not be read").message
            raise OutcomeUnknown(text, may_repeat=False) from error
        if (labels.get(ID), labels.get(STATE)) != (order.record_id, order.state_id):
            raise CloudError(f"an instance `{order.token}` exists in `{zone}` already, and it is not ours")
        return None

    def _decided(self, operation: Json, order: Order, zone: str) -> None:
        """Wait until Google has decided, within a limit. Raises OperationFailed, or PartialCreate if parts are left."""
        try:
            operation = wait(self._api, operation, _REFUSED_WITHIN)
        except CALL_ERRORS:
            # A lost look says nothing about the instance, which is looked up by its name.
            return
        try:
            check(operation)
        except OperationFailed as error:
            refusal = translate(error, f"could not create `{order.instance_type}` in `{zone}`")
            if isinstance(refusal, CapacityError):
                self._zones.refused(order.instance_type, error.advised_zones)
            if self._is_left(cloud_id(zone, order.token)):
                raise PartialCreate(refusal, cloud_id(zone, order.token)) from error
            raise

    def _is_left(self, instance_id: str) -> bool:
        zone, name = parts(instance_id)
        try:
            self._api.get(f"zones/{zone}/instances/{name}")
        except CALL_ERRORS as error:
            return not is_absent(error)
        return True

    def _seen(self, instance_id: str, account: str) -> Observed | None:
        zone, name = parts(instance_id)
        try:
            instance = self._api.get(f"zones/{zone}/instances/{name}")
        except ApiError as error:
            if is_absent(error):
                return None
            raise
        return observed(instance, account, is_asked_ready=True)

    def _vanished(self, instance_id: str, account: str) -> Observed | None:
        """An instance that is gone, as the operations of its zone tell of its end; None where they tell nothing."""
        zone, name = parts(instance_id)
        try:
            operations = of_instance(self._api, zone, name)
        except ApiError:
            return None
        failed, (reason, at) = failed_insert(operations), end_reason(operations)
        if failed is not None:
            return ended(instance_id, account, at=None, reason=None, refusal=refusal_of(failed))
        return None if at is None else ended(instance_id, account, at=at, reason=reason)

    def _listed(self, region: str, wanted: str, ask_ready: Collection[str]) -> list[Observed]:
        with _translated(f"could not list instances in `{region}`"):
            account, matching = self._known_account(), []
            for zone, instance in self._api.everywhere("instances", filter=wanted):
                if region_of(zone) == region:
                    is_asked = cloud_id(zone, instance["name"]) in ask_ready
                    matching.append(observed(instance, account, is_asked_ready=is_asked))
            known = {seen.cloud_id for seen in matching}
            return [*matching, *(seen for seen in self._deleted(region, account) if seen.cloud_id not in known)]

    def _deleted(self, region: str, account: str) -> Iterator[Observed]:
        """Those whose deletion was requested here and is done, as they were: nothing else shows them any more."""
        for instance_id, (operation, instance) in self._ending.requested.items():
            zone, _ = parts(instance_id)
            if region_of(zone) != region:
                continue
            try:
                operation = self._api.get(f"zones/{zone}/operations/{operation['name']}")
            except CALL_ERRORS:
                continue
            if is_done(operation) and not operation.get("error"):
                reason, at = end_reason([operation])
                was = observed(instance, account, is_asked_ready=True)
                end = ended(instance_id, account, at=at, reason=reason)
                yield was.model_copy(update={"state": CloudState.ENDED, "ready": False, "ended_at": end.ended_at})


@contextmanager
def _translated(doing: str) -> Iterator[None]:
    """Google's errors stop here; an answer of an odd shape is no answer."""
    try:
        yield
    except (*CALL_ERRORS, OperationFailed) as error:
        raise translate(error, doing) from error
    except _ODD_SHAPE as error:
        raise UnreachableError(f"{doing}: Google's answer could not be read ({type(error).__name__})") from error
