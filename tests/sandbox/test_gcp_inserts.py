"""What the emulated Compute Engine makes of an insert: what is refused at once, and what only its operation tells."""

from typing import Any
from uuid import uuid4

import pytest
from support.google import LoopbackGoogle, Refused

DELETES = {"maxRunDuration": {"seconds": "7320"}, "instanceTerminationAction": "DELETE"}
T4 = {"kind": "n1-standard-4", "gpus": "1xnvidia-tesla-t4"}


def test_an_insert_is_answered_with_an_operation_before_it_is_decided(google: LoopbackGoogle) -> None:
    google.set(polls=2)
    operation = google.insert()
    assert (operation["operationType"], operation["status"]) == ("insert", "PENDING")
    assert google.get("us-central1-a/vm")["status"] in ("PROVISIONING", "STAGING")
    google.done(operation)
    assert google.done(operation)["status"] == "DONE"
    running = google.get("us-central1-a/vm")
    assert (running["status"], running["id"]) == ("RUNNING", operation["targetId"])


@pytest.mark.parametrize("code", ["ZONE_RESOURCE_POOL_EXHAUSTED_WITH_DETAILS", "QUOTA_EXCEEDED", "CONDITION_NOT_MET"])
def test_a_failed_operation_is_no_http_error_and_leaves_nothing(google: LoopbackGoogle, code: str) -> None:
    google.set(advised=["us-central1-f"])
    google.break_next(code)
    done = google.done(google.insert())
    assert (done["status"], done["error"]["errors"][0]["code"]) == ("DONE", code)
    assert google.resources() == []
    with pytest.raises(Refused, match="notFound"):
        google.get("us-central1-a/vm")


def test_a_stockout_names_the_zones_that_have_room(google: LoopbackGoogle) -> None:
    google.set(sold_out={"us-central1-a": ["g2-standard-4"]}, advised=["us-central1-b", "us-central1-f"])
    (error,) = google.done(google.insert())["error"]["errors"]
    assert error["errorDetails"][0]["errorInfo"]["metadatas"]["zonesAvailable"] == "us-central1-b,us-central1-f"
    assert "error" not in google.done(google.insert(zone="us-central1-b"))


@pytest.mark.parametrize(
    ("quotas", "message"),
    [
        ({"project": {"GPUS_ALL_REGIONS": 0}}, "Quota 'GPUS_ALL_REGIONS' exceeded.  Limit: 0.0 globally."),
        ({"us-central1": {"NVIDIA_L4_GPUS": 1}}, "Quota 'NVIDIA_L4_GPUS' exceeded.  Limit: 1.0 in region us-central1."),
    ],
)
def test_a_quota_is_reported_by_the_operation_and_counts_what_is_there(
    google: LoopbackGoogle, quotas: dict[str, Any], message: str
) -> None:
    google.set(quotas=quotas)
    google.done(google.insert("first", kind="e2-medium", disk="pd-standard"))
    google.done(google.insert("second"))
    failed = google.done(google.insert("third"))
    assert failed["error"]["errors"][0]["message"] == message


def test_spot_counts_against_the_preemptible_quota(google: LoopbackGoogle) -> None:
    google.set(quotas={"us-central1": {"NVIDIA_L4_GPUS": 0}})
    spot = {"provisioningModel": "SPOT", "instanceTerminationAction": "DELETE"}
    assert "error" not in google.done(google.insert(scheduling=spot))


def test_the_same_request_id_is_the_same_operation_whatever_became_of_it(google: LoopbackGoogle) -> None:
    request_id = str(uuid4())
    first = google.insert(request_id=request_id)
    assert google.insert(request_id=request_id)["name"] == first["name"]
    google.done(google.call("DELETE", "zones/us-central1-a/instances/vm"))
    assert google.insert(request_id=request_id)["name"] == first["name"]
    assert google.resources() == []
    google.later(hours=1)
    assert google.insert(request_id=request_id)["name"] != first["name"]


@pytest.mark.parametrize("request_id", ["x", "00000000-0000-0000-0000-000000000000"])
def test_a_request_id_that_is_no_uuid_is_refused(google: LoopbackGoogle, request_id: str) -> None:
    with pytest.raises(Refused, match="must be a valid UUID"):
        google.insert(request_id=request_id)


