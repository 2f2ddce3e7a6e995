"""`gpuctl pool tune`: replay the past of a pool against the policies, and propose the best one."""

from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import Annotated

import typer

from gpuctl.cli.commands.pool.parameters import PoolName
from gpuctl.cli.commands.pool.scores import COLUMNS, score_row, scores_table
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import DURATION, flag, option
from gpuctl.cli.render.figures import counted, money
from gpuctl.cli.render.result import Result
from gpuctl.documents.pools import score_shape
from gpuctl.domain.pools.tune import Score
from gpuctl.services.pools.past import past_of
from gpuctl.services.pools.tools import pool_named
from gpuctl.services.pools.tuning import apply_policy, dollars_of, propose
from gpuctl.services.pools.view import price_of
from gpuctl.wiring.pools import open_pools

EXAMPLES = """\
gpuctl pool tune train
gpuctl pool tune train --since 14d --apply"""

_UNKNOWN_PRICE = Decimal(1)


def command(
    ctx: typer.Context,
    name: PoolName,
    since: Annotated[timedelta, option(DURATION, "Use the history of the last TIME")] = timedelta(days=30),
    apply: Annotated[bool, flag("Use the proposed policy from now on", "--apply")] = False,
) -> Result:
    """Replay the past jobs of a pool with each policy, and propose the policy with the lowest cost, waiting included.

    Nothing changes without --apply. As a check, a policy is chosen from the first half of the history and tested on the
    second. Sends no network requests.
    """
    context: Context = ctx.find_root().obj
    tools = open_pools(context.wiring)
    pool = pool_named(tools.pools, name)
    records = context.wiring.store.snapshot().records
    price = price_of(tools, pool, records)
    past = past_of(tools, pool, records, price, since)
    proposal = propose(past)
    tuned, tested = proposal.tuned, proposal.tested
    if apply:
        pool = apply_policy(tools, name, tuned)
    usd = price or _UNKNOWN_PRICE
    checked = None
    if tested is not None:
        checked = {"tuned": score_shape(tested[0], price), "fallback": score_shape(tested[1], price)}
    return Result(
        document={
            "tune": {
                "pool": name,
                "policy": str(tuned.policy),
                "applied": apply,
                "jobs": len(past.jobs),
                "waitingValue": round(past.setup.waiting_value, 3),
                "policies": [score_shape(score, price) for score in tuned.scores],
                "heldOut": checked,
            }
        },
        columns=COLUMNS,
        rows=[score_row(score, price) for score in tuned.scores],
        ids=[str(tuned.policy)],
        draw=lambda width: scores_table(tuned.scores, usd),
        footer=[
            f"{counted(len(past.jobs), 'lease')} of the last {since.days or 1} days; "
            f"proposed policy: {tuned.policy}" + (", in force now" if apply else ""),
            *_checked(tested, usd),
            *([] if apply else [f"hint: gpuctl pool tune {name} --apply"]),
        ],
    )


def _checked(tested: Sequence[Score] | None, usd: Decimal) -> list[str]:
    if tested is None:
        return []
    policy_cost, fallback = (money(dollars_of(score.total_cost_s, usd)) for score in tested)
    return [
        f"check: {tested[0].policy}, from the first half, costs {policy_cost} with waits in the second, "
        f"on-demand {fallback}"
    ]
