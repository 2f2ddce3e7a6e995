"""`gpuctl provision`: start GPU machines, and wait until they can be used."""

import typer

from gpuctl.cli.asking import Asked, asking
from gpuctl.cli.context import Context
from gpuctl.cli.render.provisioned import dry, provisioned
from gpuctl.cli.render.result import Result
from gpuctl.cli.starting import announce, carried_out, confirm
from gpuctl.services.preparing import checked, prepare, standing
from gpuctl.services.provision import Provisioned

EXAMPLES = """\
gpuctl provision g4dn.xlarge --region us-east-1 --ttl 30
gpuctl provision g5.xlarge --name train-7 --tag project=x --disk-size 200
gpuctl provision g4dn.xlarge --region us-east-1 --dry-run -o json
id=$(gpuctl provision g4dn.xlarge --region us-east-1 -q)"""


@asking()
def command(ctx: typer.Context, asked: Asked) -> Result:
    """Start a GPU machine, wait until it is ready, and have it end at its deadline.

    The record of it is on disk before the cloud is asked. It ends 60 minutes later unless --ttl says otherwise, even
    if this machine never comes back.
    """
    context: Context = ctx.find_root().obj
    patience = asked.patience
    request, source = asked.request(context)
    context.start_sandbox()
    request, offer, source = checked(request, source, context.parts, context.catalog)
    there = standing(request, context.store.snapshot().records)
    if there:
        return provisioned(
            context, Provisioned(there), request.count, {"created": False}, f"{there[0].label} lives already"
        )
    prepared = prepare(request, offer, source, context.parts)
    announce(context, prepared)
    if asked.dry_run:
        return dry(offer)
    confirm(context, prepared, yes=asked.yes)
    return carried_out(context, prepared, patience, wait=asked.wait, keep=asked.keep)
