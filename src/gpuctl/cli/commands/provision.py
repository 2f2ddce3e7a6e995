"""`gpuctl provision`: start GPU machines, and wait until they can be used."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta
from typing import Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.context import Context
from gpuctl.cli.render.figures import ends_in, local, money, per_hour, rate
from gpuctl.cli.render.provisioned import dry, news, provisioned
from gpuctl.cli.render.result import Result
from gpuctl.domain.duration import parse_duration, parse_minutes, spelled
from gpuctl.domain.instance import Instance, Reason
from gpuctl.domain.request import DEFAULT_PURPOSE, Request
from gpuctl.errors import GpuctlError, Interrupted, StateLockedError, StateUnusableError, UsageError
from gpuctl.services.ending import end
from gpuctl.services.preparing import Prepared, checked, prepare, standing
from gpuctl.services.protecting import gaps, read_back
from gpuctl.services.provision import Provisioned, start

EXAMPLES = """\
gpuctl provision g4dn.xlarge --region us-east-1 --ttl 30
gpuctl provision g5.xlarge --name train-7 --tag project=x --disk-size 200
gpuctl provision g4dn.xlarge --region us-east-1 --dry-run -o json
id=$(gpuctl provision g4dn.xlarge --region us-east-1 -q)"""

_WHAT, _WHO, _HOW = "The machine", "Whose it is", "How to go about it"


def command(
    ctx: typer.Context,
    instance_type: Annotated[
        str | None,
        typer.Argument(metavar="[TYPE]", help="The cloud's name for it, such as g4dn.xlarge", show_default=False),
    ] = None,
    region: Annotated[str | None, typer.Option(metavar="REGION", help="Where", rich_help_panel=_WHAT)] = None,
    provider: Annotated[
        str | None, typer.Option(metavar="CLOUD", help="Which cloud; the type tells", rich_help_panel=_WHAT)
    ] = None,
    ttl: Annotated[
        str,
        typer.Option(
            "--ttl", "--auto-terminate", metavar="TIME", help="Its life: minutes, or 1h30m", rich_help_panel=_WHAT
        ),
    ] = "60",
    disk_size: Annotated[
        str, typer.Option(metavar="GB", help="Its disk: 30 to 16384 GB", rich_help_panel=_WHAT)
    ] = "100",
    image: Annotated[
        str | None,
        typer.Option(metavar="IMAGE", help="Its image; else the newest GPU image of the cloud", rich_help_panel=_WHAT),
    ] = None,
    subnet: Annotated[
        str | None, typer.Option(metavar="SUBNET", help="Its subnet; else the default one", rich_help_panel=_WHAT)
    ] = None,
    count: Annotated[str, typer.Option(metavar="N", help="How many, 1 to 50", rich_help_panel=_WHAT)] = "1",
    allow_retired: Annotated[
        bool, typer.Option("--allow-retired", help="Try a type that was retired", rich_help_panel=_WHAT)
    ] = False,
    name: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="A name; while it lives, asking again returns it", rich_help_panel=_WHO),
    ] = None,
    user: Annotated[str | None, typer.Option(metavar="USER", help="Who it is for", rich_help_panel=_WHO)] = None,
    task: Annotated[str | None, typer.Option(metavar="TASK", help="Which task it is for", rich_help_panel=_WHO)] = None,
    purpose: Annotated[
        str, typer.Option(metavar="TEXT", help="What it is for", rich_help_panel=_WHO)
    ] = DEFAULT_PURPOSE,
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="K=V", help="A tag on everything of it; repeatable", rich_help_panel=_WHO),
    ] = None,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until it is ready", rich_help_panel=_HOW)] = True,
    timeout: Annotated[
        str, typer.Option(metavar="TIME", help="How long to wait before ending it", rich_help_panel=_HOW)
    ] = "15m",
    keep: Annotated[
        bool, typer.Option("--keep", help="Leave it when it was not ready in time", rich_help_panel=_HOW)
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only show what it would be and cost", rich_help_panel=_HOW)
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask", rich_help_panel=_HOW)] = False,
) -> Result:
    """Start a GPU machine, wait until it is ready, and have it end at its deadline.

    The record of it is on disk before the cloud is asked. It ends 60 minutes later unless --ttl says otherwise, even
    if this machine never comes back.
    """
    context: Context = ctx.find_root().obj
    patience = parse_duration(timeout, option="--timeout")
    request = Request(
        user=user or context.user,
        provider=options.supported_provider(provider),
        instance_type=instance_type,
        region=region,
        disk_gb=options.whole(disk_size, option="--disk-size"),
        ttl=parse_minutes(ttl, option="--ttl"),
        count=options.whole(count, option="--count"),
        name=name,
        task=task,
        purpose=purpose,
        tags=options.tags(tag),
        image=image,
        subnet=subnet,
        allow_retired=allow_retired,
    )
    request, source = _with_settings(context, request)
    context.start_sandbox()
    request, offer, source = checked(request, source, context.parts, context.catalog)
    there = standing(request, context.store.snapshot().records)
    if there:
        return provisioned(
            context, Provisioned(there), request.count, {"created": False}, f"{there[0].label} lives already"
        )
    prepared = prepare(request, offer, source, context.parts)
    _announce(context, prepared)
    if dry_run:
        return dry(offer)
    _confirm(context, prepared, yes=yes)
    return _carried_out(context, prepared, patience, wait=wait, keep=keep)


def _with_settings(context: Context, request: Request) -> tuple[Request, str]:
    """The request with what the settings say where no flag does, and where its region comes from."""
    from dataclasses import replace

    name = request.provider
    if name is None and request.instance_type is not None:
        try:
            name = context.catalog.find(request.instance_type).provider
        except UsageError:
            name = None
    if name is None:
        return request, "--region"
    settings = context.config.cloud(name)
    filled = replace(
        request,
        region=request.region or settings.region,
        image=request.image or settings.image,
        subnet=request.subnet or settings.subnet,
        profile=None if context.sandbox else settings.profile,
    )
    variable = f"GPUCTL_{name.upper()}_REGION"
    configured = variable if context.environ.get(variable) else "config"
    return filled, "--region" if request.region else configured


def _announce(context: Context, prepared: Prepared) -> None:
    request, offer = prepared.request, prepared.offer
    price = f"${offer.price.usd_per_hour:f}/h (as of {offer.price.as_of})" if offer.price else "at an unknown price"
    where = f"{offer.region} ({prepared.region_source})" if prepared.region_source != "--region" else offer.region
    many = f"{request.count} x " if request.count > 1 else ""
    context.talk.say(
        f"{many}{offer.type.name} ({offer.type.gpu_label}) in {where}, {offer.type.provider} account "
        f"{prepared.session.account}, {offer.market.value}, {price}: {money(prepared.cost)} until the deadline in "
        f"{spelled(request.ttl)}"
    )
    if request.image is not None:
        context.talk.warn(f"the timer on the machine needs systemd and cloud-init in `{request.image}`")


def _confirm(context: Context, prepared: Prepared, *, yes: bool) -> None:
    cost = prepared.cost
    is_plain = cost is not None and cost <= context.config.confirm_above and prepared.request.count == 1
    if yes or is_plain or not context.may_ask:
        return
    if not context.confirm("Start it?" if prepared.request.count == 1 else f"Start {prepared.request.count}?"):
        raise UsageError("nothing was started", hint="add `--yes` to start without being asked")


def _carried_out(context: Context, prepared: Prepared, patience: timedelta, *, wait: bool, keep: bool) -> Result:
    written: list[Instance] = []

    def on_written(records: Sequence[Instance]) -> None:
        written.extend(records)
        if context.globals.quiet and context.output != "json":
            # Written down they are; that nobody reads their ids is no reason to leave off halfway.
            with suppress(OSError, ValueError):
                context.streams.out.write("".join(f"{one.id}\n" for one in records))
                context.streams.out.flush()

    parts = context.parts
    price = prepared.offer.price
    each = f" at ${price.usd_per_hour:f}/h" if price else ""
    try:
        result = start(prepared, parts, on_written, patience if wait else None, keep=keep, rate=each)
        result = _protected(context, result)
    except Interrupted as interrupted:
        if not written:
            raise
        return _interrupted(context, written, interrupted)
    except GpuctlError as error:
        if not written:
            raise
        return provisioned(context, Provisioned(_now(context, written)), len(written), {"created": True}, "", error)
    return provisioned(context, result, len(written), {"created": True}, news(result.records, context))


def _protected(context: Context, result: Provisioned) -> Provisioned:
    """The machines with what protects them, read back; a gap is told, and is no failure of the command."""
    context.talk.step("reading back what protects it")
    try:
        failures = list(read_back(context.parts, result.records).values())
    except (StateUnusableError, StateLockedError) as error:
        failures = [error]
    for told in dict.fromkeys(one.message for one in failures):
        context.talk.warn(f"what protects it could not be read back: {told}")
    records = _now(context, result.records)
    for told in (gap for one in records for gap in gaps(one)):
        context.talk.warn(told)
    return Provisioned(records, result.errors)


def _interrupted(context: Context, written: Sequence[Instance], interrupted: Interrupted) -> Result:
    """A person who pressed Ctrl-C is told what lives; without one, everything of this call is asked to end."""
    if not context.is_terminal or interrupted.signal_number != 2:
        end(context.parts, [one.id for one in written], Reason.CANCELLED)
        records = _now(context, written)
        told = "; ".join(f"{one.id} is {one.status}" for one in records)
        return provisioned(context, Provisioned(records), len(records), {"created": True}, told, interrupted)
    records = _now(context, written)
    lives = [one for one in records if one.is_live]
    now = context.clock.now()
    told = "\n".join(
        f"{one.label} lives until {local(one.expires_at)} ({ends_in(one, now)}) at ${rate(per_hour(one))}/h"
        for one in lives
    )
    stopped = Interrupted(
        "stopped waiting; the machine lives on" if lives else "stopped",
        signal_number=interrupted.signal_number,
        hint=f"gpuctl terminate {' '.join(one.label for one in lives)}" if lives else None,
    )
    return provisioned(context, Provisioned(records), len(records), {"created": True}, told, stopped)


def _now(context: Context, written: Sequence[Instance]) -> list[Instance]:
    try:
        present = {one.id: one for one in context.store.snapshot().records}
    except StateUnusableError:
        # What was written is all that is known now; why the state cannot be read is told by the failure that led here.
        present = {}
    return [present.get(one.id, one) for one in written]
