"""What past runs of a purpose did, from the records: dollars per unit of work are learned from them."""

from collections.abc import Iterable
from datetime import timedelta
from decimal import Decimal

from gpuctl.catalog import Catalog
from gpuctl.catalog.throughput import kind_of, relative_throughput
from gpuctl.domain.instance import Instance
from gpuctl.domain.lifecycle import with_facts
from gpuctl.domain.market.offers import InstanceType
from gpuctl.domain.market.work_cost import WorkHistory, WorkRun, work_history
from gpuctl.domain.work import WorkDone
from gpuctl.errors import UsageError
from gpuctl.services.query import all_records
from gpuctl.services.runtime import Runtime
from gpuctl.store.base import RecordStore


def history_of_purpose(store: RecordStore, catalog: Catalog, purpose: str) -> WorkHistory:
    """The work that runs and leases of that purpose have recorded, archived ones included."""
    kind = kind_of(purpose)

    def type_of(name: str) -> InstanceType | None:
        try:
            return catalog.find(name)
        except UsageError:
            return None

    runs = past_runs(all_records(store, with_archived=True), purpose)
    return work_history(runs, type_of, lambda gpu: relative_throughput(gpu, kind))


def past_runs(records: Iterable[Instance], purpose: str) -> list[WorkRun]:
    """The runs and leases of that purpose whose amount of work and duration are known."""
    runs = []
    for record in records:
        if record.purpose == purpose:
            runs += [
                WorkRun(record.instance_type, done.amount, done.unit, _hours(done.took))
                for done in record.work
                if done.took is not None
            ]
        for lease in record.pool.leases if record.pool else ():
            if lease.purpose == purpose and lease.work and lease.unit and lease.released_at:
                duration = lease.released_at - lease.since
                runs.append(WorkRun(record.instance_type, lease.work, lease.unit, _hours(duration)))
    return runs


def record_work(runtime: Runtime, record: Instance, amount: Decimal, unit: str, duration: timedelta | None) -> Instance:
    """Save that the instance has done that much; the record with it. A second call adds to it."""
    now = runtime.clock.now()
    done = WorkDone(amount=amount, unit=unit, at=now, took=duration)
    return runtime.store.update(record.id, lambda fresh: with_facts(fresh, now, work=(*fresh.work, done)))


def _hours(span: timedelta) -> Decimal:
    return Decimal(str(span.total_seconds())) / 3600
