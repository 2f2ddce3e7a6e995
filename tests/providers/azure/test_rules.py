"""What the Azure provider makes of ARM's answers and asks of it, without any cloud: all of it is pure."""

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from azure.core.exceptions import (
    HttpResponseError,
    ServiceRequestError,
    ServiceRequestTimeoutError,
    ServiceResponseError,
)
from support.instances import NOON

from gpuctl.domain.instance import CloudState, Market
from gpuctl.domain.market.request import Request
from gpuctl.errors import (
    CapacityError,
    CloudError,
    CredentialsError,
    Extent,
    GpuctlError,
    NotNowError,
    OutcomeUnknown,
    PartialCreate,
    QuotaError,
    ThrottledError,
    UnreachableError,
    UsageError,
)
from gpuctl.providers.azure.create import CreateProgress, check_request, firewall, machine, tags_of
from gpuctl.providers.azure.errors import translate, translate_create
from gpuctl.providers.azure.names import group_in, machine_id, record_of, token_of
from gpuctl.providers.azure.observe import observed
from gpuctl.providers.azure.timer import check_ttl, fires_at, is_needed
from gpuctl.providers.base import Image, Order

MINUTE = timedelta(minutes=1)
ORDER = Order(
    token="inst-000000000001-2",
    record_id="inst-000000000001",
    state_id="a-state-id",
    owner="ana",
    name="train-7",
    expires_at=NOON + 60 * MINUTE,
    max_ttl=timedelta(hours=2),
    region="eastus",
    zone=None,
    subnet=None,
    instance_type="Standard_NC4as_T4_v3",
    market=Market.ON_DEMAND,
    image=Image("a:b:c:1.0.0", "", 64),
    disk_gb=100,
    created_at=NOON,
    ssh_key="ssh-ed25519 AAAA",
    tags={"project": "x"},
)
GROUP = {"name": "gpuctl-inst-000000000001", "location": "East US", "tags": {"gpuctl-id": "inst-000000000001"}}


class Answer(HttpResponseError):
    """A refusal with that code, as the SDK raises it."""

    def __init__(self, code: str | None, status: int = 409, message: str = "no") -> None:
        super().__init__(message)
        self.status_code = status
        self.error = None if code is None else type("Told", (), {"code": code, "message": message, "details": []})()  # type: ignore[assignment]


def vm(step: str = "Succeeded", **reported: Any) -> dict[str, Any]:
    known = {
        "provisioningState": step,
        "hardwareProfile": {"vmSize": "Standard_NC4as_T4_v3"},
        "timeCreated": "2026-11-24T12:00:05.123+00:00",
    }
    return {"name": "inst-000000000001", "properties": known | reported}


def power(word: str) -> list[dict[str, Any]]:
    return [{"code": "ProvisioningState/succeeded"}, {"code": f"PowerState/{word}"}]


# names


@pytest.mark.parametrize(
    ("group", "token", "record"),
    [
        ("gpuctl-inst-000000000001", "inst-000000000001", "inst-000000000001"),
        ("GPUCTL-INST-000000000001-12", "inst-000000000001-12", "inst-000000000001"),
        ("gpuctl-inst-00000000001", None, None),
        ("my-gpuctl-inst-000000000001", None, None),
        ("gpuctl-inst-000000000001-x", None, None),
    ],
)
def test_the_name_of_a_group_shows_its_state_or_the_group_is_foreign(
    group: str, token: str | None, record: str | None
) -> None:
    assert (token_of(group), record_of(group)) == (token, record)


def test_the_group_is_found_in_an_id_of_any_case() -> None:
    assert group_in(machine_id("s", "gpuctl-inst-000000000001").upper()) == "GPUCTL-INST-000000000001"
    assert group_in("/subscriptions/s") == ""


# what is seen


@pytest.mark.parametrize(
    ("word", "state", "ready", "bills"),
    [
        ("running", CloudState.RUNNING, True, False),
        ("starting", CloudState.PENDING, False, False),
        ("stopped", CloudState.STOPPED, False, True),
        ("stopping", CloudState.STOPPED, False, True),
        ("deallocated", CloudState.STOPPED, False, False),
        ("deallocating", CloudState.STOPPED, False, False),
    ],
)
def test_the_state_of_an_instance_follows_its_power_state(
    word: str, state: CloudState, ready: bool, bills: bool
) -> None:
    observations = observed(GROUP, vm(), power(word), "t/s", is_readiness_queried=True)
    assert (observations.state, observations.ready, observations.bills_when_stopped) == (state, ready, bills)
    assert (observations.region, observations.launched_at) == ("eastus", NOON + timedelta(seconds=5))


def test_running_is_not_ready_before_azure_has_set_it_up() -> None:
    observations = observed(GROUP, vm("Creating"), [{"code": "PowerState/running"}], "t/s", is_readiness_queried=True)
    assert (observations.state, observations.ready) == (CloudState.RUNNING, False)


def test_an_unknown_power_state_hides_no_instance() -> None:
    observations = observed(GROUP, vm(), power("hibernating"), "t/s", is_readiness_queried=True)
    assert (observations.state, observations.ready) == (CloudState.RUNNING, True)


