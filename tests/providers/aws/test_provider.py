"""The AWS provider against EC2's manners on loopback, over real HTTP."""

import base64
from dataclasses import replace
from typing import Any

import pytest
from contracts.provider import ProviderContract
from support.clouds import LoopbackAws
from support.wire import FAILED_AFTER, GARBLED, LOST, NEVER_ARRIVED, TRUNCATED, Fault, Wire, refuse

from gpuctl.catalog import Catalog
from gpuctl.domain.instance import Market
from gpuctl.domain.market.request import Request
from gpuctl.errors import (
    CapacityError,
    CloudError,
    CredentialsError,
    GpuctlError,
    NotNowError,
    OutcomeUnknown,
    QuotaError,
    ThrottledError,
    UnreachableError,
    UsageError,
)
from gpuctl.providers.aws import open_provider
from gpuctl.providers.aws.client import AwsClients
from gpuctl.providers.aws.guard import user_data
from gpuctl.providers.aws.provider import AwsProvider
from gpuctl.providers.base import Connection, Image, Order

REGION = "us-east-1"
X86, ARM = Catalog().find("g4dn.xlarge"), Catalog().find("g5g.xlarge")


@pytest.fixture
def region() -> str:
    return REGION


@pytest.fixture
def provider(wire: Wire) -> AwsProvider:
    return open_provider(Connection(sandbox_url=wire.url))