def test_a_name_is_taken_in_its_zone_only_and_free_after_the_deletion(google: LoopbackGoogle) -> None:
    google.launch()
    with pytest.raises(Refused, match="alreadyExists"):
        google.insert()
    google.launch(zone="us-central1-b")
    google.done(google.call("DELETE", "zones/us-central1-a/instances/vm"))
    google.launch()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"colour": "red"}, 'Unknown name "colour"'),
        ({"scheduling": {"maxRun": 1}}, "Unknown name \"maxRun\" at 'resource.scheduling'"),
        ({"scheduling": {"onHostMaintenance": "MIGRATE"}}, "do not support live migration"),
        ({"scheduling": {"provisioningModel": "CHEAP"}}, "must be one of"),
        ({"scheduling": {"maxRunDuration": {"seconds": "60"}}}, "action must be specified"),
        ({"scheduling": {"instanceTerminationAction": "DELETE"}}, "Spot provisioning model or a time limit"),
        ({"scheduling": DELETES | {"maxRunDuration": {"seconds": "29"}}}, "between 30 seconds and 120 days"),
        ({"scheduling": DELETES | {"maxRunDuration": {"seconds": "10368001"}}}, "between 30 seconds and 120 days"),
        ({"scheduling": DELETES | {"terminationTime": "2020-01-01T00:00:00Z"}}, "Only one of"),
        ({"name": "Big"}, "Must be a match of regex"),
        ({"name": ""}, "Required field"),
        ({"machineType": "g2-standard-4"}, "malformed"),
        ({"kind": "g2-standard-5"}, "does not exist in zone"),
        ({"kind": "a4-highgpu-8g", "disk": "hyperdisk-balanced"}, "available with SPOT"),
        ({"disk": "pd-standard"}, "features are not compatible for creating instance"),
        ({"disk_gb": 14}, "cannot be smaller than the image size"),
        ({"image": "projects/debian-cloud/global/images/family/debian-0"}, "was not found"),
        ({"image": "projects/ubuntu-os-accelerator-images/global/images/family/"
                   "ubuntu-accelerator-2204-arm64-with-nvidia-580"}, "architecture"),
        ({"gpus": "1xnvidia-l4"}, "attached already"),
        ({"kind": "n1-standard-4", "gpus": "3xnvidia-tesla-t4"}, "not compatible"),
        ({"kind": "n1-standard-96", "gpus": "1xnvidia-tesla-t4"}, "not compatible"),
        ({"kind": "e2-medium", "gpus": "1xnvidia-tesla-t4"}, "features are not compatible"),
        ({"kind": "n1-standard-4", "gpus": "1xnvidia-tesla-k80"}, "Unknown type"),
        ({"labels": {"Env": "prod"}}, "Label keys must start"),
        ({"labels": {"env": "a b"}}, "label value of 'env'"),
        ({"labels": {f"k{n}": "v" for n in range(65)}}, "At most 64 labels"),
        ({"metadata": {"a key": "x"}}, "Must be a match of regex"),
        ({"metadata": {"script": "x" * 262_145}}, "too large"),
        ({"networkInterfaces": []}, "network interface is required"),
        ({"networkInterfaces": [{"network": "global/networks/other"}]}, "network resource cannot be found"),
        ({"tags": ["A tag"]}, "Must be a match of regex"),
        ({"deletionProtection": "yes"}, "must be of type boolean"),
    ],
)  # fmt: skip
def test_what_google_does_not_take_is_refused_at_once(
    google: LoopbackGoogle, change: dict[str, Any], message: str
) -> None:
    with pytest.raises(Refused) as caught:
        google.insert(**change)
    assert message in caught.value.message
    assert google.resources() == []


def test_gpus_are_attached_to_an_n1_instance(google: LoopbackGoogle) -> None:
    google.launch(**T4)
    (instance,) = google.instances()
    assert (instance["instance_type"], instance["gpu_works"]) == ("n1-standard-4+1xnvidia-tesla-t4", True)


def test_a_network_that_is_missing_and_an_external_address_that_is_forbidden(google: LoopbackGoogle) -> None:
    google.set(constraints=["compute.vmExternalIpAccess"])
    failed = google.done(google.insert())
    assert (failed["httpErrorStatusCode"], failed["error"]["errors"][0]["code"]) == (412, "CONDITION_NOT_MET")
    assert "error" not in google.done(google.insert(has_address=False))
    google.set(default_network=False)
    with pytest.raises(Refused, match="network resource cannot be found"):
        google.insert("other")


@pytest.mark.parametrize(
    ("lacking", "is_refused"),
    [
        ("compute.instances.create", True),
        ("compute.disks.setLabels", False),
        ("compute.subnetworks.useExternalIp", True),
    ],
)
def test_an_insert_needs_every_permission_that_its_body_needs(
    google: LoopbackGoogle, lacking: str, *, is_refused: bool
) -> None:
    held = ["compute.instances.create", "compute.disks.create", "compute.subnetworks.use"]
    held += ["compute.subnetworks.useExternalIp", "compute.zoneOperations.get"]
    google.set(permissions=[name for name in held if name != lacking])
    if is_refused:
        with pytest.raises(Refused, match=f"Required '{lacking}' permission"):
            google.insert()
    else:
        google.launch()


def test_a_call_for_what_is_not_served_is_refused(google: LoopbackGoogle) -> None:
    for path in ("zones/us-central1-z/operations", "zones/us-east1-a/operations"):
        with pytest.raises(Refused, match="Unknown zone"):
            google.call("GET", path)
    with pytest.raises(Refused, match="returnPartialSuccess"):
        google.call("GET", "aggregated/instances", returnPartialSuccess="true")
    with pytest.raises(Refused, match="not found on this server"):
        google.call("GET", "zones/us-central1-a/rockets")
    status, _ = google.raw("GET", "/compute/v1/projects/another-project")
    assert status == 404


def test_a_project_without_the_api_or_without_billing_says_so(google: LoopbackGoogle) -> None:
    google.set(billing="off")
    with pytest.raises(Refused, match="requires billing"):
        google.insert()
    google.set(api="off")
    with pytest.raises(Refused, match="accessNotConfigured"):
        google.call("GET", "")


@pytest.mark.parametrize(
    ("code", "status"),
    [("rateLimitExceeded", 403), ("tooManyRequests", 429), ("backendError", 503), ("authError", 401)],
)
def test_a_fault_befalls_the_calls_that_it_names(google: LoopbackGoogle, code: str, status: int) -> None:
    google.break_next(code, method="instances.insert", skip=1)
    google.launch("first")
    with pytest.raises(Refused) as caught:
        google.insert("second")
    assert caught.value.status == status
    google.launch("second")