def test_readiness_that_was_not_requested_is_not_reported() -> None:
    assert observed(GROUP, vm(), power("running"), "t/s").ready is None


def test_a_group_without_an_instance_is_leftovers_and_a_group_in_deletion_is_ending() -> None:
    leaving = GROUP | {"properties": {"provisioningState": "Deleting"}}
    assert observed(GROUP, None, [], "t/s").state is CloudState.REMNANT
    assert observed(leaving, vm(), power("running"), "t/s").state is CloudState.ENDING


def test_an_instance_without_capacity_is_reported_in_the_terms_of_gpuctl() -> None:
    statuses = [{"code": "ProvisioningState/failed/AllocationFailed", "message": "We do not have capacity."}]
    observations = observed(GROUP, vm("Failed"), statuses, "t/s")
    assert observations.state is CloudState.FAILED
    assert observations.refusal is not None
    assert (observations.refusal.code, "AllocationFailed" in observations.refusal.text) == ("capacity", True)
    assert observations.launched_at is None


def test_a_spot_instance_and_its_zone_are_reported() -> None:
    observations = observed(GROUP, vm(priority="Spot") | {"zones": ["2"]}, power("running"), "t/s")
    assert (observations.market, observations.zone) == (Market.SPOT, "eastus-2")


# what is asked


def test_everything_hangs_on_the_instance_and_goes_with_it() -> None:
    body = machine(ORDER, "s")
    reported = body["properties"]
    interface = reported["networkProfile"]["networkInterfaceConfigurations"][0]
    address = interface["properties"]["ipConfigurations"][0]["properties"]["publicIPAddressConfiguration"]
    assert reported["storageProfile"]["osDisk"]["deleteOption"] == "Delete"
    assert interface["properties"]["deleteOption"] == address["properties"]["deleteOption"] == "Delete"
    assert body["tags"] == interface["tags"] == address["tags"] == tags_of(ORDER)


def test_the_same_order_asks_for_the_very_same_thing() -> None:
    assert machine(ORDER, "s") == machine(replace(ORDER), "s")


def test_nothing_is_open_from_outside_unless_an_address_is_named() -> None:
    assert firewall(ORDER)["properties"]["securityRules"] == []
    (rule,) = firewall(replace(ORDER, ssh_from="192.0.2.7/32"))["properties"]["securityRules"]
    assert (rule["properties"]["sourceAddressPrefix"], rule["properties"]["destinationPortRange"]) == (
        "192.0.2.7/32",
        "22",
    )


def test_spot_is_deleted_when_it_is_taken_back_and_costs_at_most_what_was_said() -> None:
    reported = machine(replace(ORDER, market=Market.SPOT, max_price=Decimal("0.20")), "s")["properties"]
    assert (reported["priority"], reported["evictionPolicy"], reported["billingProfile"]) == (
        "Spot",
        "Delete",
        {"maxPrice": 0.2},
    )
    uncapped = machine(replace(ORDER, market=Market.SPOT), "s")["properties"]
    assert uncapped["billingProfile"] == {"maxPrice": -1}


@pytest.mark.parametrize(
    "request_",
    [
        Request(user="ana", tags={"a<b": "x"}),
        Request(user="ana", tags={"a/b": "x"}),
        Request(user="ana", tags={"Microsoft.x": "y"}),
        Request(user="ana", tags={"k" * 513: "x"}),
        Request(user="ana", tags={"k": "v" * 257}),
        Request(user="ana", tags={"a": "1", "A": "2"}),
        Request(user="ana", tags={f"k{n}": "v" for n in range(45)}),
        Request(user="ana", image="ami-1"),
        Request(user="ana", image="a:b:c"),
        Request(user="ana", subnet="subnet-1"),
        Request(user="ana", disk_gb=4096),
    ],
    ids=range(11),
)
def test_what_azure_would_refuse_is_refused_before_any_request(request_: Request) -> None:
    with pytest.raises(UsageError):
        check_request(request_)


# the timer


@pytest.mark.parametrize(
    ("deadline", "at"),
    [
        (NOON + 60 * MINUTE, NOON + 62 * MINUTE),
        (NOON + 60 * MINUTE + timedelta(seconds=1), NOON + 63 * MINUTE),
        (NOON + 5 * MINUTE, NOON + 35 * MINUTE),
        (NOON - 60 * MINUTE, NOON + 35 * MINUTE),
    ],
)
def test_the_timer_fires_two_minutes_past_the_deadline_on_a_full_minute_and_never_sooner_than_it_can(
    deadline: datetime, at: datetime
) -> None:
    assert fires_at(deadline, NOON) == at


@pytest.mark.parametrize(
    ("stored", "deadline", "now"),
    [
        (62, 60, 0),  # as it was set
        (62, 60, 55),  # and as it stands shortly before
        (35, 5, 0),  # as soon as it can be
        (35, 20, 4),  # late enough for a deadline that was moved, and far from it
        (35, 33, 34),
    ],
)
def test_a_timer_that_serves_is_never_written_again(stored: int, deadline: int, now: int) -> None:
    assert not is_needed(NOON + stored * MINUTE, NOON + deadline * MINUTE, NOON + now * MINUTE)


