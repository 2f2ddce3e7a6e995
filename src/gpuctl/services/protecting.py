"""Reads back what will end a machine if nobody comes back, and writes that down."""

from collections.abc import Mapping, Sequence

from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.lifecycle import with_facts
from gpuctl.domain.protection import Protector, Standing
from gpuctl.errors import GpuctlError
from gpuctl.services.parts import Parts


def read_back(parts: Parts, records: Sequence[Instance]) -> Mapping[str, GpuctlError]:
    """Ask the clouds what protects these machines, and keep the answers in their records.

    For each that could not be asked, why; its record keeps what was read before. Those without a machine, and
    those on their way out, are left out.
    """
    answers: dict[str, Sequence[Protector]] = {}
    failures: dict[str, GpuctlError] = {}
    for one in records:
        if not one.is_live or one.status is Status.STOPPING or one.cloud_id is None:
            continue
        try:
            session = parts.sessions.of(one)
            answers[one.id] = session.provider.protection(one.region, one.cloud_id, session.now, one.ready_at)
        except GpuctlError as error:
            failures[one.id] = error

    def told(fresh: Instance) -> Instance:
        return with_facts(fresh, parts.clock.now(), protection=tuple(answers[fresh.id]))

    parts.store.update_each(list(answers), told)
    return failures


def gaps(record: Instance) -> list[str]:
    """What should end this machine and, as it was read back, will not; a line each."""
    return [
        f"{record.label} has no {one.killer}: {one.detail}"
        for one in record.protection
        if one.standing is Standing.MISSING
    ]
