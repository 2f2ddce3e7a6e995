"""What a diagnosis says of Azure, where nothing is ever made."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from contracts.provider import an_order
from support.azure import KEY, LoopbackAzure
from support.clouds import LoopbackAws
from support.instances import NOON
from support.wire import Fault, Wire, refuse_arm

from gpuctl.catalog import Catalog
from gpuctl.domain.diagnosis import Finding, Verdict
from gpuctl.providers.azure import open_provider
from gpuctl.providers.azure.diagnose import TO_CREATE, TO_END
from gpuctl.providers.base import Connection, DiagnosedInstance

IMAGES = "Microsoft.Compute/locations/publishers"
T4 = Catalog().find("Standard_NC4as_T4_v3")
ROLE = json.loads((Path(__file__).parents[3] / "docs" / "azure-role.json").read_text())["Actions"]


@pytest.fixture
def wire(cloud: LoopbackAws) -> Iterator[Wire]:
    line = Wire(cloud.url)
    yield line
    line.stop()


@pytest.fixture
def arm(cloud: LoopbackAws) -> Iterator[LoopbackAzure]:
    past_gpuctl = LoopbackAzure(cloud)
    yield past_gpuctl
    past_gpuctl.close()


def diagnosed(wire: Wire) -> dict[str, Finding]:
    provider = open_provider(Connection(sandbox_url=wire.url))
    trial = DiagnosedInstance(region="eastus", kind=T4, order=None, now=NOON, until=NOON + timedelta(hours=1))
    return {finding.check: finding for finding in provider.diagnose(trial)}


def granting(*actions: str, but: tuple[str, ...] = ()) -> Fault:
    body = json.dumps({"value": [{"actions": list(actions), "notActions": list(but)}]}).encode()
    return Fault(False, lambda _: (200, {"Content-Type": "application/json"}, body))


def test_an_owner_with_quota_lacks_nothing_and_nothing_was_made(wire: Wire, arm: LoopbackAzure) -> None:
    findings = diagnosed(wire)
    assert list(findings) == [
        "create-permission",
        "terminate-permission",
        "janitor",
        "quota",
        "zones",
        "credential-expiry",
    ]
    assert {finding.verdict for finding in findings.values()} == {Verdict.OK}
    assert arm.resources() == []


def test_the_published_role_is_enough(wire: Wire, arm: LoopbackAzure) -> None:
    wire.arm("GET permissions", granting(*ROLE))
    findings = diagnosed(wire)
    assert (findings["create-permission"].verdict, findings["terminate-permission"].verdict) == (Verdict.OK, Verdict.OK)
    assert {*TO_CREATE, *TO_END} <= set(ROLE)


def test_a_login_that_may_create_and_not_end_is_reported(wire: Wire, arm: LoopbackAzure) -> None:
    wire.arm("GET permissions", granting("*", but=("Microsoft.Resources/subscriptions/resourceGroups/delete",)))
    findings = diagnosed(wire)
    assert (findings["create-permission"].verdict, findings["terminate-permission"].verdict) == (
        Verdict.OK,
        Verdict.FAIL,
    )
    assert "resourceGroups/delete" in findings["terminate-permission"].text


def test_a_reader_may_do_neither(wire: Wire, arm: LoopbackAzure) -> None:
    wire.arm("GET permissions", granting("*/read"))
    findings = diagnosed(wire)
    assert (findings["create-permission"].verdict, findings["terminate-permission"].verdict) == (
        Verdict.FAIL,
        Verdict.FAIL,
    )


def test_too_little_quota_is_reported_with_the_figures(wire: Wire, arm: LoopbackAzure) -> None:
    arm.set(quotas={"eastus": {"Standard NCASv3_T4 Family": 2}})
    quota = diagnosed(wire)["quota"]
    assert quota.verdict is Verdict.FAIL
    assert "0 of 2 vCPUs in use" in quota.text


def test_a_size_this_subscription_cannot_have_is_reported(wire: Wire, arm: LoopbackAzure) -> None:
    arm.set(restrictions={"eastus": {T4.name: "NotAvailableForSubscription"}})
    assert diagnosed(wire)["zones"].verdict is Verdict.FAIL


def test_a_check_that_cannot_be_queried_is_unknown_and_no_failure(wire: Wire, arm: LoopbackAzure) -> None:
    wire.arm("GET permissions", *[refuse_arm("AuthorizationFailed", 403)] * 4)
    findings = diagnosed(wire)
    assert (findings["create-permission"].verdict, findings["terminate-permission"].verdict) == (
        Verdict.UNKNOWN,
        Verdict.UNKNOWN,
    )
    assert findings["quota"].verdict is Verdict.OK


def test_an_unregistered_provider_is_reported_and_fails_only_without_permission_to_register(
    wire: Wire, arm: LoopbackAzure
) -> None:
    arm.set(registered=["Microsoft.Compute", "Microsoft.Network"])
    may = diagnosed(wire)["create-permission"]
    assert (may.verdict, "the first instance also registers Microsoft.DevTestLab" in may.text) == (Verdict.OK, True)
    wire.arm("GET permissions", granting("*", but=("*/register/action",)))
    barred = diagnosed(wire)["create-permission"]
    assert (barred.verdict, barred.hint) == (Verdict.FAIL, "az provider register --namespace Microsoft.DevTestLab")
    assert wire.calls("POST register") == []


def test_a_region_without_shutdown_timers_is_reported(wire: Wire, arm: LoopbackAzure) -> None:
    arm.set(no_daily_timer=["eastus"])
    offered = diagnosed(wire)["zones"]
    assert (offered.verdict, "no shutdown timer in eastus" in offered.text) == (Verdict.FAIL, True)


def right_of(call: dict[str, str]) -> str:
    """The right that a call takes: the kind of thing, and what is done to it."""
    if call["method"] == "POST":
        return f"{call['action']}/action"
    verb = {"GET": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}[call["method"]]
    group = "Microsoft.Resources/subscriptions/resourceGroups"
    names = {
        "Microsoft.Resources/resourceGroups": group,
        "Microsoft.Resources/resources": f"{group}/resources",
        "Microsoft.Compute/locations/publishers": f"{IMAGES}/artifacttypes/offers/skus/versions",
        "Microsoft.Compute/operations": "Microsoft.Compute/locations/operations",
        "Microsoft.Network/operations": "Microsoft.Network/locations/operations",
        "Microsoft.Resources/operations": "Microsoft.Resources/subscriptions/operationresults",
    }
    return f"{names.get(call['type'], call['type'])}/{verb}"


def test_the_role_grants_every_call_of_a_whole_lifecycle(wire: Wire, arm: LoopbackAzure) -> None:
    provider = open_provider(Connection(sandbox_url=wire.url))
    arm.now = NOON
    provider.identity()
    arm.set(registered=[])
    provider.check_ttl("eastus", timedelta(hours=1))
    provider.prepare("eastus", lambda line: None)
    image = provider.find_image("eastus", T4, None)
    created = provider.create(replace(an_order(image, "eastus", T4.name), ssh_key=KEY, disk_gb=100))
    provider.list_instances("eastus", [created.cloud_id])
    provider.set_deadline("eastus", created.cloud_id, NOON + timedelta(minutes=90))
    provider.safeguards("eastus", created.cloud_id, NOON)
    provider.regions()
    provider.terminate("eastus", [created.cloud_id])
    provider.list_instances("eastus")
    used_permissions = {right_of(call).casefold() for call in arm.calls()}
    assert len(used_permissions) > 10
    missing = sorted(used_permissions - {item.casefold() for item in ROLE})
    assert not missing, missing


def test_too_little_regional_quota_is_reported_though_the_family_has_enough(wire: Wire, arm: LoopbackAzure) -> None:
    arm.set(quotas={"eastus": {"cores": 3}})
    quota = diagnosed(wire)["quota"]
    assert quota.verdict is Verdict.FAIL
    assert "0 of 3 vCPUs in use in eastus (all families)" in quota.text


def test_too_little_spot_quota_is_reported_and_no_failure_of_an_instance_on_demand(
    wire: Wire, arm: LoopbackAzure
) -> None:
    arm.set(quotas={"eastus": {"lowPriorityCores": 3}})
    quota = diagnosed(wire)["quota"]
    assert quota.verdict is Verdict.OK
    assert "as spot it does not fit: 0 of 3 spot vCPUs in use" in quota.text


def test_how_long_a_login_lasts_is_not_promised(wire: Wire, arm: LoopbackAzure) -> None:
    assert "Azure does not report" in diagnosed(wire)["credential-expiry"].text