class TestAws(ProviderContract):
    instance_type = "g4dn.xlarge"
    unknown_cloud_id = "i-0123456789abcdef0"

    @pytest.fixture(autouse=True)
    def _cloud(self, noon: LoopbackAws) -> None:
        self.cloud = noon

    def instances(self) -> list[dict[str, Any]]:
        return [instance for instance in self.cloud.instances() if instance["tags"].get("gpuctl-state") == "a-state-id"]

    def ssh_from(self, cloud_id: str) -> list[str]:
        (problems,) = (instance["ssh_from"] for instance in self.cloud.instances() if instance["id"] == cloud_id)
        return [source for source in problems if not source.startswith("sg-")]

    def foreign_machine(self, tags: dict[str, str]) -> str:
        return self.cloud.launch(REGION, tags)

    def test_one_call_carries_everything(
        self, provider: AwsProvider, order: Order, wire: Wire, noon: LoopbackAws
    ) -> None:
        created = provider.create(order)
        (sent,) = wire.calls("RunInstances")
        form = sent.form
        assert form["ClientToken"] == order.token
        assert (form["MinCount"], form["MaxCount"]) == ("1", "1")
        assert form["InstanceInitiatedShutdownBehavior"] == "terminate"
        assert base64.b64decode(form["UserData"]).decode() == f"#cloud-boothook\n{user_data(order.max_ttl)}"
        assert form["MetadataOptions.HttpTokens"] == "required"
        assert form["MetadataOptions.HttpPutResponseHopLimit"] == "1"
        assert form["MetadataOptions.InstanceMetadataTags"] == "enabled"
        assert form["BlockDeviceMapping.1.Ebs.VolumeSize"] == "50"
        assert form["BlockDeviceMapping.1.Ebs.VolumeType"] == "gp3"
        assert form["BlockDeviceMapping.1.Ebs.Encrypted"] == "true"
        assert form["BlockDeviceMapping.1.Ebs.DeleteOnTermination"] == "true"
        assert "InstanceMarketOptions.MarketType" not in form
        ec2 = noon.client("ec2", REGION)
        (volume,) = ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [created.cloud_id]}])[
            "Volumes"
        ]
        (interface,) = ec2.describe_network_interfaces(
            Filters=[{"Name": "attachment.instance-id", "Values": [created.cloud_id]}]
        )["NetworkInterfaces"]
        for tags in (volume["Tags"], interface["TagSet"]):
            assert {"Key": "gpuctl-id", "Value": order.record_id} in tags

    def test_the_same_order_makes_the_very_same_request(self, provider: AwsProvider, order: Order, wire: Wire) -> None:
        provider.create(order)
        provider.create(order)
        first, second = wire.calls("RunInstances")
        assert first.form == second.form

    def test_a_spot_instance_is_requested_once_and_is_not_persistent(
        self, provider: AwsProvider, order: Order, wire: Wire
    ) -> None:
        created = provider.create(replace(order, market=Market.SPOT, zone="us-east-1b"))
        (sent,) = wire.calls("RunInstances")
        assert sent.form["InstanceMarketOptions.SpotOptions.SpotInstanceType"] == "one-time"
        assert sent.form["InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior"] == "terminate"
        assert (created.market, created.zone) == (Market.SPOT, "us-east-1b")

    @pytest.mark.parametrize("fault", [LOST, NEVER_ARRIVED, FAILED_AFTER, GARBLED, TRUNCATED], ids=range(5))
    def test_an_ambiguous_reply_leaves_the_outcome_unknown_and_is_sent_once(
        self, provider: AwsProvider, order: Order, wire: Wire, fault: Fault
    ) -> None:
        provider.identity()
        wire.arm("RunInstances", fault)
        with pytest.raises(OutcomeUnknown) as caught:
            provider.create(order)
        assert caught.value.may_repeat
        assert len(wire.calls("RunInstances")) == 1
        provider.create(order)
        assert len(self.instances()) == 1

    @pytest.mark.parametrize(
        ("code", "status"),
        [
            *((code, status) for code in ("InternalError", "Unavailable") for status in (400, 500, 503)),
            *(("SomethingNew", status) for status in (500, 503)),
        ],
    )
    def test_a_failure_of_ec2s_own_leaves_the_outcome_unknown(
        self, provider: AwsProvider, order: Order, wire: Wire, code: str, status: int
    ) -> None:
        provider.identity()
        wire.arm("RunInstances", refuse(code, status))
        with pytest.raises(OutcomeUnknown):
            provider.create(order)

    @pytest.mark.parametrize(
        ("code", "status", "kind"),
        [
            ("InsufficientInstanceCapacity", 500, CapacityError),
            ("SpotMaxPriceTooLow", 400, NotNowError),
            ("Unsupported", 400, CloudError),
            ("SomethingNew", 400, CloudError),
            ("SomethingNew", 409, CloudError),
            ("VcpuLimitExceeded", 400, QuotaError),
            ("MaxSpotInstanceCountExceeded", 400, QuotaError),
            ("RequestLimitExceeded", 503, ThrottledError),
            ("UnauthorizedOperation", 403, CredentialsError),
            ("ExpiredToken", 400, CredentialsError),
            ("InvalidParameterValue", 400, CloudError),
            ("InvalidAMIID.NotFound", 400, CloudError),
        ],
    )
    def test_a_refusal_is_classified_by_its_code_whatever_the_status_and_is_sent_once(
        self, provider: AwsProvider, order: Order, wire: Wire, code: str, status: int, kind: type[GpuctlError]
    ) -> None:
        provider.identity()
        wire.arm("RunInstances", refuse(code, status))
        with pytest.raises(kind) as caught:
            provider.create(order)
        assert type(caught.value) is kind
        assert f"`{code}`" in caught.value.message
        assert len(wire.calls("RunInstances")) == 1
        assert self.instances() == []

    def test_a_used_token_means_look_by_tag_and_never_refused(self, provider: AwsProvider, order: Order) -> None:
        created = provider.create(order)
        with pytest.raises(OutcomeUnknown) as mismatch:
            provider.create(replace(order, disk_gb=60))
        provider.terminate(REGION, [created.cloud_id])
        with pytest.raises(OutcomeUnknown) as terminated:
            provider.create(order)
        assert not mismatch.value.may_repeat
        assert not terminated.value.may_repeat

    def test_a_page_that_fails_makes_the_whole_listing_fail(self, wire: Wire, order: Order) -> None:
        small = AwsProvider(AwsClients(Connection(sandbox_url=wire.url)), page_size=5)
        for number in range(12):
            small.create(replace(order, token=f"inst-{number:012d}", record_id=f"inst-{number:012d}"))
        assert len(small.list_instances(REGION)) == 12
        wire.arm("DescribeInstances", None, *[refuse("InternalError", 500)] * 4)
        with pytest.raises(UnreachableError):
            small.list_instances(REGION)

    @pytest.mark.parametrize("fault", [LOST, GARBLED, TRUNCATED], ids=range(3))
    def test_a_listing_that_cannot_be_read_says_nothing(self, provider: AwsProvider, wire: Wire, fault: Fault) -> None:
        provider.identity()
        wire.arm("DescribeInstances", *[fault] * 8)
        with pytest.raises(UnreachableError):
            provider.list_instances(REGION)
        with pytest.raises(UnreachableError):
            provider.get(REGION, self.unknown_cloud_id)

    def test_an_empty_answer_about_one_id_is_no_answer(self, provider: AwsProvider, wire: Wire, order: Order) -> None:
        created = provider.create(order)
        empty = (
            b"<DescribeInstancesResponse "
            b'xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><reservationSet/></DescribeInstancesResponse>'
        )
        wire.arm("DescribeInstances", Fault(False, lambda _: (200, {"Content-Type": "text/xml"}, empty)))
        with pytest.raises(UnreachableError, match="AWS returned 0 instances"):
            provider.get(REGION, created.cloud_id)

    def test_termination_protection_is_reported_and_never_removed_and_the_others_are_terminated(
        self, provider: AwsProvider, order: Order, noon: LoopbackAws
    ) -> None:
        created = [
            provider.create(replace(order, token=f"inst-00000000000{n}", record_id=f"inst-00000000000{n}")).cloud_id
            for n in range(4)
        ]
        ec2 = noon.client("ec2", REGION)
        ec2.modify_instance_attribute(InstanceId=created[1], DisableApiTermination={"Value": True})
        failed = provider.terminate(REGION, created)
        assert list(failed) == [created[1]]
        states = {instance["id"]: instance["state"] for instance in self.instances()}
        assert [states[text] for text in created] == ["terminated", "running", "terminated", "terminated"]
        ec2.modify_instance_attribute(InstanceId=created[1], DisableApiTermination={"Value": False})

    def test_five_hundred_instances_are_terminated_in_one_call(self, provider: AwsProvider, wire: Wire) -> None:
        wire.arm("TerminateInstances", Fault(False, lambda _: (200, {}, b"<TerminateInstancesResponse/>")))
        assert provider.terminate(REGION, [f"i-{number:017x}" for number in range(500)]) == {}
        assert len(wire.calls("TerminateInstances")) == 1

    def test_a_termination_without_a_reply_is_a_failure_of_each_instance(
        self, provider: AwsProvider, order: Order, wire: Wire
    ) -> None:
        created = provider.create(order)
        wire.arm("TerminateInstances", *[NEVER_ARRIVED] * 8)
        assert list(provider.terminate(REGION, [created.cloud_id])) == [created.cloud_id]

    def test_an_interrupted_instance_says_so(self, provider: AwsProvider, order: Order, noon: LoopbackAws) -> None:
        created = provider.create(replace(order, market=Market.SPOT))
        noon.interrupt(created.cloud_id)
        assert self.one(provider, REGION).end_reason == "interrupted"

    def test_the_image_is_the_recommended_one_or_the_named_one(self, provider: AwsProvider, image: Image) -> None:
        assert image.id.startswith("ami-")
        assert provider.find_image(REGION, X86, image.id) == image
        assert provider.find_image(REGION, ARM, None).id != image.id

    def test_an_image_that_does_not_fit_is_refused(self, provider: AwsProvider, image: Image) -> None:
        with pytest.raises(UsageError, match="image `ami-00000000000000000` does not exist"):
            provider.find_image(REGION, X86, "ami-00000000000000000")
        with pytest.raises(UsageError, match="is for x86_64, the instance type is arm64"):
            provider.find_image(REGION, ARM, image.id)

    def test_without_a_recommendation_it_names_the_command(self, provider: AwsProvider, wire: Wire) -> None:
        body = b'{"__type": "ParameterNotFound"}'
        wire.arm("GetParameter", Fault(False, lambda _: (400, {"Content-Type": "application/x-amz-json-1.1"}, body)))
        with pytest.raises(UsageError) as caught:
            provider.find_image(REGION, X86, None)
        assert "--image" in (caught.value.hint or "")


