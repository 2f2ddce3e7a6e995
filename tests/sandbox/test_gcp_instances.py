"""The lives of instances in the emulated Compute Engine: limits, ends, lists, labels."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from support.google import LoopbackGoogle, Refused
from support.instances import NOON

LIMIT = {"maxRunDuration": {"seconds": "3720"}, "instanceTerminationAction": "DELETE"}
SPOT = {"provisioningModel": "SPOT", "instanceTerminationAction": "DELETE"}
VM = "us-central1-a/vm"


def operations(google: LoopbackGoogle, target: str) -> list[str]:
    actual = google.call("GET", "zones/us-central1-a/operations", filter=f"targetId={target}")
    return [item["operationType"] for item in actual.get("items", [])]


def test_the_limit_deletes_at_its_time_by_the_clock(google: LoopbackGoogle) -> None:
    google.launch(scheduling=LIMIT)
    shown = google.get(VM)
    planned = datetime.fromisoformat(shown["resourceStatus"]["scheduling"]["terminationTimestamp"])
    assert planned == NOON + timedelta(seconds=3720)
    google.later(seconds=3719)
    assert google.get(VM)["status"] == "RUNNING"
    google.later(seconds=1)
    with pytest.raises(Refused, match="notFound"):
        google.get(VM)
    assert (google.instances()[0]["ended_at"], google.resources()) == ("2026-11-24T13:02:00Z", [])
    assert operations(google, shown["id"]) == ["compute.instances.deferredDelete", "insert"]


@pytest.mark.parametrize(("counts", "left"), [(False, ["disk", "instance"]), (True, [])])
def test_powered_off_from_inside_its_disk_bills_and_the_limit_may_count_on(
    google: LoopbackGoogle, counts: bool, left: list[str]
) -> None:
    google.set(limit_counts_when_stopped=counts)
    google.launch(scheduling=LIMIT)
    google.later(minutes=10)
    google.shut_down(VM)
    (instance,) = google.instances()
    assert (instance["state"], instance["bills"], instance["billed_s"]) == ("stopped", False, 600.0)
    assert google.get(VM)["status"] == "TERMINATED"
    google.later(hours=2)
    assert sorted(item["type"] for item in google.resources()) == left


def test_a_spot_instance_that_is_taken_back_leaves_only_its_operation(google: LoopbackGoogle) -> None:
    google.launch(scheduling=SPOT)
    number = google.get(VM)["id"]
    google.interrupt(VM)
    assert (operations(google, number)[0], google.resources()) == ("compute.instances.preempted", [])
    google.later(days=15)
    assert operations(google, number) == []


@pytest.mark.parametrize(("restarts", "status"), [(True, "RUNNING"), (False, "TERMINATED")])
def test_a_host_error_restarts_the_instance_where_that_was_left_on(
    google: LoopbackGoogle, restarts: bool, status: str
) -> None:
    google.launch(scheduling=LIMIT | {"automaticRestart": restarts})
    google.fail_host(VM)
    assert google.get(VM)["status"] == status


def test_a_deletion_takes_its_time_and_may_not_be_repeated_meanwhile(google: LoopbackGoogle) -> None:
    google.launch()
    google.set(polls=1)
    operation = google.call("DELETE", "zones/us-central1-a/instances/vm")
    assert google.get(VM)["status"] == "STOPPING"
    google.set(polls=0)
    assert google.done(operation)["status"] == "DONE"
    with pytest.raises(Refused, match="notFound"):
        google.call("DELETE", "zones/us-central1-a/instances/vm")


@pytest.mark.parametrize("again", ["refused", "accepted"])
def test_a_second_deletion_is_answered_in_either_way(google: LoopbackGoogle, again: str) -> None:
    google.launch()
    google.set(polls=None, delete_again=again)
    google.call("DELETE", "zones/us-central1-a/instances/vm")
    if again == "refused":
        with pytest.raises(Refused, match="resourceNotReady"):
            google.call("DELETE", "zones/us-central1-a/instances/vm")
    else:
        google.call("DELETE", "zones/us-central1-a/instances/vm")
    google.finish()
    assert google.resources() == []


def test_deleting_what_is_being_created_ends_its_insert(google: LoopbackGoogle) -> None:
    google.set(polls=None)
    operation = google.insert()
    google.call("DELETE", "zones/us-central1-a/instances/vm")
    assert google.done(operation)["httpErrorStatusCode"] == 409


def test_a_protected_instance_is_not_deleted(google: LoopbackGoogle) -> None:
    google.launch(deletionProtection=True)
    with pytest.raises(Refused, match="protected against deletion"):
        google.call("DELETE", "zones/us-central1-a/instances/vm")
    google.call("POST", "zones/us-central1-a/instances/vm/setDeletionProtection", deletionProtection="false")
    google.call("DELETE", "zones/us-central1-a/instances/vm")


def test_a_disk_without_auto_delete_stays_and_bills(google: LoopbackGoogle) -> None:
    google.launch(auto_delete=False)
    google.done(google.call("DELETE", "zones/us-central1-a/instances/vm"))
    (disk,) = google.resources()
    assert (disk["type"], disk["bills"]) == ("disk", True)


@pytest.mark.parametrize(
    ("what", "key", "body"),
    [
        ("setLabels", "labelFingerprint", {"labels": {"a": "b"}}),
        ("setMetadata", "fingerprint", {"items": [{"key": "a", "value": "b"}]}),
    ],
)
def test_labels_and_metadata_are_replaced_with_the_fingerprint_that_is_current(
    google: LoopbackGoogle, what: str, key: str, body: dict[str, Any]
) -> None:
    google.launch(labels={"old": "1"}, metadata={"old": "1"})
    shown, path = google.get(VM), f"zones/us-central1-a/instances/vm/{what}"
    current = shown["labelFingerprint"] if what == "setLabels" else shown["metadata"]["fingerprint"]
    for stale in ({}, {key: "c3RhbGU="}):
        with pytest.raises(Refused, match="conditionNotMet"):
            google.call("POST", path, body | stale)
    google.done(google.call("POST", path, body | {key: current}))
    shown = google.get(VM)
    if what == "setLabels":
        assert shown["labels"] == {"a": "b"}
    else:
        assert shown["metadata"]["items"] == [{"key": "a", "value": "b"}]


def test_a_list_of_all_zones_has_an_entry_for_each_and_pages(google: LoopbackGoogle) -> None:
    for zone in ("us-central1-a", "us-central1-b", "europe-west4-a"):
        google.launch(zone=zone, labels={"gpuctl-state": "s"})
    google.launch("foreign")
    google.set(page_size=2)
    path, query = "aggregated/instances", {"filter": "labels.gpuctl-state:*"}
    first = google.call("GET", path, **query)
    assert first["items"]["zones/us-west1-a"]["warning"]["code"] == "NO_RESULTS_ON_PAGE"
    second = google.call("GET", path, pageToken=first["nextPageToken"], **query)
    assert "nextPageToken" not in second
    names = [
        item["zone"].rpartition("/")[2]
        for page in (first, second)
        for entry in page["items"].values()
        for item in entry.get("instances", [])
    ]
    assert names == ["europe-west4-a", "us-central1-a", "us-central1-b"]


def test_a_zone_that_is_out_is_a_warning_an_unreachable_or_a_failure(google: LoopbackGoogle) -> None:
    google.launch()
    google.set(zones_out={"us-central1-a": "warning"})
    listed = google.call("GET", "aggregated/instances")
    assert listed["items"]["zones/us-central1-a"]["warning"]["code"] == "UNREACHABLE"
    google.set(zones_out={"us-central1-a": "unreachables"})
    assert google.call("GET", "aggregated/instances")["unreachables"] == ["zones/us-central1-a"]
    google.set(zones_out={"us-central1-a": "error"})
    with pytest.raises(Refused, match="backendError"):
        google.call("GET", "aggregated/instances")


@pytest.mark.parametrize(
    ("expression", "names"),
    [
        ("labels.a=1", ["one"]),
        ("labels.a:*", ["one", "two"]),
        ('labels.b="x"', ["two"]),
        ("name=three", ["three"]),
    ],
)
def test_a_filter_means_what_google_says_it_means(google: LoopbackGoogle, expression: str, names: list[str]) -> None:
    google.launch("one", labels={"a": "1"})
    google.launch("two", labels={"a": "2", "b": "x"})
    google.launch("three")
    listed = google.call("GET", "aggregated/instances", filter=expression)["items"]["zones/us-central1-a"]
    assert sorted(item["name"] for item in listed.get("instances", [])) == names


@pytest.mark.parametrize("expression", ["labels.a", "=1", "(labels.a=1", "labels.a=1 OR labels.b=x", "labels.a ~ 1"])
def test_a_filter_that_cannot_be_read_is_refused(google: LoopbackGoogle, expression: str) -> None:
    google.launch()
    with pytest.raises(Refused, match="Invalid list filter expression"):
        google.call("GET", "aggregated/instances", filter=expression)


def test_what_was_just_made_may_be_missing_for_a_moment(google: LoopbackGoogle) -> None:
    google.set(listing_lag_s=30, lookup_lag_s=5)
    google.launch()
    with pytest.raises(Refused, match="notFound"):
        google.get(VM)
    google.later(seconds=10)
    assert google.get(VM)["name"] == "vm"
    assert "instances" not in google.call("GET", "aggregated/instances")["items"]["zones/us-central1-a"]


def test_permissions_are_reported_for_one_instance_and_for_the_project(google: LoopbackGoogle) -> None:
    google.launch()
    google.set(permissions=["compute.instances.delete"])
    query = {"permissions": ["compute.instances.delete", "compute.instances.create"]}
    path = "zones/us-central1-a/instances/vm/testIamPermissions"
    assert google.call("POST", path, query) == {"permissions": ["compute.instances.delete"]}
    assert google.raw("POST", "/v1/projects/sandbox-project:testIamPermissions", query) == (
        200,
        {"permissions": ["compute.instances.delete"]},
    )
    google.set(permissions=[])
    assert google.call("POST", path, query) == {}


def test_the_console_shows_the_guard_a_minute_after_the_start(google: LoopbackGoogle) -> None:
    script = {"startup-script": "enable gpuctl-guard.timer", "gpuctl-expires-at": "20261123t130000z"}
    google.launch(metadata=script)
    path = "zones/us-central1-a/instances/vm/serialPort"
    assert google.call("GET", path)["contents"] == ""
    google.later(minutes=1)
    text = google.call("GET", path)
    assert "gpuctl-guard: armed, ends at 20261123t130000z (metadata)" in text["contents"]
    assert google.call("GET", path, start=text["next"])["contents"] == ""


def test_port_22_is_open_to_what_the_rules_of_lowest_number_say(google: LoopbackGoogle) -> None:
    google.launch(tags=["mine"])
    assert google.instances()[0]["ssh_from"] == ["0.0.0.0/0"]
    ssh = [{"IPProtocol": "tcp", "ports": ["22"]}]
    google.call("POST", "global/firewalls", {"name": "close", "denied": ssh, "targetTags": ["mine"], "priority": 1000})
    assert google.instances()[0]["ssh_from"] == []
    mine = {"name": "open", "allowed": ssh, "sourceRanges": ["203.0.113.7/32"], "targetTags": ["mine"]}
    operation = google.call("POST", "global/firewalls", mine | {"priority": 900})
    assert google.done(operation)["status"] == "DONE"
    assert google.instances()[0]["ssh_from"] == ["203.0.113.7/32"]
    google.call("DELETE", "global/firewalls/open")
    assert google.instances()[0]["ssh_from"] == []
    google.set(allows_ssh=False)
    google.call("DELETE", "global/firewalls/close")
    assert google.instances()[0]["ssh_from"] == []