@pytest.mark.parametrize(("stored", "deadline", "now"), [(62, 90, 31), (62, 30, 0), (35, 60, 4), (62, 90, 63)])
def test_a_timer_is_moved_while_azure_takes_that(stored: int, deadline: int, now: int) -> None:
    assert is_needed(NOON + stored * MINUTE, NOON + deadline * MINUTE, NOON + now * MINUTE)


@pytest.mark.parametrize(("stored", "deadline", "now"), [(62, 90, 32), (62, 90, 61), (35, 60, 5)])
def test_a_timer_is_not_moved_in_its_last_31_minutes(stored: int, deadline: int, now: int) -> None:
    with pytest.raises(UsageError, match=r"takes no change of it in the last 31m"):
        is_needed(NOON + stored * MINUTE, NOON + deadline * MINUTE, NOON + now * MINUTE)


def test_a_ttl_of_nearly_a_day_is_the_longest_of_the_timer() -> None:
    check_ttl(timedelta(hours=22, minutes=57))
    with pytest.raises(UsageError, match="a shutdown schedule has a time of day and no date"):
        check_ttl(timedelta(hours=22, minutes=58))


# what a failure means


@pytest.mark.parametrize(
    ("code", "status", "message", "kind"),
    [
        ("OperationNotAllowed", 409, "exceeding approved Standard NCASv3_T4 Family Cores quota", QuotaError),
        ("OperationNotAllowed", 409, "the machine is being deleted", CloudError),
        ("OperationNotAllowed", 429, "too many requests", ThrottledError),
        ("QuotaExceeded", 409, "", QuotaError),
        ("SkuNotAvailable", 409, "", CapacityError),
        ("AllocationFailed", 200, "", CapacityError),
        ("SpotPriceGreaterThanProvidedMaxPrice", 409, "", NotNowError),
        ("AuthorizationFailed", 403, "", CredentialsError),
        ("SubscriptionNotFound", 404, "", CredentialsError),
        ("TooManyRequests", 429, "", ThrottledError),
        ("InternalServerError", 500, "", UnreachableError),
        (None, 502, "", UnreachableError),
    ],
)
def test_a_refusal_is_classified_by_its_code(
    code: str | None, status: int, message: str, kind: type[GpuctlError]
) -> None:
    assert type(translate(Answer(code, status, message), "no")) is kind


@pytest.mark.parametrize(
    "error",
    [
        Answer("SomethingNew", 500),
        Answer("SomethingNew", 408),
        Answer("ResourceGroupNotFound", 404),
        Answer(None, 403),
        Answer(None, 502),
        ServiceResponseError("cut"),
    ],
)
def test_a_lost_or_unreadable_reply_and_a_5xx_prove_nothing_about_a_create(error: Exception) -> None:
    assert isinstance(translate_create(error, "no"), OutcomeUnknown)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 412, 422])
def test_a_4xx_with_an_unknown_code_is_a_refusal_with_azures_own_sentence(status: int) -> None:
    refusal = translate_create(Answer("SomethingNew", status, "this subscription may not."), "could not create it")
    assert (type(refusal), refusal.message) == (
        CloudError,
        "could not create it: `SomethingNew` (this subscription may not)",
    )


@pytest.mark.parametrize(
    ("code", "kind", "extent"),
    [
        ("RequestDisallowedByAzure", CredentialsError, Extent.REGION),
        ("RequestDisallowedByPolicy", CloudError, Extent.REGION),
        ("LinkedAccessCheckFailed", CredentialsError, Extent.EVERYWHERE),
        ("SubscriptionNotRegisteredForFeature", CloudError, Extent.EVERYWHERE),
        ("LocationNotAvailableForResourceType", CloudError, Extent.REGION),
        ("AzureSpotFeatureNotEnabledForSubscription", CloudError, Extent.MARKET),
    ],
)
def test_a_refusal_says_whether_another_region_may_still_have_it(
    code: str, kind: type[GpuctlError], extent: Extent
) -> None:
    refusal = translate_create(Answer(code, 403), "no")
    assert (type(refusal), refusal.extent) == (kind, extent)


def test_a_refusal_is_one_of_nothing_until_something_was_made() -> None:
    making = CreateProgress(ORDER, lambda: NOON)
    assert type(making.failure(Answer("SkuNotAvailable"))) is CapacityError
    making.has_begun = True
    half = making.failure(Answer("SkuNotAvailable"))
    assert isinstance(half, PartialCreate)
    assert (type(half.refusal), half.cloud_id) == (CapacityError, "gpuctl-inst-000000000001-2")
    assert isinstance(making.failure(Answer(None, 500)), OutcomeUnknown)
    assert isinstance(making.failure(TimeoutError()), OutcomeUnknown)
    assert isinstance(making.failure(ServiceRequestTimeoutError("no connection")), PartialCreate)
    # The SDK's name for it says that the request was not sent: a TLS connection that breaks later has the same one.
    assert isinstance(making.failure(ServiceRequestError("bad record")), OutcomeUnknown)
