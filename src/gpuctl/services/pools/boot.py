"""How long an instance of a pool takes until it is ready."""

from collections.abc import Sequence
from statistics import median

from gpuctl.domain.instance import Instance

DEFAULT_BOOT_S = 150.0
TICK_S = 60.0
_MOST_SAMPLES = 50


def boot_seconds(records: Sequence[Instance], pool: str) -> float:
    """How long an instance of that pool takes from its launch until it is ready: the median of the last ones."""
    pool_records = [record for record in records if record.pool is not None and record.pool.pool == pool]
    spans = [
        (record.ready_at - record.created_at).total_seconds()
        for record in sorted(pool_records, key=lambda record: record.created_at)[-_MOST_SAMPLES:]
        if record.ready_at is not None and record.ready_at > record.created_at
    ]
    return median(spans) if spans else DEFAULT_BOOT_S
