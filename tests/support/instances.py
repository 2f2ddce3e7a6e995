"""A record with sensible facts, for tests that care about a few of them."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from gpuctl.domain.instance import Attempt, BillingTerms, Instance, Market, Outcome, Price, ProviderName, Status

NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)
ACCOUNT = "123456789012"
# As the catalog has them.
TERMS = {ProviderName.AWS: BillingTerms(minimum=timedelta(seconds=60), releases_address=True)}
PRICE = Price(usd_per_hour=Decimal("0.526"), source="a test", as_of=date(2026, 8, 20))


def an_instance(record_id: str = "inst-000000000001", **facts: Any) -> Instance:
    """A g4dn.xlarge in us-east-1, asked for at noon to live an hour; PROVISIONING unless `facts` say otherwise."""
    created_at = facts.get("created_at", NOON)
    ttl = facts.get("ttl", timedelta(minutes=60))
    plain: dict[str, Any] = {
        "id": record_id,
        "user": "ana",
        "purpose": "AI Analysis",
        "provider": ProviderName.AWS,
        "account": ACCOUNT,
        "region": "us-east-1",
        "instance_type": "g4dn.xlarge",
        "market": Market.ON_DEMAND,
        "image": "ami-00000000000000001",
        "disk_gb": 100,
        "ttl": ttl,
        "max_ttl": timedelta(minutes=120),
        "expires_at": created_at + ttl,
        "price": PRICE,
        "created_at": created_at,
        "updated_at": created_at,
    }
    fields = plain | facts
    fields.setdefault("billing", TERMS.get(fields["provider"], BillingTerms()))
    fields.setdefault("attempts", (an_attempt(fields),))
    return Instance(**fields)


def a_ready_instance(record_id: str = "inst-000000000001", **facts: Any) -> Instance:
    """One whose instance came up at once: READY, launched when it was asked for."""
    created_at = facts.get("created_at", NOON)
    up: dict[str, Any] = {
        "status": Status.READY,
        "cloud_id": f"i-{record_id.removeprefix('inst-'):0>17}",
        "id_is_from_create": True,
        "launched_at": created_at,
        "ready_at": created_at,
    }
    return an_instance(record_id, **(up | facts))


def an_attempt(facts: dict[str, Any]) -> Attempt:
    cloud_id = facts.get("cloud_id")
    return Attempt(
        number=1,
        token=facts["id"],
        at=facts["created_at"],
        provider=facts["provider"],
        region=facts["region"],
        instance_type=facts["instance_type"],
        market=facts["market"],
        outcome=Outcome.CREATED if cloud_id else Outcome.PENDING,
        cloud_id=cloud_id,
    )
