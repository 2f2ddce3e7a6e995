"""Google Cloud behind the provider protocol."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta

from gpuctl.domain.diagnosis import Finding
from gpuctl.domain.instance import CloudState, Observed, ProviderName
from gpuctl.domain.market.offers import InstanceType
from gpuctl.domain.market.request import Request
from gpuctl.domain.resource import Resource
from gpuctl.domain.safeguards import Safeguard
from gpuctl.domain.tags import ID, STATE
from gpuctl.errors import CapacityError, CredentialsError, GpuctlError
from gpuctl.providers.base import DiagnosedInstance, Identity, Image, Order
from gpuctl.providers.gcp import create as creation
from gpuctl.providers.gcp import safeguards
from gpuctl.providers.gcp.client import Api, region_of
from gpuctl.providers.gcp.deadline import set_deadline
from gpuctl.providers.gcp.diagnose import diagnose
from gpuctl.providers.gcp.errors import CALL_ERRORS, is_absent, translated
from gpuctl.providers.gcp.facts import FACTS, REGION_VARIABLES
from gpuctl.providers.gcp.failures import ApiError
from gpuctl.providers.gcp.images import find_image
from gpuctl.providers.gcp.ingress import Ingress
from gpuctl.providers.gcp.launch import Launching
from gpuctl.providers.gcp.lookup import read_end, read_instance
from gpuctl.providers.gcp.names import cloud_id, other_types_hint, parts
from gpuctl.providers.gcp.observe import ended, observed
from gpuctl.providers.gcp.operations import end_reason, is_done
from gpuctl.providers.gcp.resources import list_resources
from gpuctl.providers.gcp.termination import Deletions
from gpuctl.providers.gcp.zones import Zones


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
        self._launching = Launching(api, self._zones, self._ingress)
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
        with translated("could not read the Google Cloud identity"):
            try:
                project = self._api.get("")
            except ApiError as error:
                if is_absent(error):
                    raise CredentialsError(
                        f"there is no project `{self._api.project}`, or these credentials may not see it",
                        hint="gcloud projects list",
                    ) from error
                raise
            self._account = f"{project['name']}/{project['id']}"
        return Identity(self._account, self._api.cloud_time)

    def regions(self) -> Collection[str]:
        with translated("could not list the regions of this project"):
            return frozenset(
                str(item["name"]) for page in self._api.pages("regions") for item in page.get("items") or ()
            )

    def find_image(self, region: str, kind: InstanceType, image: str | None) -> Image:
        with translated("could not find an image"):
            if not self._zones.of(region, kind.name):
                raise CapacityError(f"`{kind.name}` is not offered in `{region}`", hint=other_types_hint(region))
            return find_image(self._api, kind, image)

    def check_request(self, request: Request) -> None:
        creation.check_request(request)

    def check_ttl(self, region: str, ttl: timedelta) -> None:
        # Google's limit takes up to 120 days, and gpuctl grants no life of more than 7.
        return None

    def prepare(self, region: str, say: Callable[[str], None]) -> None:
        return None

    def zones(self, region: str, kind: InstanceType) -> Sequence[str]:
        with translated(f"could not list the zones of `{region}`"):
            return self._zones.of(region, kind.name)

    def create(self, order: Order) -> Observed:
        with translated(f"could not create `{order.instance_type}` in `{order.zone or order.region}`"):
            account = self._known_account()
        return self._launching.create(order, account)

    def other_ssh_sources(self, region: str, subnet: str | None, ssh_from: str | None) -> Sequence[str]:
        with translated("could not read the firewall rules"):
            return self._ingress.other_sources(region, subnet)

    def close_ingress(self, region: str, state_id: str, needed: Collection[str]) -> bool:
        with translated(f"could not delete the firewall rules of `{region}`"):
            return self._ingress.close(region, state_id, needed)

    def get(self, region: str, cloud_id: str) -> Observed | None:
        with translated(f"could not read {cloud_id}"):
            account = self._known_account()
            return read_instance(self._api, cloud_id, account) or read_end(self._api, cloud_id, account)

    def find(self, region: str, record_id: str) -> Sequence[Observed]:
        listed = self._listed(region, f"labels.{ID}={record_id}", ())
        return [instance for instance in listed if instance.tags.get(ID) == record_id]

    def list_instances(self, region: str, query_ready: Collection[str] = ()) -> Sequence[Observed]:
        listed = self._listed(region, f"labels.{STATE}:*", query_ready)
        return [instance for instance in listed if STATE in instance.tags]

    def terminate(self, region: str, cloud_ids: Sequence[str], *, force: bool = False) -> Mapping[str, GpuctlError]:
        return self._ending.delete(cloud_ids)

    def safeguards(
        self, region: str, cloud_id: str, at: datetime, ready_at: datetime | None = None
    ) -> Sequence[Safeguard]:
        with translated(f"could not read the safeguards of {cloud_id}"):
            return safeguards.read_back(self._api, cloud_id, at, ready_at)

    def resources(self, region: str, record_id: str, cloud_id: str, known: Collection[str] = ()) -> Sequence[Resource]:
        with translated(f"could not list the resources of {record_id}"):
            return list_resources(self._api, record_id, cloud_id, known)

    def diagnose(self, trial: DiagnosedInstance) -> Iterable[Finding]:
        with translated("could not check the permissions of this project"):
            return list(diagnose(self._api, self._zones, trial))

    def unattended_warning(self) -> None:
        return None

    def set_deadline(self, region: str, cloud_id: str, expires_at: datetime) -> None:
        with translated(f"could not extend the deadline of {cloud_id}"):
            set_deadline(self._api, cloud_id, expires_at)

    def _known_account(self) -> str:
        return self._account or self.identity().account

    def _listed(self, region: str, wanted: str, query_ready: Collection[str]) -> list[Observed]:
        with translated(f"could not list instances in `{region}`"):
            account, matching = self._known_account(), []
            for zone, instance in self._api.aggregated("instances", filter=wanted):
                if region_of(zone) == region:
                    is_queried = cloud_id(zone, instance["name"]) in query_ready
                    matching.append(observed(instance, account, is_readiness_queried=is_queried))
            known = {listed.cloud_id for listed in matching}
            return [*matching, *(listed for listed in self._deleted(region, account) if listed.cloud_id not in known)]

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
                last_observed = observed({"zone": zone} | instance, account, is_readiness_queried=True)
                end = ended(instance_id, account, at=at, reason=reason)
                yield last_observed.model_copy(
                    update={"state": CloudState.ENDED, "ready": False, "ended_at": end.ended_at}
                )
