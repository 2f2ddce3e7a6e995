"""`gpuctl provision`: start GPU instances, and wait until they can be used."""

import typer

from gpuctl.cli.commands.provision.dry_run import dry_run_result
from gpuctl.cli.commands.provision.options import LaunchOptions, launch_options
from gpuctl.cli.commands.provision.render import provisioned
from gpuctl.cli.commands.provision.start import announce, confirm, start_result
from gpuctl.cli.commands.provision.timed import candidates, choice_of, timed_request
from gpuctl.cli.context import Context
from gpuctl.cli.render.result import Result
from gpuctl.services.launch.prepare import active_records, prepare
from gpuctl.services.launch.provision import ProvisionResult, wait_for_active

EXAMPLES = """\
gpuctl provision g4dn.xlarge --region us-east-1 --ttl 30
gpuctl provision --gpu A100 --region any --max-price 5 --dry-run
gpuctl provision g5.xlarge --region any --spot --fallback on-demand
gpuctl provision g5.xlarge --region any --market auto --work 2h --finish-by 6h
gpuctl provision --gpu any --region any --by work --purpose ocr --dry-run
gpuctl provision g5.xlarge --name train-7 --tag project=x --disk-size 200
id=$(gpuctl provision g4dn.xlarge --region us-east-1 -q)"""


@launch_options()
def command(ctx: typer.Context, launch: LaunchOptions) -> Result:
    """Start a GPU instance and wait until it is ready.

    Give an instance type, or describe the GPU: gpuctl picks the cheapest matching offer. If there is no capacity, it
    tries other zones, the other regions given, then the next offer. The instance is terminated after 60 minutes unless
    you set --ttl, even if your computer is off.

    On a terminal, asks for confirmation if the cost until the deadline is above confirm_above_usd ($10) or unknown, and
    for several instances. Never asks without a terminal, in CI, or with --yes or --no-input.
    """
    context: Context = ctx.find_root().obj
    request = launch.request(context)
    context.wiring.start_sandbox()
    timed = timed_request(context, launch, request) if launch.is_timed else None
    existing = active_records(candidates(context, timed or request), context.wiring.store.snapshot().records)
    if existing:
        active = ProvisionResult(existing)
        if launch.wait and not launch.dry_run:
            types = (context.wiring.catalog.find(record.instance_type, record.provider) for record in existing)
            timeout = launch.timeout or max(kind.ready_within for kind in types)
            active = wait_for_active(existing, context.wiring.runtime, timeout)
        line = f"using the active instance {existing[0].label}"
        return provisioned(context, active, request.count, {"created": False}, line)
    choice = choice_of(context, launch, timed or request)
    prepared = prepare(choice, context.wiring.runtime, launch.retry_policy)
    announce(context, prepared)
    if launch.dry_run:
        if prepared.unchecked is not None:
            context.progress.info(prepared.unchecked)
        return dry_run_result(prepared)
    confirm(context, prepared, yes=launch.yes)
    timeout = launch.timeout or prepared.offer.type.ready_within
    return start_result(context, prepared, timeout, wait=launch.wait, keep=launch.keep, yes=launch.yes)
