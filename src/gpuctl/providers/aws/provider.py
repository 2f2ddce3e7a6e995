"""AWS behind the provider protocol."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from typing import Any

from botocore.exceptions import ClientError
from pydantic import ValidationError

from gpuctl.domain.diagnosis import Finding
from gpuctl.domain.instance import CloudState, Observed, Reason
from gpuctl.domain.market.offers import InstanceType
from gpuctl.domain.market.request import Request
from gpuctl.domain.resource import Resource
from gpuctl.domain.safeguards import Safeguard
from gpuctl.domain.tags import EXPIRES_AT, ID, STATE, deadline_tag
from gpuctl.errors import (
    CloudError,
    CredentialsError,
    Extent,
    GpuctlError,
    OutcomeUnknown,
    QuotaError,
    UnreachableError,
)
from gpuctl.providers.aws import create as creation
from gpuctl.providers.aws.client import AwsClients
from gpuctl.providers.aws.console import last_line_of_guard
from gpuctl.providers.aws.diagnose import diagnose, unattended_warning
from gpuctl.providers.aws.errors import (
    NO_SUCH_GROUP,
    NOT_FOUND,
    SDK_ERRORS,
    code_of,
    reply_date,
    translate,
    translate_create,
    unreadable_credentials,
)
from gpuctl.providers.aws.facts import FACTS, REGION_VARIABLES
from gpuctl.providers.aws.images import find_image
from gpuctl.providers.aws.ingress import Ingress
from gpuctl.providers.aws.observe import observed, ready_ids
from gpuctl.providers.aws.resources import list_resources
from gpuctl.providers.aws.safeguards import read_back
from gpuctl.providers.aws.termination import end_instances
from gpuctl.providers.aws.zones import zones_of
from gpuctl.providers.base import DiagnosedInstance, Identity, Image, Order

_ODD_SHAPE = (KeyError, IndexError, TypeError, ValueError, ValidationError)
_MAY_NOT_OPEN = "add `--ssh-from none`, or allow it: docs/aws-policy.json"
_MORE_GROUPS = "delete security groups that nothing uses, ask AWS for more of them, or add `--ssh-from none`"


class AwsProvider:
    """EC2 as one login sees it; see `Provider` for what each method promises."""

    name = FACTS.name
    capabilities = FACTS.capabilities

    def __init__(self, clients: AwsClients, page_size: int = 1000) -> None:
        self._clients = clients
        self._page_size = page_size
        self._account: str | None = None
        self._ingress = Ingress(clients)
        self._ipv6_only: dict[tuple[str, str], bool] = {}

    @property
    def login(self) -> str | None:
        with _translated("could not read the AWS profile"):
            return self._clients.profile

    @property
    def is_local(self) -> bool:
        with _translated("could not read the AWS endpoint"):
            return self._clients.is_local(self._home)

    def default_region(self) -> tuple[str, str] | None:
        if self._clients.connection.sandbox_url is not None:
            return None
        for name in REGION_VARIABLES:
            if region := self._clients.connection.environ.get(name):
                return region, name
        with _translated("could not read the AWS profile"):
            region = self._clients.session.region_name
        return (region, f"profile {self._clients.session.profile_name}") if region else None

    def identity(self) -> Identity:
        with _translated("could not read the AWS identity"):
            reply = self._clients.client("sts", self._home).get_caller_identity()
            self._account = str(reply["Account"])
        return Identity(self._account, reply_date(reply))

    def regions(self) -> Collection[str]:
        with _translated("could not list the AWS regions of this account"):
            reply = self._clients.client("ec2", self._home).describe_regions()
            return frozenset(str(region["RegionName"]) for region in reply["Regions"])

    def find_image(self, region: str, kind: InstanceType, image: str | None) -> Image:
        with _translated("could not find an image"):
            return find_image(self._clients, region, kind, image)

    def check_request(self, request: Request) -> None:
        creation.check_tags(request.tags)

    def check_ttl(self, region: str, ttl: timedelta) -> None:
        return None

    def prepare(self, region: str, say: Callable[[str], None]) -> None:
        # An account can use every service of EC2 from the start.
        return

    def zones(self, region: str, kind: InstanceType) -> Sequence[str]:
        with _translated(
            f"could not list the zones of `{region}` that offer `{kind.name}`", self._checked_region(region)
        ):
            return zones_of(self._clients.client("ec2", region), region, kind.name)

    def create(self, order: Order) -> Observed:
        doing = f"could not create `{order.instance_type}` in `{order.region}`"
        account = self._known_account()
        try:
            reply = self._run_instances(order)
        except SDK_ERRORS as error:
            raise translate_create(error, doing) from error
        except (OSError, EOFError) as error:
            # The SDK makes errors of its own of what fails on the line: this one came before it, nothing was sent.
            raise unreadable_credentials(error, doing) from error
        try:
            return observed(reply["Instances"][0], account, order.region)
        except _ODD_SHAPE as error:
            raise OutcomeUnknown(f"{doing}: AWS's answer could not be read") from error

    def other_ssh_sources(self, region: str, subnet: str | None, ssh_from: str | None) -> Sequence[str]:
        # An instance with a group of ours has no other.
        if ssh_from is not None:
            return ()
        with _translated(f"could not read the default security group in `{region}`"):
            return self._ingress.default_sources(region, subnet)

    def close_ingress(self, region: str, state_id: str, needed: Collection[str]) -> bool:
        with _translated(f"could not delete the unused security groups of this state in `{region}`"):
            return self._ingress.close(region, state_id, needed)

    def get(self, region: str, cloud_id: str) -> Observed | None:
        doing = f"could not read {cloud_id} in `{region}`"
        with _translated(doing):
            ec2, account = self._clients.client("ec2", region), self._known_account()
            try:
                response = ec2.describe_instances(InstanceIds=[cloud_id])
            except ClientError as error:
                if code_of(error) in NOT_FOUND:
                    return None
                raise
            reply = [instance for reservation in response["Reservations"] for instance in reservation["Instances"]]
            if len(reply) != 1:
                # Only "no such id" means that there is none; an answer about nothing is no answer.
                raise UnreachableError(f"{doing}: AWS returned {len(reply)} instances")
            running = reply[0]["State"]["Name"] == "running"
            matching = observed(
                reply[0], account, region, is_ready=bool(ready_ids(ec2, [cloud_id])) if running else False
            )
            words = None if matching.exists else last_line_of_guard(ec2, reply[0], reply_date(response))
            if words is None:
                return matching
            reason = matching.end_reason or (Reason.IDLE if words.is_idle else None)
            return matching.model_copy(update={"end_reason": reason, "ended_at": matching.ended_at or words.at})

    def find(self, region: str, record_id: str) -> Sequence[Observed]:
        return self._listed(region, {"Name": f"tag:{ID}", "Values": [record_id]}, ())

    def list_instances(self, region: str, query_ready: Collection[str] = ()) -> Sequence[Observed]:
        return self._listed(region, {"Name": "tag-key", "Values": [STATE]}, query_ready)

    def terminate(self, region: str, cloud_ids: Sequence[str], *, force: bool = False) -> Mapping[str, GpuctlError]:
        with _translated(f"could not terminate instances in `{region}`", self._checked_region(region)):
            return end_instances(self._clients.client("ec2", region), region, cloud_ids)

    def safeguards(
        self, region: str, cloud_id: str, at: datetime, ready_at: datetime | None = None
    ) -> Sequence[Safeguard]:
        with _translated(f"could not read the safeguards of {cloud_id}"):
            return read_back(self._clients.client("ec2", region), cloud_id, at, ready_at)

    def resources(self, region: str, record_id: str, cloud_id: str, known: Collection[str] = ()) -> Sequence[Resource]:
        with _translated(f"could not list the resources of {record_id} in `{region}`"):
            return list_resources(self._clients.client("ec2", region), record_id, cloud_id, known)

    def diagnose(self, trial: DiagnosedInstance) -> Iterable[Finding]:
        with _translated("could not check AWS permissions"):
            return list(diagnose(self._clients, trial))

    def unattended_warning(self) -> str | None:
        return unattended_warning(self._clients)

    def set_deadline(self, region: str, cloud_id: str, expires_at: datetime) -> None:
        with _translated(f"could not extend the deadline of {cloud_id}"):
            self._clients.client("ec2", region).create_tags(
                Resources=[cloud_id], Tags=[{"Key": EXPIRES_AT, "Value": deadline_tag(expires_at)}]
            )

    def _run_instances(self, order: Order) -> Any:
        ec2 = self._clients.client("ec2", order.region, once=True)
        group_id, is_ipv6_only = self._group_of(order), self._is_ipv6_only(order)
        try:
            return ec2.run_instances(**creation.run_instances(order, group_id, is_ipv6_only=is_ipv6_only))
        except ClientError as error:
            if group_id is None or code_of(error) not in NO_SUCH_GROUP:
                raise
            # Just created and not yet known everywhere, or deleted since it was looked up: this send created nothing,
            # and the next one queries the group again. Should an earlier send have created the instance after all, AWS
            # rejects another group under the same token, and the instance is looked for by its tag.
            self._ingress.forget(order)
            raise UnreachableError(f"EC2 does not find the security group {group_id} yet") from error

    def _is_ipv6_only(self, order: Order) -> bool:
        if order.subnet is None:
            return False  # every default subnet has IPv4
        key = (order.region, order.subnet)
        if key not in self._ipv6_only:
            # Nothing of the instance exists yet, so a failure here is a refusal of this send.
            with _translated(f"could not look at {order.subnet} in `{order.region}`"):
                reply = self._clients.client("ec2", order.region).describe_subnets(SubnetIds=[order.subnet])
                self._ipv6_only[key] = bool(reply["Subnets"][0].get("Ipv6Native"))
        return self._ipv6_only[key]

    def _group_of(self, order: Order) -> str | None:
        # Nothing of the instance is created here, so whatever fails here is a refusal of this send.
        doing = f"could not open port 22 to {order.ssh_from} in `{order.region}`"
        try:
            with _translated(doing):
                return self._ingress.group_of(order)
        except (QuotaError, CredentialsError) as error:
            # What holds for one region, such as an organization's policy, has a hint of its own.
            if error.extent is Extent.EVERYWHERE:
                error.hint = _MORE_GROUPS if isinstance(error, QuotaError) else _MAY_NOT_OPEN
            raise
        except CloudError as error:
            if error.cloud_code in NO_SUCH_GROUP:
                raise UnreachableError(f"{doing}: AWS does not show yet what it has created") from error
            raise

    @property
    def _home(self) -> str:
        """The region to ask what is the same in all of them."""
        region = self.default_region()
        return region[0] if region else "us-east-1"

    def _checked_region(self, region: str) -> str | None:
        """The region, where these credentials have worked: refused there, they are not wrong, the region is closed."""
        return region if self._account is not None else None

    def _known_account(self) -> str:
        return self._account or self.identity().account

    def _listed(self, region: str, wanted: Mapping[str, Any], query_ready: Collection[str]) -> list[Observed]:
        """The instances of the region that match the filter; status checks decide `ready` of those in `ask_ready`."""
        with _translated(f"could not list instances in `{region}`", self._checked_region(region)):
            ec2, account = self._clients.client("ec2", region), self._known_account()
            pages = ec2.get_paginator("describe_instances").paginate(
                Filters=[wanted], PaginationConfig={"PageSize": self._page_size}
            )
            reply = [
                instance
                for page in pages
                for reservation in page["Reservations"]
                for instance in reservation["Instances"]
            ]
            running = [item["InstanceId"] for item in reply if item["State"]["Name"] == "running"]
            requested = [cloud_id for cloud_id in running if cloud_id in query_ready]
            ready = ready_ids(ec2, requested)
            matching = [observed(item, account, region) for item in reply]
        return [
            observed.model_copy(update={"ready": observed.state is CloudState.RUNNING and observed.cloud_id in ready})
            if observed.cloud_id in query_ready
            else observed
            for observed in matching
        ]


@contextmanager
def _translated(doing: str, region: str | None = None) -> Iterator[None]:
    """SDK errors stop here; an answer of an odd shape is no answer."""
    try:
        yield
    except SDK_ERRORS as error:
        raise translate(error, doing, region=region) from error
    except (OSError, EOFError) as error:
        raise unreadable_credentials(error, doing) from error
    except _ODD_SHAPE as error:
        raise UnreachableError(f"{doing}: AWS's answer could not be read ({type(error).__name__})") from error
