"""What a cloud would report about a record's instance."""

from datetime import datetime
from typing import Any

from support.instances import ACCOUNT, NOON

from gpuctl.domain.instance import CloudState, Instance, Observed, ProviderName, Scope
from gpuctl.domain.reconcile.actions import View
from gpuctl.domain.tags import deadline_tag

STATE = "state-of-a-test"
SCOPE = Scope(provider=ProviderName.AWS, account=ACCOUNT, region="us-east-1")


def ours(record: Instance, state_id: str = STATE) -> dict[str, str]:
    """The tags that make an instance that record's."""
    return {
        "gpuctl-id": record.id,
        "gpuctl-state": state_id,
        "gpuctl-owner": record.user,
        "gpuctl-expires-at": deadline_tag(record.expires_at),
    }


def seen_of(record: Instance, **facts: Any) -> Observed:
    """The record's instance, running and ready, with our tags; `facts` say otherwise."""
    plain: dict[str, Any] = {
        "provider": record.provider,
        "account": record.account,
        "region": record.region,
        "zone": f"{record.region}a",
        "cloud_id": record.cloud_id or "i-1",
        "state": CloudState.RUNNING,
        "ready": True,
        "instance_type": record.instance_type,
        "launched_at": record.launched_at or record.created_at,
        "public_ip": "192.0.2.1",
        "private_ip": "10.0.0.1",
        "tags": ours(record),
    }
    return Observed(**(plain | facts))


def view_of(*observed: Observed, now: datetime | None, **facts: Any) -> View:
    """A complete listing of the region, just now."""
    return View(**({"now": now, "listed": {SCOPE: now or NOON}, "observed": observed} | facts))
