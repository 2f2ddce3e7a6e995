"""`gpuctl estimate`: what an instance or a task with a deadline would cost, before anything is started."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from gpuctl.cli import options
from gpuctl.cli.commands.estimate.savings import savings_result
from gpuctl.cli.commands.estimate.spot import Replay, replay_result
from gpuctl.cli.commands.estimate.work import with_work
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import DURATION, FILE, HOURS, INSTANCE_TYPE, argument, flag, integer, option
from gpuctl.cli.quantities import BY_WORK, SECONDS, SHARE
from gpuctl.cli.render.figures import plain
from gpuctl.cli.render.result import Result
from gpuctl.domain.market.deadline_rule import RESTART
from gpuctl.domain.market.request import DEFAULT_PURPOSE, MAX_DISK_GB, MIN_DISK_GB
from gpuctl.domain.money.savings import DAYS_A_MONTH, HOURS_A_DAY, Usage
from gpuctl.errors import UsageError

EXAMPLES = """\
gpuctl estimate Standard_NC6 --hours-per-day 2 --days 30
gpuctl estimate g5.xlarge --hours-per-day 6 --days 22 --users 100
gpuctl estimate g4dn.xlarge --region eu-west-1 --spot -o json
gpuctl estimate g5.xlarge --by work --purpose ocr
gpuctl estimate --spot-trace trace.csv --work 2h --finish-by 6h --checkpointed"""

_MOST_USERS = 1_000_000
_MOST_DAYS = 31
_DISK = integer("GB", MIN_DISK_GB, MAX_DISK_GB)
_SPOT = "Replay over a trace of spot capacity (instead of TYPE)"
_TRACE = "CSV file with the columns zone, start_s, length_s and available"


def command(
    ctx: typer.Context,
    instance_type: Annotated[str | None, argument(INSTANCE_TYPE, options.INSTANCE_TYPE_HELP, "[TYPE]")] = None,
    hours_per_day: Annotated[Decimal, option(HOURS, "Hours of use per day")] = Decimal(2),
    days: Annotated[int, option(integer("DAYS", 1, _MOST_DAYS), "Days of use per month")] = DAYS_A_MONTH,
    users: Annotated[int, option(integer("N", 1, _MOST_USERS), "Number of users, each with a separate instance")] = 1,
    region: options.PricedRegion = None,
    disk_size: Annotated[int, option(_DISK, "Size of the boot disk in GB, for the full cost")] = 100,
    spot: options.Spot = False,
    by: Annotated[
        str | None, option(BY_WORK, "Also show the cost per unit of work, measured in past runs of --purpose")
    ] = None,
    purpose: options.Purpose = DEFAULT_PURPOSE,
    spot_trace: Annotated[Path | None, option(FILE, _TRACE, panel=_SPOT)] = None,
    work: Annotated[timedelta | None, option(DURATION, "Duration of the work, such as 2h", panel=_SPOT)] = None,
    finish_by: Annotated[
        timedelta | None, option(DURATION, "Time until the work must be finished", panel=_SPOT)
    ] = None,
    checkpointed: Annotated[
        bool, flag("The work saves checkpoints and continues after an interruption", "--checkpointed", panel=_SPOT)
    ] = False,
    start: Annotated[
        list[float] | None,
        option(SECONDS, "Start of the work in seconds of the trace (repeatable) [default: 100 starts]", panel=_SPOT),
    ] = None,
    spot_share: Annotated[
        Decimal, option(SHARE, "Price of spot as a share of the on-demand price", panel=_SPOT)
    ] = Decimal("0.30"),
    restart: Annotated[
        timedelta,
        option(DURATION, "Time to replace an instance: from the create request until the work continues", panel=_SPOT),
    ] = RESTART,
) -> Result:
    """Compare the cost of an instance that runs only while it is used with the cost of an instance that is always on.

    Always on means 24 hours on 30 days a month; a year has 12 such months. The table shows compute cost; the line below
    adds disk and public IP. With --spot-trace, replays work with a deadline over a trace of spot capacity; cost is then
    a share of the same work on-demand. Sends no network requests.
    """
    context: Context = ctx.find_root().obj
    if spot_trace is not None:
        if instance_type is not None:
            raise UsageError("specify either TYPE or --spot-trace", hint="leave out the instance type")
        if work is None or finish_by is None:
            raise UsageError("--spot-trace needs --work and --finish-by", hint="add `--work 2h --finish-by 6h`")
        return replay_result(Replay(spot_trace, work, finish_by, checkpointed, start or (), spot_share, restart))
    if work is not None or finish_by is not None or start or checkpointed:
        raise UsageError("--work, --finish-by, --start and --checkpointed need --spot-trace", hint="add `--spot-trace`")
    if instance_type is None:
        raise UsageError("Instance type is required", hint="gpuctl types, or add `--spot-trace FILE`")
    if hours_per_day > HOURS_A_DAY:
        raise UsageError(f"--hours-per-day must be at most {HOURS_A_DAY}, not `{plain(hours_per_day)}`")
    usage = Usage(hours_per_day=hours_per_day, days=days, users=users)
    result = savings_result(context, instance_type, usage, region, disk_size, is_spot=spot)
    return with_work(context, result, purpose) if by is not None else result
