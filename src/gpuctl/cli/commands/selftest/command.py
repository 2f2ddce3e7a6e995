"""`gpuctl selftest`: run one instance on a real account and compare every promise with the cloud."""

import os
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Annotated

import typer

from gpuctl.cli.commands.provision.options import LaunchOptions, launch_options
from gpuctl.cli.commands.provision.start import announce
from gpuctl.cli.commands.selftest.render import selftest_result
from gpuctl.cli.context import Context
from gpuctl.cli.interrupts import TERMINATE_WITHIN, time_limit
from gpuctl.cli.parameters import FILE, USD, option
from gpuctl.cli.render.figures import money
from gpuctl.cli.render.renderer import document
from gpuctl.cli.render.result import Result
from gpuctl.domain.instance import Instance
from gpuctl.domain.money.prices import PriceKey
from gpuctl.errors import Failure, Interrupted, UsageError
from gpuctl.remote.line import Reply, SshConnection
from gpuctl.services.launch.launchable import Launchable
from gpuctl.services.launch.offers import choose
from gpuctl.services.launch.prepare import Prepared, prepare
from gpuctl.services.selftest.planning import affordable, is_within, most_cost, request_of, require_within
from gpuctl.services.selftest.runner import SelftestReport, run
from gpuctl.services.selftest.subject import SelftestTools
from gpuctl.wiring.defaults import defaults_of

EXAMPLES = """\
gpuctl selftest --provider aws --region us-east-1
gpuctl selftest g4dn.xlarge --region us-east-1 --max-cost 2 --report selftest.json
gpuctl --sandbox selftest --provider azure --region eastus"""

_ASK_WITHIN = timedelta(seconds=60)
_NOT_OFFERED = (
    "ttl", "idle", "count", "allow_retired", "gpu", "gpu_count", "min_gpu_memory", "max_price", "spot", "fallback",
    "market", "finish_by", "work", "checkpointed", "by",
    "allow_unknown_price", "name", "user", "task", "purpose", "tag", "wait", "keep", "check", "retries", "backoff",
    "dry_run",
)  # fmt: skip


@launch_options(*_NOT_OFFERED)
def command(
    ctx: typer.Context,
    launch: LaunchOptions,
    max_cost: Annotated[
        Decimal, option(USD, "Maximum full cost in USD, if the instance runs until its deadline")
    ] = Decimal(1),
    report: Annotated[Path | None, option(FILE, "Write the report as JSON to FILE, without account IDs")] = None,
) -> Result:
    """Start one instance on your account, check that gpuctl works with it, and terminate the instance.

    Starts the cheapest instance type with a GPU that fits --max-cost, or TYPE. Checks the create request, listing,
    tags, shutdown timer, SSH, GPU, a repeated create request, extend, price and termination, and that no resource is
    left. A failed check never prevents the termination. Exit code 0: all checks ok or skipped; 1: a check failed; 8:
    something may still exist.
    """
    context: Context = ctx.find_root().obj
    request = request_of(launch.request(context), context.wiring.config.max_ttl)
    if report is not None:
        _check_writable(report)
    context.wiring.start_sandbox()
    choice = affordable(
        choose(request, defaults_of(context.wiring), context.wiring.runtime, context.wiring.catalog),
        context.wiring.runtime,
        max_cost,
    )
    prepared = prepare(choice, context.wiring.runtime)
    # Only now is the image known: its license, and the disks it brings.
    require_within(prepared, max_cost)
    announce(context, prepared)
    context.progress.info(
        f"the instance is terminated after the checks; it costs at most {money(most_cost(prepared))}, even if "
        f"it runs until its extended deadline"
    )
    _confirm(context, yes=launch.yes)
    return _run(context, prepared, max_cost, launch.timeout or prepared.offer.type.ready_within, report)


def _run(context: Context, prepared: Prepared, limit: Decimal, ready_within: timedelta, file: Path | None) -> Result:
    started, outcome, failure = context.clock.now(), SelftestReport(), None
    try:
        run(
            prepared,
            context.wiring.runtime,
            _tools(context),
            outcome,
            ready_within,
            agree=lambda launchable, line: _is_agreed(context, launchable, line, limit),
            hurry=lambda: time_limit(TERMINATE_WITHIN),
        )
    except Interrupted as interrupted:
        failure = interrupted
    finally:
        # Written although a bug ended the run: its checks so far are worth reading.
        error: Failure | None = failure or outcome.error
        times = (started, context.clock.now())
        result = selftest_result(prepared, outcome.checks, outcome.record, limit, times, error)
        if file is not None:
            _write(context, file, context.redactor.clean(document(context, result)))
    return result


def _is_agreed(context: Context, launchable: Launchable, line: str, limit: Decimal) -> bool:
    if is_within(launchable, limit):
        context.progress.info(line)
        return True
    where = f"{launchable.offer.type.name} in {launchable.placement.location}"
    context.progress.info(f"{where} is not tried: it may cost more than ${limit:.2f}")
    return False


def _confirm(context: Context, *, yes: bool) -> None:
    """Ask for confirmation as `provision` does; never in the sandbox, which costs nothing."""
    if yes or context.sandbox or not context.may_prompt:
        return
    if not context.confirm("Start the self-test?"):
        raise UsageError("no instance was started")


def _tools(context: Context) -> SelftestTools:
    def ask(record: Instance, script: str) -> Reply:
        return SshConnection(context.wiring.access.target(record)).ask(script.encode(), within=_ASK_WITHIN)

    return SelftestTools(
        ask=ask,
        listed_price=lambda record: _listed_price(context, record),
        no_price_list="the sandbox has no price list" if context.sandbox else None,
        no_boot="sandbox instances run no timer on macOS" if context.sandbox and context.platform.is_mac else None,
    )


def _listed_price(context: Context, record: Instance) -> Decimal | None:
    """Dollars an hour of that type in the provider's price list now; None where the list has no price for it."""
    from gpuctl.providers.registry import open_price_list
    from gpuctl.providers.retry import Retry

    connection = context.wiring.connection(record.profile)
    price_list = open_price_list(record.provider, connection, Retry(context.clock))
    prices = price_list.read(record.region, [record.instance_type]).prices
    return prices.get(PriceKey(record.instance_type, record.region, record.market))


def _check_writable(file: Path) -> None:
    try:
        os.close(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600))
    except OSError as error:
        raise UsageError(
            f"--report cannot be written to `{file}`: {(error.strerror or str(error)).lower()}",
            hint="name a file in a folder that exists",
        ) from error


def _write(context: Context, file: Path, text: str) -> None:
    try:
        with open(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as report:
            report.write(text)
    except OSError as error:
        # The instance is terminated by now; stdout has the same report.
        context.progress.warn(f"the report could not be written to `{file}`: {error.strerror}")
    else:
        context.progress.info(f"the report is in {file}")
