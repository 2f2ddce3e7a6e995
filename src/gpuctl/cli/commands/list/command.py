"""`gpuctl list`: active instances with their time left and cost."""

from dataclasses import replace
from datetime import timedelta
from functools import partial
from typing import Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.commands.list.listing import Listing
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import DURATION, INSTANCE_TYPE, INTERVAL, NAME, STATUS, flag, option, tags_of
from gpuctl.cli.render.result import Result
from gpuctl.cli.warnings import warn_if_moved
from gpuctl.domain.instance import Status
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
    name: Annotated[str | None, option(NAME, "Only the instance with this name")] = None,
    status: Annotated[list[Status] | None, option(STATUS, "Only this status (repeatable)")] = None,
    provider: options.AnyProvider = None,
    instance_type: Annotated[str | None, option(INSTANCE_TYPE, "Only this instance type", "--type")] = None,
    region: options.Region = None,
    tag: options.Tags = None,
    older_than: Annotated[
        timedelta | None, option(DURATION, "Only instances created more than TIME ago, such as 60m")
    ] = None,
    with_ended: Annotated[bool, flag("Include terminated and archived instances", "--all", "-a")] = False,
    refresh: options.Refresh = False,
    watch: Annotated[bool, flag("Refresh the list until Ctrl-C, which exits with code 0", "--watch", "-w")] = False,
    interval: Annotated[timedelta | None, option(INTERVAL, "Time between refreshes with --watch [default: 2s]")] = None,
) -> Result | None:
    """List instances, newest first. Reads only the local state, unless --refresh is set.

    With --watch -o json, prints one document per change.
    """
    context: Context = ctx.find_root().obj
    if interval is not None and not watch:
        raise UsageError("--interval requires --watch", hint="gpuctl list --watch --interval 5s")
    statuses = frozenset(status or ())
    selection = Selection(
        user=user,
        task=task,
        name=name,
        statuses=statuses,
        provider=provider,
        instance_type=instance_type,
        region=region,
        tags=tags_of(tag),
        older_than=older_than,
    )
    shows_ended = with_ended or any(status.is_ended for status in statuses)
    listing = Listing(context, selection, shows_ended)
    if watch:
        from gpuctl.cli.commands.list import watch as live

        return live.watch(listing, interval or timedelta(seconds=2), refresh=refresh)
    listing = replace(listing, note=partial(warn_if_moved, context))
    return listing.result(listing.refreshed() if refresh else {}, is_refreshed=refresh)
