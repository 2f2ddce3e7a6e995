"""`gpuctl pool create`: the specification of a pool, checked and saved. Launches nothing."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.commands.pool.parameters import COMMAND, MARKET, POLICY, QUEUE, REUSE
from gpuctl.cli.commands.pool.tables import COLUMNS, pool_row, pools_table
from gpuctl.cli.commands.provision.options import LaunchOptions, launch_options
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import DURATION, NAME, USD, argument, flag, integer, option
from gpuctl.cli.render.figures import rate
from gpuctl.cli.render.result import Result
from gpuctl.documents.pools import pool_shape
from gpuctl.domain.instance import Price
from gpuctl.domain.market.request import Request
from gpuctl.domain.membership import Membership
from gpuctl.domain.pools.events import PoolEvent, PoolEventName
from gpuctl.domain.pools.spec import (
    DEFAULT_MAX_AGE,
    DEFAULT_WAIT_COST,
    Pool,
    PoolMarket,
    PoolOffer,
    Reuse,
    check_pool,
    differences,
)
from gpuctl.errors import UsageError
from gpuctl.providers.registry import queue_forms
from gpuctl.services.pools.launch import launch_ttl
from gpuctl.services.pools.tools import PoolTools
from gpuctl.services.pools.view import demand_of_leases
from gpuctl.wiring.pools import open_pools
from gpuctl.wiring.queues import check_queue

EXAMPLES = """\
gpuctl pool create train g4dn.xlarge --region us-east-1 --max 4
gpuctl pool create batch --gpu A100 --region any --queue 'cmd:./depth'
gpuctl pool create dev g5.xlarge --reuse user --on-release 'rm -rf work'"""

_POOL, _MONEY, _WORK = "Pool", "Money", "Work"


@launch_options(
    "ttl", "idle", "count", "spot", "fallback", "name", "task", "wait", "timeout", "keep", "retries", "backoff",
    "dry_run", "yes", "market", "finish_by", "work", "checkpointed", "by",
)  # fmt: skip
def command(
    ctx: typer.Context,
    name: Annotated[str, argument(NAME, "Name of the new pool: 1 to 40 of a-z, 0-9 and -")],
    launch: LaunchOptions,
    least: Annotated[int, option(integer("N", 0), "Minimum number of instances", "--min", panel=_POOL)] = 0,
    most: Annotated[int, option(integer("N", 1), "Maximum number of instances", "--max", panel=_POOL)] = 8,
    policy: Annotated[
        str, option(POLICY, "auto, on-demand, keep:TIME, reactive, predict, tuned or always:N", panel=_POOL)
    ] = "auto",
    reuse: Annotated[
        Reuse,
        option(REUSE, "Reuse after a lease: never, by the same purpose, by the same user, or by any", panel=_POOL),
    ] = Reuse.NEVER,
    on_release: Annotated[
        str | None, option(COMMAND, "Command that cleans an instance after each lease", panel=_POOL)
    ] = None,
    max_age: Annotated[timedelta, option(DURATION, "Maximum age of an instance", panel=_POOL)] = DEFAULT_MAX_AGE,
    queue: Annotated[
        str | None,
        option(QUEUE, f"Source of demand: {', '.join(queue_forms())} or cmd:COMMAND", panel=_WORK),
    ] = None,
    queue_shell: Annotated[bool, flag("Run the command of --queue in a shell", "--queue-shell", panel=_WORK)] = False,
    per_machine: Annotated[
        int, option(integer("N", 1), "Number of jobs that an instance runs at a time", panel=_WORK)
    ] = 1,
    market: Annotated[
        PoolMarket, option(MARKET, "on-demand, spot, or auto: spot if there is capacity", panel=_MONEY)
    ] = PoolMarket.ON_DEMAND,
    wait_cost: Annotated[Decimal, option(USD, "Cost of an hour of waiting in USD", panel=_MONEY)] = DEFAULT_WAIT_COST,
    budget_day: Annotated[
        Decimal | None, option(USD, "Maximum cost of the pool in USD per UTC day", panel=_MONEY)
    ] = None,
    prewarm_budget_day: Annotated[
        Decimal | None, option(USD, "Maximum cost of instances without a lease in USD per UTC day", panel=_MONEY)
    ] = None,
    dry_run: Annotated[bool, flag("Check the pool and show its price; save nothing", "--dry-run")] = False,
    yes: options.Yes = False,
) -> Result:
    """Create a pool of instances that are launched, shared and terminated by demand.

    Saves the specification only. `gpuctl lease` and `gpuctl pool scale`, which `gpuctl schedule install` runs every
    minute, launch instances. Creating the same pool again changes nothing.
    """
    context: Context = ctx.find_root().obj
    context.wiring.start_sandbox()
    tools, request, now = open_pools(context.wiring), launch.request(context), context.clock.now()
    pool = Pool(
        name=name,
        user=request.user,
        purpose=request.purpose,
        offer=_offer_of(request),
        market=market,
        min=least,
        max=most,
        reuse=reuse,
        max_age=max_age,
        policy=policy,
        wait_cost=wait_cost,
        queue=queue,
        queue_shell=queue_shell,
        per_instance=per_machine,
        budget_day=budget_day,
        prewarm_budget_day=prewarm_budget_day,
        on_release=on_release,
        created_at=now,
        updated_at=now,
    )
    check_pool(pool, yes=yes)
    if queue is not None:
        check_queue(queue, in_shell=queue_shell)
    price = _price(tools, pool)
    if dry_run:
        document = {"dryRun": True, "pool": pool_shape(pool, (), now, demand_of_leases(pool, (), now))}
        return Result(document, footer=[f"{_summary(pool, price)}; nothing was saved"])
    saved, is_new = _saved(tools, pool)
    records = context.wiring.store.snapshot().records
    footer = [f"pool `{name}` {'was created' if is_new else 'exists already'}: {_summary(saved, price)}"]
    if is_new and not context.sandbox:
        footer.append("hint: gpuctl schedule install")
    return Result(
        document={"pool": pool_shape(saved, records, now, demand_of_leases(saved, records, now)), "created": is_new},
        columns=COLUMNS,
        rows=[pool_row(saved, records)],
        ids=[name],
        draw=lambda width: pools_table([saved], records),
        footer=footer,
    )


def _saved(tools: PoolTools, pool: Pool) -> tuple[Pool, bool]:
    """The pool of that name as it is saved now, and whether it is new. UsageError if there is another one."""

    def created(present: Pool | None) -> Pool | None:
        if present is None:
            return pool
        differing = differences(present, pool)
        if differing:
            raise UsageError(
                f"pool `{pool.name}` exists already, with another {', '.join(differing)}",
                hint=f"use another name, or gpuctl pool delete {pool.name}",
            )
        return present

    saved = tools.pools.change(pool.name, created) or pool
    is_new = saved.created_at == pool.created_at
    if is_new:
        event = PoolEvent(at=pool.created_at, event=PoolEventName.CHANGED, user=pool.user, detail="created")
        tools.append(pool.name, [event])
    return saved, is_new


def _price(tools: PoolTools, pool: Pool) -> Price | None:
    """The price of the first offer. Raises what is wrong with the request, before anything is saved."""
    choice = tools.choose(pool.request(launch_ttl(tools), Membership(pool=pool.name)))
    return choice.offers[0].price


def _summary(pool: Pool, price: Price | None) -> str:
    each = price.usd_per_hour if price else None
    most = None if each is None else each * pool.max
    return f"{pool.min} to {pool.max} instances at ${rate(each)}/h each, at most ${rate(most)}/h"


def _offer_of(request: Request) -> PoolOffer:
    return PoolOffer(
        provider=request.provider,
        instance_type=request.instance_type,
        region=request.region,
        disk_gb=request.disk_gb,
        image=request.image,
        subnet=request.subnet,
        ssh_from=request.ssh_from.text,
        ssh_is_demanded=request.ssh_from.is_demanded,
        check=request.check,
        allow_retired=request.allow_retired,
        allow_unknown_price=request.allow_unknown_price,
        gpu=request.gpu,
        min_gpus=request.min_gpus,
        min_memory_gib=request.min_memory_gib,
        max_price=request.max_price,
        tags=dict(request.tags),
    )
