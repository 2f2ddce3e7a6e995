"""Starting instances: the plan and the confirmation before, the report after, and what a signal means."""

from collections.abc import Sequence
from contextlib import suppress
from datetime import timedelta

from gpuctl.cli.commands.provision.render import provisioned, ready_lines
from gpuctl.cli.context import Context
from gpuctl.cli.interrupts import TERMINATE_WITHIN, terminate_in_time, time_limit
from gpuctl.cli.render.figures import age_notes, all_in, all_in_rate, ends_in, local, plain
from gpuctl.cli.render.result import Result
from gpuctl.domain.duration import exact
from gpuctl.domain.instance import Instance, Market, Price, Reason, Status
from gpuctl.domain.lifecycle import was_refused
from gpuctl.domain.market.ssh_source import NONE
from gpuctl.domain.money.cost import hourly
from gpuctl.errors import GpuctlError, Interrupted, StateLockedError, StateUnusableError, UsageError
from gpuctl.providers.registry import facts_of
from gpuctl.services.launch.access import other_sources
from gpuctl.services.launch.launchable import Agree, Launchable
from gpuctl.services.launch.prepare import Prepared
from gpuctl.services.launch.provision import ProvisionResult, start
from gpuctl.services.launch.records import affordable
from gpuctl.services.query import last_known_records
from gpuctl.services.safeguards import gaps, read_back
from gpuctl.services.terminate import end


def announce(context: Context, prepared: Prepared) -> None:
    """Print what is about to be started, in which region and account, and its cost.

    Warns if a budget is nearly used up. BudgetError if it would be exceeded.
    """
    request, offer = prepared.request, prepared.offer
    named = prepared.region_source != "--region"
    where = (
        f"{prepared.first.placement.location} ({prepared.region_source})"
        if named
        else prepared.first.placement.location
    )
    many = f"{request.count} x " if request.count > 1 else ""
    context.progress.info(
        f"{many}{offer.type.name} ({offer.type.gpu_label}), {where}, {offer.market.value}, {_account(prepared)}"
    )
    context.progress.info(_price(prepared))
    _print_other_ssh_sources(context, prepared)
    for note in age_notes([offer.price], context.clock.now(), in_sandbox=context.sandbox):
        context.progress.info(note)
    if request.image is not None:
        context.progress.warn(f"the shutdown timer works only if image `{request.image}` has systemd and cloud-init")
    elif offer.type.image is not None and offer.type.image.driver is None:
        context.progress.warn(f"the image for `{offer.type.name}` has no driver for its {offer.type.gpu_model}")
    for warning in affordable(prepared, context.wiring.runtime):
        context.progress.warn(warning)


def _account(prepared: Prepared) -> str:
    return facts_of(prepared.offer.type.provider).account_label(prepared.session.account)


def _print_other_ssh_sources(context: Context, prepared: Prepared) -> None:
    request = prepared.request
    cidr = None if request.ssh_from.text == NONE else request.ssh_from.text
    sources = other_sources(prepared.session.provider, prepared.offer.region, request.subnet, cidr)
    if sources:
        context.progress.info(f"the network also allows SSH from {'; '.join(sources)}")


def _price(prepared: Prepared) -> str:
    """The cost per hour and until the deadline, and the date and source of the price."""
    price, each, most = prepared.offer.price, prepared.first.hourly, prepared.request.max_price
    image_license = prepared.first.image.license
    if price is None:
        limit = f" (at most ${plain(most)}/h)" if most is not None else ""
        reason = f" ({image_license})" if image_license is not None else limit
        return f"price unknown{reason}; cost until the deadline unknown"
    covered = "with disk and public IP" if each.is_whole else "without disk and public IP, whose prices are unknown"
    until = f"{all_in(prepared.cost)} until the deadline in {exact(prepared.request.ttl)}"
    rate, count = f"${all_in_rate(each)}/h", prepared.request.count
    if count > 1:
        rate = f"${all_in_rate(each.for_span(timedelta(hours=count)))}/h for {count} ({rate} each)"
    return f"{rate} {covered}; {until} ({_price_kind(prepared.offer.market, price)})"


def _price_kind(market: Market, price: Price) -> str:
    what = "spot price" if market is Market.SPOT else "list price"
    return f"{what} of {price.as_of}, {price.source}" if price.is_fetched else f"{what} of {price.as_of}"


def confirm(context: Context, prepared: Prepared, *, yes: bool) -> None:
    """Ask on a terminal if the cost is high or unknown, or for several instances. UsageError if the answer is no."""
    cost = prepared.cost.counted
    is_plain = cost is not None and cost <= context.wiring.config.confirm_above_usd and prepared.request.count == 1
    if yes or is_plain or not context.may_prompt:
        return
    if not context.confirm("Start it?" if prepared.request.count == 1 else f"Start {prepared.request.count}?"):
        raise UsageError("no instance was started")


def agreement(context: Context, prepared: Prepared, *, yes: bool) -> Agree:
    """Prints each further attempt, and asks if it costs more than agreed and more than confirm_above_usd, or is of
    unknown price.
    """
    agreed = prepared.cost.counted

    def agree(next_offer: Launchable, line: str) -> bool:
        nonlocal agreed
        context.progress.info(line)
        cost = next_offer.cost.counted
        limit = context.wiring.config.confirm_above_usd
        is_within_agreement = cost is not None and (agreed is None or cost <= max(agreed, limit))
        if yes or not context.may_prompt or is_within_agreement or (cost is None and agreed is None):
            return True
        agreed = cost
        return context.confirm("Try that?")

    return agree