def _tagged(tags: dict[str, str]) -> Request:
    return Request(user="ana", tags=tags)


@pytest.mark.parametrize(
    "tags",
    [
        {"a b": "x"},
        {"a/b": "x"},
        {"_index": "x"},
        {".": "x"},
        {"": "x"},
        {"aws:x": "y"},
        {"Gpuctl-x": "y"},
        {"k" * 129: "x"},
        {"k": "v" * 257},
        {f"k{n}": "v" for n in range(46)},
    ],
    ids=range(10),
)
def test_a_tag_that_ec2_would_refuse_is_refused_before_any_request(tags: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        open_provider(Connection(sandbox_url="http://127.0.0.1:1")).check_request(_tagged(tags))


def test_tags_that_ec2_takes_are_taken() -> None:
    provider = open_provider(Connection(sandbox_url="http://127.0.0.1:1"))
    provider.check_request(_tagged({"Project+=.,_:@-1": "v" * 256, **{f"k{n}": "v" for n in range(44)}}))


def test_no_connection_means_that_no_request_arrived_and_nothing_was_created() -> None:
    provider = open_provider(Connection(sandbox_url="http://127.0.0.1:1"))
    with pytest.raises(UnreachableError, match="could not be reached"):
        provider.identity()


def test_nothing_of_the_users_reaches_into_the_sandbox(
    wire: Wire, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    junk = tmp_path / "junk"
    junk.write_text("[default\nregion")
    poison = {
        "HTTP_PROXY": "http://127.0.0.1:1",
        "HTTPS_PROXY": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_STS": "http://127.0.0.1:1",
        "AWS_ENDPOINT_URL_EC2": "http://127.0.0.1:1",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS": "true",
        "AWS_CONFIG_FILE": str(junk),
        "AWS_SHARED_CREDENTIALS_FILE": str(junk),
        "AWS_CA_BUNDLE": "/nowhere",
        "AWS_USE_FIPS_ENDPOINT": "true",
        "AWS_USE_DUALSTACK_ENDPOINT": "true",
        "AWS_ACCESS_KEY_ID": "real",
        "AWS_SECRET_ACCESS_KEY": "real",
        "AWS_SESSION_TOKEN": "real",
        "AWS_REGION": "eu-west-1",
        "AWS_MAX_ATTEMPTS": "99",
        "AWS_RETRY_MODE": "adaptive",
    }
    for name, value in poison.items():
        monkeypatch.setenv(name, value)
    provider = open_provider(Connection(sandbox_url=wire.url, profile="not-there"))
    assert provider.default_region() is None
    assert provider.identity().account
    assert {sent.action for sent in wire.sent} == {"GetCallerIdentity"}


def test_a_sandbox_that_is_not_on_loopback_is_refused() -> None:
    for url in ("http://192.0.2.1:5000", "https://127.0.0.1:5000", "http://127.0.0.1.example.com"):
        with pytest.raises(UsageError, match="on loopback"):
            open_provider(Connection(sandbox_url=url))


def test_a_profile_that_is_not_there_is_a_matter_of_credentials() -> None:
    with pytest.raises(CredentialsError, match="not-there"):
        open_provider(Connection(profile="not-there")).identity()


def test_an_id_that_ec2_does_not_know_yet_spoils_the_readiness_of_no_other(
    provider: AwsProvider, wire: Wire, noon: LoopbackAws
) -> None:
    created = [noon.launch(REGION, {"gpuctl-state": "a-state-id"}) for _ in range(3)]
    wire.arm("DescribeInstanceStatus", refuse("InvalidInstanceID.NotFound"), None, refuse("InvalidInstanceID.NotFound"))
    observations = provider.list_instances(REGION, created)
    assert len(observations) == 3 and sum(bool(observed.ready) for observed in observations) >= 1
    assert len(wire.calls("DescribeInstanceStatus")) <= 5
