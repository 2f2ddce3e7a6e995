"""What `--refresh` does: query the providers first, and report each instance that could not be queried as stale."""

from collections.abc import Mapping, Sequence

from gpuctl.cli.context import Context
from gpuctl.cli.render.figures import counted
from gpuctl.domain.instance import Instance
from gpuctl.errors import GpuctlError, UnresolvedError


def refreshed(context: Context, records: Sequence[Instance]) -> Mapping[str, GpuctlError]:
    """Update the records of these instances; the error of each whose provider could not be queried, by ID."""
    from gpuctl.services.reconcile.reconcile import refresh

    context.progress.step(f"querying providers about {counted(len(records), 'instance')}")
    unasked = refresh(context.wiring.runtime, [record.id for record in records if record.is_active])
    labels = {record.id: record.label for record in records}
    return {
        key: UnresolvedError(f"{labels[key]} is stale: {error.message}", hint=error.hint)
        for key, error in unasked.items()
    }
