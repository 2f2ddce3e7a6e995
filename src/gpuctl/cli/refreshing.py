"""What `--refresh` adds to a reading command: the clouds are asked first, and what could not be asked is stale."""

from collections.abc import Mapping, Sequence

from gpuctl.cli.context import Context
from gpuctl.cli.render.figures import counted
from gpuctl.domain.instance import Instance
from gpuctl.errors import GpuctlError, UnresolvedError


def refreshed(context: Context, records: Sequence[Instance]) -> Mapping[str, GpuctlError]:
    """Ask the clouds about these instances. For each that could not be asked, that what is shown of it is stale."""
    from gpuctl.services.reconcile.refresh import refresh

    context.progress.step(f"querying providers about {counted(len(records), 'instance')}")
    unasked = refresh(context.wiring.runtime, [record.id for record in records if record.is_live])
    labels = {record.id: record.label for record in records}
    return {
        key: UnresolvedError(f"{labels[key]} is stale: {error.message}", hint=error.hint)
        for key, error in unasked.items()
    }
