"""`gpuctl resume`: continues work with a deadline whose `gpuctl run` does not exist any more."""

from typing import Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.commands.provision.options import LaunchOptions
from gpuctl.cli.commands.run.plan import planned_task
from gpuctl.cli.commands.run.task import RunReport, save_work
from gpuctl.cli.commands.run.timed import TimedRun
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import ID, argument
from gpuctl.domain.instance import Instance
from gpuctl.domain.market.stored_request import request_of
from gpuctl.domain.unfinished import latest_of, obstacle_of, unfinished, work_of
from gpuctl.domain.work import TimedWork, WorkPlan
from gpuctl.errors import NotFoundError, UsageError
from gpuctl.remote.transfer import check_upload
from gpuctl.services.query import resolve
from gpuctl.store.moves import refuse_moved
from gpuctl.wiring.work import here

EXAMPLES = """\
gpuctl resume                         the only work that is unfinished
gpuctl resume train-7"""


def command(
    ctx: typer.Context,
    instance: Annotated[
        str | None, argument(ID, f"{options.INSTANCE_ID_HELP} of the work [default: the only work]", "[ID]")
    ] = None,
) -> int:
    """Continue the work of a `gpuctl run --finish-by` that was killed, or whose computer was switched off.

    Follows the command from its first output on if its instance exists; otherwise starts the next instance by the same
    rule and runs the command there. Exit codes are those of gpuctl run. A signal leaves the command running.
    `gpuctl reap` starts this command by itself.
    """
    context: Context = ctx.find_root().obj
    context.wiring.require_state()
    store = context.wiring.store
    refuse_moved(store.snapshot().moved_to, store.location)
    record, work, plan = _chosen(context, instance)
    obstacle = obstacle_of(record, here(context.wiring))
    if obstacle is not None:
        raise UsageError(f"cannot continue the work of {record.label}: {obstacle}", hint=f"gpuctl get {record.id}")
    task = planned_task(context, plan, work)
    for transfer in task.uploads:
        check_upload(transfer)
    request = request_of(plan.request)
    launch = LaunchOptions(yes=True, ttl=request.ttl if plan.has_fixed_ttl else None)
    report = RunReport(context, None)
    ran = TimedRun(context, launch, request, task, report, work, keep=plan.keep, survives=True).run()
    if plan.amount is not None and plan.unit is not None:
        save_work(context, ran, plan.amount, plan.unit)
    return report.finish(ran)


def _chosen(context: Context, text: str | None) -> tuple[Instance, TimedWork, WorkPlan]:
    """The newest record of the work that is meant, its work and its plan."""
    store, now = context.wiring.store, context.clock.now()
    records = store.snapshot().records
    candidates = unfinished(records, now)
    if text is not None:
        named = work_of(resolve(store, text, whole_only=not context.is_terminal))
        newest = latest_of(records, named.id) if named is not None and named.id is not None else None
        candidates = [record for record in candidates if newest is not None and record.id == newest.id]
    if len(candidates) > 1:
        several = ", ".join(f"`{record.label}`" for record in candidates[:5])
        raise UsageError(f"{len(candidates)} pieces of work are unfinished", hint=f"name an instance of it: {several}")
    record = candidates[0] if candidates else None
    work = work_of(record) if record is not None else None
    if record is None or work is None or work.plan is None:
        raise NotFoundError("no work to continue", hint="gpuctl list --all")
    return record, work, work.plan
