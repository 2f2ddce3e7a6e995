"""`gpuctl list`: what lives, until when, and what it costs."""

from datetime import timedelta
from typing import Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.commands.list.listing import Listing
from gpuctl.cli.context import Context
from gpuctl.cli.render.result import Result
from gpuctl.domain.duration import parse_duration
from gpuctl.errors import UsageError
from gpuctl.services.query import Selection

EXAMPLES = """\
gpuctl list --user ana --older-than 60m
gpuctl list --status READY -o json
gpuctl list --watch --refresh
gpuctl list --all -o csv > instances.csv
gpuctl list -q --task nightly | gpuctl terminate -"""


def command(
    ctx: typer.Context,
    user: options.User = None,
    task: options.Task = None,
    name: Annotated[str | None, typer.Option(metavar="NAME", help="Only the instance with this name")] = None,
    status: Annotated[list[str] | None, typer.Option(metavar="STATUS", help="Only this status (repeatable)")] = None,
    provider: options.Provider = None,
    instance_type: Annotated[str | None, typer.Option("--type", metavar="TYPE", help="Only this instance type")] = None,
    region: Annotated[str | None, typer.Option(metavar="REGION", help="Only this region")] = None,
    tag: options.Tags = None,
    older_than: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only instances created more than TIME ago, such as 60m")
    ] = None,
    with_ended: Annotated[bool, typer.Option("--all", "-a", help="Include terminated and archived instances")] = False,
    refresh: Annotated[bool, typer.Option("--refresh", help="Query the providers first")] = False,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Refresh the list until Ctrl-C (exit code 0)")] = False,
    interval: Annotated[
        str | None, typer.Option(metavar="TIME", help="Time between refreshes with --watch [default: 2s]")
    ] = None,
) -> Result | None:
    """List instances, newest first. Reads only the local state, unless --refresh is set.

    With --watch -o json, prints one document per change.
    """
    context: Context = ctx.find_root().obj
    pause = _pause(interval, watch=watch)
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
    listing = Listing(context, selection, with_ended or any(status.is_ended for status in wanted))
    if watch:
        from gpuctl.cli.commands.list import watch as live

        return live.watch(listing, pause, refresh=refresh)
    return listing.result(listing.refreshed() if refresh else {})


def _pause(text: str | None, *, watch: bool) -> timedelta:
    if text is not None and not watch:
        raise UsageError("--interval requires --watch", hint="gpuctl list --watch --interval 5s")
    pause = parse_duration(text, option="--interval") if text is not None else timedelta(seconds=2)
    if pause < timedelta(seconds=1):
        raise UsageError("--interval must be at least 1s")
    return pause
