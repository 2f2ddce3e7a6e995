"""Saves the records of one call in one transaction, before any create request is sent."""

from collections.abc import Sequence
from datetime import datetime

from gpuctl.domain.events import EventName
from gpuctl.domain.instance import Attempt, Instance
from gpuctl.domain.lifecycle import note, provisioning
from gpuctl.domain.market.ssh_source import NONE, with_sources
from gpuctl.errors import NotReadyError
from gpuctl.services.budgets import allowance_of
from gpuctl.services.launch.access import SshAccess, other_sources, ssh_entry
from gpuctl.services.launch.prepare import Prepared, active_records
from gpuctl.services.progress import Progress
from gpuctl.services.record_id import new_record_id
from gpuctl.services.runtime import Runtime


def write_records(prepared: Prepared, runtime: Runtime) -> tuple[Sequence[Instance], str]:
    """The new records, durable on return, each with its first attempt; and the id of the state that has them now.

    Raises if they cannot be written, if a budget has no room for them, if another gpuctl took one of the names
    meanwhile, or if `prepared.admit` refuses them; then nothing was created.
    """
    if runtime.store.state_id is None:
        # Before the key, whose folder may be beside the state: the error must name the state.
        runtime.store.check_writable()
    now = prepared.session.now
    ssh_access = ssh_entry(runtime.access, runtime.progress, prepared.session.provider, prepared.request.ssh_from)
    sources = _ssh_sources(prepared, ssh_access, runtime.progress)
    records = [_record(prepared, ssh_access, number + 1, now, sources) for number in range(prepared.request.count)]
    is_affordable = allowance_of(prepared.request, runtime.store, runtime.budgets, now).adding(records)

    def guard(present: Sequence[Instance]) -> None:
        _refuse_used_name(prepared, present)
        prepared.admit([*present, *records])
        is_affordable(present)

    return records, runtime.store.add(records, guard).state_id or ""


def affordable(prepared: Prepared, runtime: Runtime) -> list[str]:
    """What the budgets have to say of the instances, before anything is written. BudgetError where one has no room."""
    now = prepared.session.now
    drafts = [_record(prepared, SshAccess(), number + 1, now) for number in range(prepared.request.count)]
    return allowance_of(prepared.request, runtime.store, runtime.budgets, now).check(drafts)


def _ssh_sources(prepared: Prepared, ssh_access: SshAccess, progress: Progress) -> Sequence[str]:
    """The ranges from which the network allows SSH; printed here if the caller's own address is unknown."""
    request = prepared.request
    sources = other_sources(prepared.session.provider, prepared.offer.region, request.subnet, ssh_access.cidr)
    if sources and ssh_access.cidr is None and request.ssh_from.text != NONE:
        progress.warn(f"the network also allows SSH from {'; '.join(sources)}")
    return sources


def _record(
    prepared: Prepared, ssh_access: SshAccess, number: int, now: datetime, sources: Sequence[str] = ()
) -> Instance:
    request, offer = prepared.request.named(number), prepared.offer
    record_id = new_record_id()
    attempt = Attempt(
        number=1,
        token=record_id,
        at=now,
        provider=offer.type.provider,
        region=offer.region,
        zone=prepared.first.placement.zone,
        instance_type=offer.type.name,
        market=offer.market,
    )
    record = provisioning(
        Instance(
            id=record_id,
            name=request.name,
            user=request.user,
            task=request.task,
            purpose=request.purpose,
            provider=offer.type.provider,
            account=prepared.session.account,
            profile=prepared.session.profile,
            region=offer.region,
            zone=prepared.first.placement.zone,
            instance_type=offer.type.name,
            market=offer.market,
            image=prepared.first.image.id,
            subnet=request.subnet,
            ssh_key=ssh_access.key,
            ssh_user=prepared.first.image.user or prepared.session.provider.capabilities.user,
            ssh_from=ssh_access.cidr,
            check=request.check,
            disk_gb=request.disk_gb,
            ttl=request.ttl,
            max_ttl=prepared.max_ttl,
            expires_at=(now + request.ttl).replace(microsecond=0),
            idle=request.idle,
            pool=request.pool,
            tags=dict(request.tags),
            metadata=with_sources({}, sources),
            price=offer.price,
            disk_price=prepared.first.extras.disk,
            address_price=prepared.first.extras.public_ip,
            billing=prepared.first.extras.billing,
            attempts=(attempt,),
            timed_work=request.timed_work,
            created_at=now,
            updated_at=now,
        )
    )
    return note(record, EventName.DECIDED, now, detail=request.decision) if request.decision else record


def _refuse_used_name(prepared: Prepared, present: Sequence[Instance]) -> None:
    active = active_records(prepared.choice, present)
    if active:
        raise NotReadyError(f"`{active[0].name}` was just started by another gpuctl", hint="run the command again")
