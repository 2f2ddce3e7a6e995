"""`gpuctl list`: what lives, until when, and what it costs."""

from datetime import datetime
from typing import Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.context import Context
from gpuctl.cli.refreshing import refreshed
from gpuctl.cli.render.figures import ago, burn
from gpuctl.cli.render.machines import COLUMNS, row, table
from gpuctl.cli.render.result import Result
from gpuctl.cli.render.shapes import instance_shape
from gpuctl.domain.duration import parse_duration
from gpuctl.domain.instance import Instance, Status
from gpuctl.services.inventory import Selection, everything

EXAMPLES = """\
gpuctl list --user ana --older-than 60m
gpuctl list --status READY -o json
gpuctl list --all -o csv > machines.csv
gpuctl list -q --task nightly | gpuctl terminate -"""


def command(
    ctx: typer.Context,
    user: options.User = None,
    task: options.Task = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Only the machine of that name")] = None,
    status: Annotated[
        list[str] | None, typer.Option(metavar="STATUS", help="Only machines in that status; repeatable")
    ] = None,
    provider: Annotated[str | None, typer.Option(metavar="CLOUD", help="Only machines in that cloud")] = None,
    instance_type: Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only that type")] = None,
    region: Annotated[str | None, typer.Option(metavar="REGION", help="Only machines in that region")] = None,
    tag: options.Tags = None,
    older_than: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only machines asked for longer ago than that, such as 60m")
    ] = None,
    with_ended: Annotated[bool, typer.Option("--all", "-a", help="Ended and archived machines too")] = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="Ask the clouds first")] = False,
) -> Result:
    """List machines, newest first. Opens no socket without --refresh."""
    context: Context = ctx.find_root().obj
    wanted = options.statuses(status)
    selection = Selection(
        user=user,
        task=task,
        name=name,
        statuses=wanted,
        provider=options.provider(provider),
        instance_type=instance_type,
        region=region,
        tags=options.tags(tag),
        older_than=parse_duration(older_than, option="--older-than") if older_than else None,
    )
    # Asking for an ended status is asking for ended machines.
    with_ended = with_ended or any(one.is_ended for one in wanted)
    now = context.clock.now()
    chosen = _chosen(context, selection, now, with_ended=with_ended)
    stale = refreshed(context, chosen) if refresh else {}
    if refresh:
        now = context.clock.now()
        chosen = _chosen(context, selection, now, with_ended=with_ended)
    return Result(
        document={"instances": [instance_shape(one, now) for one in chosen], "count": len(chosen)},
        columns=COLUMNS,
        rows=[row(one, now) for one in chosen],
        ids=[one.id for one in chosen],
        draw=lambda width: table(chosen, now, width),
        footer=_footer(context, chosen, now) if context.output == "table" else (),
        error=next(iter(stale.values()), None),
        errors=stale,
        asked=len(chosen),
    )


def _chosen(context: Context, selection: Selection, now: datetime, *, with_ended: bool) -> list[Instance]:
    records = everything(context.store, with_archived=with_ended)
    return [one for one in records if (with_ended or one.is_live) and selection.matches(one, now)]


def _footer(context: Context, chosen: list[Instance], now: datetime) -> list[str]:
    if not chosen:
        return ["no machines", "hint: gpuctl provision g4dn.xlarge --region us-east-1"]
    times = context.reap_log.read()
    asked = max((sweep.at for sweep in times.sweeps), default=None)
    lines = [burn(chosen, now), f"clouds last asked {ago(asked, now)} · last reap {ago(times.last_reap_at, now)}"]
    lines += [f"{one.label}: {one.last_error}" for one in chosen if one.last_error and one.status is Status.STOPPING]
    return lines
