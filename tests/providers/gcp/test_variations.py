"""What another server of the same API may do differently: nothing of it may keep the main job from being done."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from support.cli import Operator
from support.google import LoopbackGoogle
from support.wire import Answer, Sent, refuse_google

from gpuctl.errors import UsageError
from gpuctl.providers.base import Connection
from gpuctl.providers.gcp.client import Api

L4 = ("provision", "g2-standard-4", "--region", "us-central1", "--name", "n")
JSON = {"Content-Type": "application/json"}
Change = Callable[[Any], Any]

# Optional in Google's own document, and not needed: the rest names the zone, and an instance its limit.
_OPTIONAL = {
    "instance": (
        "kind",
        "selfLink",
        "id",
        "zone",
        "resourceStatus",
        "lastStartTimestamp",
        "fingerprint",
        "cpuPlatform",
    ),
    "operation": ("kind", "id", "selfLink", "zone", "targetId", "user", "progress", "startTime", "insertTime"),
}


def changed(change: Change) -> Callable[[Sent, Answer], Answer]:
    """The answers of Google's with their JSON changed."""

    def answer(sent: Sent, real: Answer) -> Answer:
        status, headers, body = real
        return status, headers, json.dumps(change(json.loads(body))).encode() if sent.path[:9] == "/compute/" else body

    return answer


def sparse(value: Any) -> Any:
    """The same without what a server may leave out."""
    if isinstance(value, list):
        return [sparse(item) for item in value]
    if not isinstance(value, dict):
        return value
    left_out = _OPTIONAL["instance"] if "machineType" in value else ()
    left_out = _OPTIONAL["operation"] if "operationType" in value else left_out
    return {key: sparse(item) for key, item in value.items() if key not in left_out and item not in ({}, [])}


def with_status_only(value: Any) -> Any:
    """Errors as the newer front ends write them: a canonical status and no list of reasons."""
    error = value.get("error") if isinstance(value, dict) else None
    if not isinstance(error, dict) or "code" not in error:
        return value
    words = {403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ALREADY_EXISTS", 503: "UNAVAILABLE"}
    return {"error": {"code": error["code"], "message": error["message"], "status": words[error["code"]]}}


def live(operator: Operator, google_cloud: LoopbackGoogle) -> None:
    """A whole life: nothing is missing in it, and nothing is left of it."""
    created = operator.json(*L4, "--ttl", "30")
    assert created.code == 0, created.out
    assert created.instance["zone"] == "us-central1-a"
    assert operator.json("extend", "n", "--by", "30m").instance["expiresAt"] == "2026-11-24T13:00:00Z"
    assert operator.run("extend", "n", "--ttl", "2h").code == 0
    operator.later(minutes=10)
    refused = operator.run("extend", "n", "--ttl", "2h")
    assert (refused.code, "the deadline can be at most 2026-11-24T14:00:00Z" in refused.err) == (2, True), refused.err
    assert operator.run("reap", "--sweep").code == 0
    assert operator.run("terminate", "n").code == 0
    left = [item for item in google_cloud.resources() if item["type"] != "firewall"]
    assert (left, operator.json("get", "n").instance["status"]) == ([], "TERMINATED")


@pytest.mark.parametrize("change", [sparse, with_status_only])
def test_a_lifecycle_needs_no_optional_field(operator: Operator, google_cloud: LoopbackGoogle, change: Change) -> None:
    operator.wire.change = changed(change)
    live(operator, google_cloud)


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, b"404 page not found"),
        (404, b'{"error": {"code": 404, "message": "Method not found.", "status": "NOT_FOUND"}}'),
        (501, b'{"error": {"code": 501, "message": "not implemented", "status": "UNIMPLEMENTED"}}'),
    ],
)
def test_a_lifecycle_needs_no_optional_call(
    operator: Operator, google_cloud: LoopbackGoogle, status: int, body: bytes
) -> None:
    optional = ("machineTypes", "acceleratorTypes", "firewalls", "images", "serialPort", "/regions")

    def instead(sent: Sent) -> Answer | None:
        is_list_of_operations = sent.path.partition("?")[0].endswith("/operations")
        return (status, JSON, body) if is_list_of_operations or any(word in sent.path for word in optional) else None

    operator.wire.instead = instead
    live(operator, google_cloud)


