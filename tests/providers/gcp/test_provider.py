"""The Google Cloud provider against a Compute Engine on loopback, over real HTTP."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from contracts.provider import LIFE, ProviderContract, an_order
from support.clouds import LoopbackAws
from support.google import LoopbackGoogle
from support.instances import NOON
from support.wire import FAILED_AFTER, LOST, NEVER_ARRIVED, Fault, Wire, refuse_google

from gpuctl.catalog import Catalog
from gpuctl.domain.instance import CloudState, Market, Reason
from gpuctl.domain.tags import deadline_tag
from gpuctl.errors import (
    CapacityError,
    CloudError,
    CredentialsError,
    GpuctlError,
    OutcomeUnknown,
    QuotaError,
    ThrottledError,
    UnreachableError,
    UsageError,
)
from gpuctl.providers.base import Connection, Image, Order
from gpuctl.providers.gcp import launch, open_provider

REGION = "us-central1"
TOKEN = "inst-000000000001"
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGJ1aWx0IGZvciB0ZXN0cywgb3BlbnMgbm90aGluZyE="
FIRST = f"us-central1-a/{TOKEN}"


@pytest.fixture
def region() -> str:
    return REGION


@pytest.fixture
def google(noon: LoopbackAws) -> LoopbackGoogle:
    return LoopbackGoogle(noon)


@pytest.fixture
def provider(wire: Wire) -> Any:
    return open_provider(Connection(sandbox_url=wire.url))


class TestGcp(ProviderContract):
    """The contract, then what only Google Cloud does."""

    instance_type = "g2-standard-4"
    unknown_cloud_id = "us-central1-a/inst-zzzzzzzzzzzz"

    @pytest.fixture(autouse=True)
    def _cloud(self, google: LoopbackGoogle) -> None:
        self.google = google
        self.foreign = 0

    @pytest.fixture
    def order(self, image: Image, region: str) -> Order:
        return replace(an_order(image, region, self.instance_type), ssh_key=KEY, disk_gb=100)

    def instances(self) -> list[dict[str, Any]]:
        return self.google.instances()

    def ssh_from(self, cloud_id: str) -> list[str]:
        (sources,) = (instance["ssh_from"] for instance in self.instances() if instance["id"] == cloud_id)
        return list(sources)

    def foreign_machine(self, tags: dict[str, str]) -> str:
        self.foreign += 1
        return self.google.launch(f"theirs-{self.foreign}", labels=tags)

    # creating

    def test_one_insert_carries_everything(self, provider: Any, order: Order, wire: Wire) -> None:
        provider.create(replace(order, ssh_from="203.0.113.7/32", owner="Ana.B@x"))
        (sent,) = wire.calls("POST instances")
        shown = self.google.get(FIRST)
        entries = {item["key"]: item["value"] for item in shown["metadata"]["items"]}
        assert "requestId=" in sent.path
        assert shown["scheduling"]["maxRunDuration"] == {"seconds": str(2 * 3600 + 120)}
        assert shown["scheduling"]["instanceTerminationAction"] == "DELETE"
        assert (shown["scheduling"]["automaticRestart"], shown["deletionProtection"]) == (False, False)
        assert (shown["disks"][0]["autoDelete"], shown["disks"][0]["diskSizeGb"]) == (True, "100")
        assert "serviceAccounts" not in shown
        assert entries["ssh-keys"] == f"ubuntu:{KEY} gpuctl"
        assert (entries["block-project-ssh-keys"], entries["enable-oslogin"]) == ("TRUE", "FALSE")
        assert entries["gpuctl-expires-at"] == deadline_tag(NOON + LIFE)
        assert "gpuctl-guard.timer" in entries["startup-script"]
        assert shown["labels"]["gpuctl-owner"] == "ana-b-x"
        (disk,) = self.google.resources("disk")
        assert disk["tags"] == shown["labels"]

    def test_gpus_are_attached_to_an_n1(self, provider: Any, order: Order) -> None:
        kind = "n1-standard-4+1xnvidia-tesla-t4"
        created = provider.create(replace(order, instance_type=kind))
        assert (created.instance_type, self.instances()[0]["instance_type"]) == (kind, kind)

    def test_spot_is_deleted_when_it_is_taken_back_and_says_so(self, provider: Any, order: Order) -> None:
        created = provider.create(replace(order, market=Market.SPOT))
        assert created.market is Market.SPOT
        self.google.later(minutes=10)
        self.google.interrupt(created.cloud_id)
        observed = provider.get(REGION, created.cloud_id)
        assert (observed.state, observed.end_reason) == (CloudState.ENDED, Reason.INTERRUPTED)
        assert observed.ended_at == NOON + timedelta(minutes=10)

    def test_a_stockout_comes_through_the_operation_and_the_zones_that_it_names_are_next(
        self, provider: Any, order: Order
    ) -> None:
        self.google.set(sold_out={"us-central1-a": [self.instance_type]}, advised=["us-central1-f", "us-east1-b"])
        tried = iter(provider.zones(REGION, Catalog().find(self.instance_type)))
        assert next(tried) == "us-central1-a"
        with pytest.raises(CapacityError, match="ZONE_RESOURCE_POOL_EXHAUSTED"):
            provider.create(replace(order, zone="us-central1-a"))
        assert list(tried) == ["us-central1-f", "us-central1-b", "us-central1-c"]
        assert self.google.resources("instance") == []

    @pytest.mark.parametrize(
        ("code", "kind"),
        [
            ("ZONE_RESOURCE_POOL_EXHAUSTED", CapacityError),
            ("QUOTA_EXCEEDED", QuotaError),
            ("CONDITION_NOT_MET", CredentialsError),
            ("PERMISSIONS_ERROR", CredentialsError),
            ("RESOURCE_NOT_FOUND", CloudError),
            ("INTERNAL_ERROR", OutcomeUnknown),
        ],
    )
    def test_the_error_of_an_operation_is_classified_by_its_code(
        self, provider: Any, order: Order, code: str, kind: type[GpuctlError]
    ) -> None:
        self.google.break_next(code)
        with pytest.raises(GpuctlError) as caught:
            provider.create(order)
        assert type(caught.value) is kind

    @pytest.mark.parametrize(
        ("reason", "status", "message", "kind"),
        [
            ("forbidden", 403, "no", CredentialsError),
            ("quotaExceeded", 403, "no", QuotaError),
            ("rateLimitExceeded", 403, "no", ThrottledError),
            ("accessNotConfigured", 403, "no", CredentialsError),
            ("authError", 401, "no", CredentialsError),
            ("invalid", 400, "no", CloudError),
            ("backendError", 503, "no", OutcomeUnknown),
            ("resourceNotReady", 400, "no", OutcomeUnknown),
        ],
    )
    def test_a_refusal_of_the_insert_is_read_by_its_reason(
        self, provider: Any, order: Order, wire: Wire, reason: str, status: int, message: str, kind: type[GpuctlError]
    ) -> None:
        wire.arm("POST instances", refuse_google(reason, status, message))
        with pytest.raises(GpuctlError) as caught:
            provider.create(order)
        assert type(caught.value) is kind

    @pytest.mark.parametrize("fault", [LOST, NEVER_ARRIVED, FAILED_AFTER], ids=["lost", "never arrived", "503 after"])
    def test_a_lost_answer_is_unknown_and_a_repeat_makes_nothing_twice(
        self, provider: Any, order: Order, wire: Wire, fault: Fault
    ) -> None:
        wire.arm("POST instances", fault)
        with pytest.raises(OutcomeUnknown):
            provider.create(order)
        assert provider.create(order).ready
        assert len(self.instances()) == 1

    def test_an_error_of_an_odd_shape_leaves_the_outcome_unknown(self, provider: Any, order: Order, wire: Wire) -> None:
        odd = b'{"error": {"errors": ["busy"], "details": 5}}'
        wire.arm("POST instances", Fault(True, lambda _: (502, {"Content-Type": "application/json"}, odd)))
        with pytest.raises(OutcomeUnknown):
            provider.create(order)
        assert len(self.instances()) == 1

    def test_lost_queries_prove_nothing_about_the_instance(self, provider: Any, order: Order, wire: Wire) -> None:
        self.google.set(polls=3, allows_ssh=False)
        wire.arm("GET operations", *[LOST] * 3)
        assert provider.create(order).cloud_id == FIRST

    @pytest.mark.parametrize("call", ["GET instances", "GET operations"])
    def test_a_look_that_is_refused_after_the_insert_is_no_refusal_of_the_insert(
        self, provider: Any, order: Order, wire: Wire, call: str
    ) -> None:
        self.google.set(allows_ssh=False)
        wire.arm(call, refuse_google("forbidden"), refuse_google("forbidden"))
        wire.arm("GET instances", refuse_google("forbidden"))
        with pytest.raises(OutcomeUnknown, match="Google accepted it"):
            provider.create(order)
        assert len(self.instances()) == 1

    def test_an_operation_that_takes_its_time_is_an_instance_that_is_pending(
        self, provider: Any, order: Order, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(launch, "_REFUSED_WITHIN", timedelta(0))
        self.google.break_next("StuckOperation", method="instances.insert")
        created = provider.create(order)
        assert (created.state, created.ready) == (CloudState.PENDING, False)
        self.google.finish()
        assert provider.get(REGION, created.cloud_id).ready

    def test_a_late_refusal_is_read_from_the_operations_of_the_zone(
        self, provider: Any, order: Order, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(launch, "_REFUSED_WITHIN", timedelta(0))
        self.google.break_next("StuckOperation", method="instances.insert")
        self.google.break_next("ZONE_RESOURCE_POOL_EXHAUSTED")
        created = provider.create(order)
        self.google.finish()
        observed = provider.get(REGION, created.cloud_id)
        assert (observed.state, observed.refusal.code) == (CloudState.ENDED, "capacity")

    def test_an_instance_of_that_name_that_is_not_ours_is_refused_and_left_as_it_is(
        self, provider: Any, order: Order
    ) -> None:
        self.google.launch(TOKEN)
        with pytest.raises(CloudError, match="is not ours"):
            provider.create(order)
        assert len(self.google.resources("instance")) == 1

    def test_a_forgotten_request_id_is_caught_by_the_name(self, provider: Any, order: Order) -> None:
        provider.create(order)
        self.google.later(hours=2)
        self.google.set(request_ids_kept_s=60)
        assert provider.create(replace(order)).cloud_id == FIRST
        assert len(self.instances()) == 1

    def test_a_type_that_no_zone_sells_is_reported_before_anything_is_made(self, provider: Any) -> None:
        zones = {zone: [self.instance_type] for zone in ("us-central1-a", "us-central1-b", "us-central1-c")}
        self.google.set(unoffered=zones | {"us-central1-f": [self.instance_type]})
        with pytest.raises(CapacityError, match="is not offered") as caught:
            provider.find_image(REGION, Catalog().find(self.instance_type), None)
        assert caught.value.hint == "gpuctl types --provider gcp --region us-central1, or another `--region`"

    def test_attached_gpus_are_sold_where_both_parts_are(self, provider: Any) -> None:
        self.google.set(unoffered={"us-central1-a": ["nvidia-tesla-t4"], "us-central1-b": ["n1-standard-4"]})
        kind = Catalog().find("n1-standard-4+1xnvidia-tesla-t4")
        assert list(provider.zones(REGION, kind)) == ["us-central1-c", "us-central1-f"]

    def test_without_the_list_of_gpus_every_zone_with_the_instance_type_is_tried(
        self, provider: Any, wire: Wire
    ) -> None:
        wire.arm("GET acceleratorTypes", refuse_google("forbidden"))
        assert len(provider.zones(REGION, Catalog().find("n1-standard-4+1xnvidia-tesla-t4"))) == 4

    # seeing

    @pytest.mark.parametrize("how", ["warning", "unreachables", "error"])
    def test_a_list_of_which_a_zone_is_missing_has_failed(self, provider: Any, order: Order, how: str) -> None:
        provider.create(order)
        self.google.set(zones_out={"us-central1-a": how})
        for call in (lambda: provider.list_instances(REGION), lambda: provider.find(REGION, TOKEN)):
            with pytest.raises(UnreachableError):
                call()

    def test_every_page_is_read(self, provider: Any, order: Order, wire: Wire) -> None:
        for number in range(5):
            provider.create(replace(order, token=f"inst-00000000000{number}", record_id=f"inst-00000000000{number}"))
        self.google.set(page_size=2)
        assert len(provider.list_instances(REGION)) == 5
        wire.arm("GET instances", None, *[refuse_google("backendError", 503)] * 3)
        with pytest.raises(UnreachableError):
            provider.list_instances(REGION)

    def test_powered_off_from_inside_it_is_stopped_and_not_gone(self, provider: Any, order: Order) -> None:
        created = provider.create(order)
        self.google.shut_down(created.cloud_id)
        observed = self.one(provider, REGION)
        assert (observed.state, observed.exists, observed.bills_when_stopped) == (CloudState.STOPPED, True, False)

    def test_the_run_limit_is_an_end_because_of_the_deadline(self, provider: Any, order: Order) -> None:
        created = provider.create(order)
        self.google.later(hours=2, minutes=2)
        observed = provider.get(REGION, created.cloud_id)
        assert (observed.state, observed.end_reason) == (CloudState.ENDED, Reason.EXPIRED)
        assert observed.ended_at == NOON + timedelta(hours=2, minutes=2)

    def test_a_404_from_elsewhere_does_not_confirm_that_an_instance_is_terminated(
        self, provider: Any, order: Order, wire: Wire
    ) -> None:
        created = provider.create(order)
        gateway = Fault(False, lambda _: (404, {"Content-Type": "text/html"}, b"<html>not found"))
        wire.arm("GET instances", gateway, gateway)
        with pytest.raises(UnreachableError):
            provider.get(REGION, created.cloud_id)
        assert set(provider.terminate(REGION, [created.cloud_id])) == {created.cloud_id}

    # ending

    def test_a_protected_instance_is_reported_and_left(self, provider: Any, order: Order) -> None:
        created = provider.create(order)
        path = f"zones/us-central1-a/instances/{TOKEN}/setDeletionProtection"
        self.google.call("POST", path, deletionProtection="true")
        failed = provider.terminate(REGION, [created.cloud_id])
        assert "protected against deletion" in failed[created.cloud_id].message
        assert self.instances()[0]["state"] == "running"

    @pytest.mark.parametrize("again", ["refused", "accepted"])
    def test_a_second_end_while_the_first_is_under_way_is_fine(self, provider: Any, order: Order, again: str) -> None:
        created = provider.create(order)
        self.google.set(polls=None, delete_again=again)
        for _ in range(2):
            assert provider.terminate(REGION, [created.cloud_id]) == {}
        assert self.one(provider, REGION).state is CloudState.ENDING

    def test_an_instance_of_others_is_never_deleted(self, provider: Any, order: Order) -> None:
        theirs = self.foreign_machine({})
        relabelled = self.google.launch("inst-000000000009", labels={"gpuctl-id": "inst-000000000008"})
        failed = provider.terminate(REGION, [theirs, relabelled])
        assert set(failed) == {theirs, relabelled}
        assert len(self.google.resources("instance")) == 2

    # the deadline

    def test_the_deadline_moves_in_metadata_and_labels_and_never_past_the_limit(
        self, provider: Any, order: Order
    ) -> None:
        created = provider.create(order)
        longest = NOON + 2 * LIFE
        provider.set_deadline(REGION, created.cloud_id, longest)
        entries = {item["key"]: item["value"] for item in self.google.get(FIRST)["metadata"]["items"]}
        assert entries["gpuctl-expires-at"] == deadline_tag(longest)
        with pytest.raises(UsageError, match="at most 2026-11-24T14:00:00Z"):
            provider.set_deadline(REGION, created.cloud_id, longest + timedelta(minutes=1))

    def test_a_change_of_the_labels_by_others_meanwhile_is_kept(self, provider: Any, order: Order, wire: Wire) -> None:
        created = provider.create(order)
        wire.arm("POST instances/setLabels", refuse_google("conditionNotMet", 412))
        provider.set_deadline(REGION, created.cloud_id, NOON + 2 * LIFE)
        assert self.instances()[0]["tags"]["gpuctl-expires-at"] == deadline_tag(NOON + 2 * LIFE)

    @pytest.mark.parametrize("call", ["setMetadata", "setLabels"])
    def test_a_deadline_that_could_not_be_moved_is_an_error(
        self, provider: Any, order: Order, wire: Wire, call: str
    ) -> None:
        created = provider.create(order)
        wire.arm(f"POST instances/{call}", refuse_google("forbidden"))
        with pytest.raises(CredentialsError):
            provider.set_deadline(REGION, created.cloud_id, NOON + 2 * LIFE)

    def test_the_guard_and_the_limit_are_shown_with_their_times(self, provider: Any, order: Order) -> None:
        created = provider.create(order)
        (sweep, timer) = provider.safeguards(REGION, created.cloud_id, NOON)
        assert (sweep.acts_at, timer.acts_at) == (NOON + LIFE, NOON + LIFE + timedelta(minutes=2))
        assert (
            timer.status,
            "Google itself deletes the instance at 2026-11-24T14:02:00Z" in str(timer.afterwards),
        ) == (
            "configured",
            True,
        )
        self.google.later(minutes=2)
        (_, timer) = provider.safeguards(REGION, created.cloud_id, NOON + timedelta(minutes=2))
        assert timer.status == "verified"

    def test_without_systemd_the_limit_alone_is_reported(self, provider: Any, order: Order) -> None:
        image = provider.find_image(
            REGION, Catalog().find(self.instance_type), "projects/cos-cloud/global/images/family/cos-stable"
        )
        created = provider.create(replace(order, image=image))
        self.google.later(minutes=10)
        (_, timer) = provider.safeguards(REGION, created.cloud_id, NOON + timedelta(minutes=10), NOON)
        assert (timer.status, timer.acts_at) == ("configured", NOON + 2 * LIFE + timedelta(minutes=2))
        assert "no line of the guard" in timer.detail

    # the rules of the firewall

    def test_an_ingress_rule_for_everyone_is_never_changed(self, provider: Any, order: Order) -> None:
        created = provider.create(replace(order, ssh_from="203.0.113.7/32"))
        theirs = self.google.launch("theirs")
        assert self.ssh_from(created.cloud_id) == ["203.0.113.7/32"]
        assert self.ssh_from(theirs) == ["0.0.0.0/0"]

    def test_a_rule_that_comes_before_ours_is_reported(self, provider: Any) -> None:
        allowed = [{"IPProtocol": "tcp", "ports": ["20-30"]}]
        rule = {"name": "corp", "allowed": allowed, "sourceRanges": ["198.51.100.0/24", "10.0.0.0/8"], "priority": 10}
        self.google.call("POST", "global/firewalls", rule | {"network": "global/networks/default"})
        assert provider.other_ssh_sources(REGION, None, None) == ["198.51.100.0/24 (firewall rule `corp`)"]

    def test_a_rule_of_ours_that_others_changed_is_not_used(self, provider: Any, order: Order) -> None:
        provider.create(replace(order, ssh_from="203.0.113.7/32"))
        (name,) = [
            item["name"]
            for item in self.google.call("GET", "global/firewalls")["items"]
            if item.get("sourceRanges") == ["203.0.113.7/32"]
        ]
        rule = self.google.call("GET", f"global/firewalls/{name}")
        self.google.call("DELETE", f"global/firewalls/{name}")
        keys = ("name", "description", "network", "allowed", "targetTags", "priority")
        self.google.call("POST", "global/firewalls", {key: rule[key] for key in keys} | {"sourceRanges": ["0.0.0.0/0"]})
        other = replace(order, token="inst-000000000002", ssh_from="203.0.113.7/32")
        with pytest.raises(CloudError, match="others changed the firewall rule"):
            provider.create(other)