def _warn_of_temporary_state(context: Context) -> None:
    """A CI job's state is lost with its runner: a reaper elsewhere needs a state ID that is known beforehand."""
    environ = context.environ
    is_ci = bool(environ.get("CI")) and not environ.get("GPUCTL_STATE_ID") and not context.sandbox
    if is_ci and context.wiring.store.snapshot().state_id is None:
        context.progress.warn(
            "running in CI without GPUCTL_STATE_ID: a reaper outside this job cannot find its instances"
        )


def start_result(
    context: Context, prepared: Prepared, patience: timedelta, *, wait: bool, keep: bool, yes: bool
) -> Result:
    """Start the instances and return the result, also after a signal. IDs are printed as soon as records exist."""
    _warn_of_temporary_state(context)
    written: list[Instance] = []
    created: list[Instance] = []

    def on_written(records: Sequence[Instance]) -> None:
        written.extend(records)
        if context.globals.quiet and context.output != "json":
            # The records exist: a closed stdout must not stop the launch halfway.
            with suppress(OSError, ValueError):
                context.streams.out.write("".join(f"{record.id}\n" for record in records))
                context.streams.out.flush()

    runtime = context.wiring.runtime
    agree = agreement(context, prepared, yes=yes)
    try:
        result = start(
            prepared, runtime, on_written, patience if wait else None, keep=keep, agree=agree, created=created
        )
        result = with_safeguards(context, result)
    except Interrupted as interrupted:
        if not written:
            raise
        return _interrupted(context, written, created, interrupted)
    except GpuctlError as error:
        if not written:
            raise
        present = ProvisionResult(last_known_records(context.wiring.store, written))
        return provisioned(context, present, len(written), {"created": True}, "", error)
    return provisioned(context, result, len(written), {"created": True}, ready_lines(result.records, context))


def with_safeguards(context: Context, result: ProvisionResult) -> ProvisionResult:
    """The instances with their safeguards as the provider shows them. A missing safeguard is only a warning."""
    context.progress.step("checking safeguards")
    try:
        failures = list(read_back(context.wiring.runtime, result.records).values())
    except (StateUnusableError, StateLockedError) as error:
        failures = [error]
    for message in dict.fromkeys(error.message for error in failures):
        context.progress.warn(f"could not check the safeguards: {message}")
    records = last_known_records(context.wiring.store, result.records)
    for gap in (gap for record in records for gap in gaps(record)):
        context.progress.warn(gap)
    return ProvisionResult(records, result.errors)


def _interrupted(
    context: Context, written: Sequence[Instance], created: Sequence[Instance], interrupted: Interrupted
) -> Result:
    """After Ctrl-C on a terminal, list what keeps running; otherwise request the termination of everything started."""
    if not context.is_terminal or interrupted.signal_number != 2:
        terminate_in_time(context, written, created)
        records = last_known_records(context.wiring.store, written)
        summary = "; ".join(_after_signal(record) for record in records)
        return provisioned(context, ProvisionResult(records), len(records), {"created": True}, summary, interrupted)
    # Close the records of refused requests: nothing of them exists, and nothing retries them.
    with time_limit(TERMINATE_WITHIN), suppress(StateUnusableError, StateLockedError):
        end(
            context.wiring.runtime,
            [record.id for record in last_known_records(context.wiring.store, written) if was_refused(record)],
            Reason.CANCELLED,
        )
    records = last_known_records(context.wiring.store, written)
    active = [record for record in records if record.is_active]
    now = context.clock.now()
    summary = "\n".join(
        (
            f"{record.label} {'may still be running' if record.cloud_id is None else 'runs'} until "
            f"{local(record.expires_at)} ({ends_in(record, now)}) at ${all_in_rate(hourly(record))}/h"
        )
        for record in active
    )
    message, hint = _stopped(records)
    stopped = Interrupted(message, signal_number=interrupted.signal_number, hint=hint)
    return provisioned(context, ProvisionResult(records), len(records), {"created": True}, summary, stopped)


def _stopped(records: Sequence[Instance]) -> tuple[str, str | None]:
    """The message and the hint after Ctrl-C. Without a cloud id nobody knows whether the create made an instance."""
    active = [record for record in records if record.is_active]
    if any(record.cloud_id is None for record in active):
        hint = f"gpuctl get {active[0].label} --refresh" if len(active) == 1 else "gpuctl list --refresh"
        return "stopped; an instance may have been created and may still be running", hint
    if active:
        hint = f"gpuctl terminate {' '.join(record.label for record in active)}"
        return "stopped waiting; the instance keeps running", hint
    return (
        "stopped; nothing was created" if all(record.status is Status.FAILED for record in records) else "stopped"
    ), None


def _after_signal(record: Instance) -> str:
    if record.is_active and record.deleted_by_us_at is None:
        return (
            f"{record.label} is {record.status}: the provider has not accepted the termination yet; "
            "the reaper tries again"
        )
    return f"{record.label} is {record.status}"