@pytest.mark.parametrize("polls", [0, 40])
def test_operations_may_be_done_at_once_or_after_long(
    operator: Operator, google_cloud: LoopbackGoogle, polls: int
) -> None:
    google_cloud.set(polls=polls)
    live(operator, google_cloud)


def test_a_list_that_ignores_filters_makes_no_foreign_instance_ours(
    operator: Operator, google_cloud: LoopbackGoogle
) -> None:
    google_cloud.launch("theirs")
    operator.wire.arm("POST instances", refuse_google("backendError", 503))

    def ignores_filters(sent: Sent) -> Answer | None:
        path, _, _ = sent.path.partition("?")
        if not path.endswith("/aggregated/instances"):
            return None
        _, answer = google_cloud.raw("GET", path)
        return 200, JSON, json.dumps(answer).encode()

    operator.wire.instead = ignores_filters
    assert operator.json(*L4).code == 0
    operator.later(minutes=61)
    operator.run("reap", "--sweep", "--wait")
    running = [instance["id"] for instance in google_cloud.instances() if instance["state"] == "running"]
    assert running == ["us-central1-a/theirs"]


@pytest.mark.parametrize("how", ["warning", "unreachables"])
def test_zones_that_are_not_reached_are_left_out(operator: Operator, google_cloud: LoopbackGoogle, how: str) -> None:
    google_cloud.set(zones_out={"us-central1-a": how, "us-central1-b": how})
    created = operator.json(*L4, "--no-wait")
    assert (created.code, created.instance["zone"]) == (0, "us-central1-c"), created.out


def test_a_region_none_of_whose_zones_is_reached_is_unreachable(
    operator: Operator, google_cloud: LoopbackGoogle
) -> None:
    google_cloud.set(zones_out={f"us-central1-{letter}": "warning" for letter in "abcf"})
    refused = operator.json(*L4)
    assert (refused.code, refused.json["error"]["code"]) == (5, "unreachable")


def test_a_name_that_is_taken_is_looked_up_where_the_operation_says_so_too(
    operator: Operator, google_cloud: LoopbackGoogle
) -> None:
    def taken(value: Any) -> Any:
        if value.get("operationType") != "insert" or "/instances/" not in value["targetLink"]:
            return value
        error = {"code": "RESOURCE_ALREADY_EXISTS", "message": "The resource already exists"}
        return value | {"status": "DONE", "error": {"errors": [error]}, "httpErrorStatusCode": 409}

    operator.wire.change = changed(taken)
    created = operator.json(*L4)
    assert (created.code, created.instance["status"], len(google_cloud.instances())) == (0, "READY", 1)


@pytest.mark.parametrize("path", ["", "/", "/compute/v1", "/compute/v1/"])
def test_the_endpoint_may_be_written_with_the_version_of_the_api(
    operator: Operator, google_cloud: LoopbackGoogle, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.setenv("GPUCTL_GCP_ENDPOINT", operator.wire.url + path)
    assert operator.run(*L4, "--no-wait").code == 0
    assert all(sent.path.startswith("/compute/v1/projects/") for sent in operator.wire.sent)


def test_a_project_that_does_not_exist_is_a_matter_of_credentials(
    operator: Operator, google_cloud: LoopbackGoogle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOOGLE_CLOUD_PROJECT", "nobodys-project")
    refused = operator.json(*L4)
    assert (refused.code, refused.json["error"]["code"]) == (4, "credentials")
    assert "`nobodys-project`" in refused.json["error"]["message"]


def test_an_endpoint_beyond_this_computer_must_be_https() -> None:
    with pytest.raises(UsageError, match="must be on loopback"):
        Api(Connection(environ={"GPUCTL_GCP_ENDPOINT": "http://compute.example.com/compute/v1/"}))
