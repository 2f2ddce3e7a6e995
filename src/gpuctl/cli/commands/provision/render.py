"""The result of `gpuctl provision`: the instances it started."""

from collections.abc import Mapping, Sequence

from gpuctl.cli.context import Context
from gpuctl.cli.render.figures import ends_in, local, type_label
from gpuctl.cli.render.instances import COLUMNS, row, table
from gpuctl.cli.render.result import Result, overall_error
from gpuctl.documents.instances import instance_shape
from gpuctl.domain.instance import Instance
from gpuctl.errors import Failure, PartialError
from gpuctl.services.launch.provision import ProvisionResult


def provisioned(
    context: Context,
    outcome: ProvisionResult,
    requested: int,
    fields: Mapping[str, object],
    footer: str,
    failure: Failure | None = None,
) -> Result:
    """The instances, the lines below them, and the error."""
    now = context.clock.now()
    records = outcome.records
    shapes = [instance_shape(record, now) for record in records]
    document: dict[str, object] = {**fields, "instances": shapes, "count": len(shapes)}
    if requested == 1 and shapes:
        document["instance"] = shapes[0]
    is_new = bool(fields.get("created"))
    ready = len(records) - len(outcome.errors)
    partial = PartialError(
        f"{ready} of {len(records)} instances are ready; they keep running", hint="gpuctl list, then gpuctl terminate"
    )
    return Result(
        document=document,
        columns=COLUMNS,
        rows=[row(record, now) for record in records],
        # Those of new instances were printed when their records were written.
        ids=[] if is_new else [record.id for record in records],
        draw=lambda width: table(records, now, width),
        footer=footer.splitlines(),
        error=failure or overall_error(outcome.errors, len(records), partial),
        errors=outcome.errors,
        requested=requested,
    )


def ready_lines(records: Sequence[Instance], context: Context) -> str:
    """A line for each active instance: its placement and its deadline."""
    now_of = context.wiring.runtime.sessions.now_of
    return "\n".join(
        f"{record.label} ({type_label(record)}) is {record.status}"
        f"{f' at {record.public_ip}' if record.public_ip else ''}; "
        f"expires in {ends_in(record, now_of(record))} ({local(record.expires_at)})"
        for record in records
        if record.is_active
    )
