"""Writes to the provider what an instance lacks there: its shutdown timer, or a granted deadline in its tags."""

from collections.abc import Iterable
from datetime import datetime
from typing import TYPE_CHECKING

from gpuctl.domain.instance import CloudState, Instance, Observed, Status
from gpuctl.domain.pools.leasing import needed_deadline
from gpuctl.domain.reconcile.deadlines import lacks_granted_deadline
from gpuctl.domain.safeguards import Safeguard
from gpuctl.services.safeguards import safeguards_of

if TYPE_CHECKING:
    from gpuctl.providers.base import Provider


def lacks_timer(record: Instance, observed: Observed | None) -> bool:
    """Whether it is running without a timer outside your computer."""
    if not record.is_active or record.status is Status.STOPPING or observed is None:
        return False
    # While an instance is being created nothing is changed on it: what was accepted could be preempted by that.
    is_made = observed.state is CloudState.RUNNING and observed.ready is not False
    return is_made and not _has_timer(record.safeguards)


def _has_timer(safeguards: Iterable[Safeguard]) -> bool:
    return any(safeguard.is_timer and not safeguard.is_missing for safeguard in safeguards)


def with_timer(provider: "Provider", record: Instance, now: datetime) -> tuple[Safeguard, ...]:
    """The safeguards read back, after setting a missing timer. Raises a provider's errors."""
    safeguards = safeguards_of(provider, record, now)
    if _has_timer(safeguards):
        return safeguards
    provider.set_deadline(record.region, record.cloud_id or "", record.expires_at)
    return safeguards_of(provider, record, now)


def write_granted_deadline(provider: "Provider", record: Instance) -> None:
    """Write the deadline to the tags where they show an earlier one than was granted. Raises a provider's errors."""
    # A listing may be older than an extension that has reached the provider since.
    observed = provider.get(record.region, record.cloud_id or "")
    if observed is not None and lacks_granted_deadline(record, observed):
        provider.set_deadline(record.region, observed.cloud_id, needed_deadline(record))
