"""How old the prices are, and what is left of the budgets."""

from collections.abc import Iterator

from gpuctl.domain.diagnosis import Finding, Verdict
from gpuctl.domain.money.budget_check import BudgetStatus
from gpuctl.domain.money.budgets import BudgetAction
from gpuctl.domain.money.prices import age_in_days, is_old
from gpuctl.services.budgets import Allowance
from gpuctl.services.doctor.setup import CheckedCloud, CheckedSetup


def prices(setup: CheckedSetup, cloud: CheckedCloud) -> Iterator[Finding]:
    """How old the on-demand prices of the cloud are, or those of the region where an instance would be."""
    today = setup.runtime.clock.now().date()
    offers = setup.catalog.offers(cloud.name)
    known = [offer.price for offer in offers if offer.price is not None and cloud.region in (None, offer.region)]
    where = f"in {cloud.region}" if cloud.region else f"of {cloud.name}"
    flag = f" --region {cloud.region}" if cloud.region else ""
    hint = f"gpuctl prices refresh --provider {cloud.name}{flag}"
    if not known:
        yield Finding("prices", Verdict.WARN, f"no price is known {where}", hint)
        return
    oldest = max(age_in_days(price, today) for price in known)
    old = sum(is_old(price, today) for price in known)
    if setup.in_sandbox:
        yield Finding("prices", Verdict.OK, f"{len(known)} prices {where}, bundled with gpuctl")
    elif old:
        text = f"{old} of {len(known)} prices {where} are older than 30 days, the oldest {oldest} days"
        yield Finding("prices", Verdict.WARN, text, hint)
    else:
        yield Finding("prices", Verdict.OK, f"{len(known)} prices {where}, the oldest {oldest} days old")


def budget(setup: CheckedSetup) -> Iterator[Finding]:
    """The status of every limit; one that allows no further instance fails."""
    runtime = setup.runtime
    statuses = Allowance(runtime.store, runtime.budgets, runtime.clock.now()).statuses()
    if not statuses:
        yield Finding("budget", Verdict.OK, "no budget is set", "set budget.daily_usd in the config")
    for status in statuses:
        yield _finding(status, setup.runtime.budgets.action)


def _finding(status: BudgetStatus, action: BudgetAction) -> Finding:
    text = f"{status.limit.label}: {status.summary}"
    if status.is_over:
        verdict = Verdict.WARN if action is BudgetAction.WARN else Verdict.FAIL
        return Finding("budget", verdict, f"over {text}", "gpuctl stats --by day, then gpuctl list")
    if status.unknown_price_count:
        return Finding(
            "budget", Verdict.WARN, f"{text}, and {status.unknown_price_count} of unknown price", "gpuctl list --all"
        )
    return Finding(
        "budget", Verdict.WARN if status.is_near else Verdict.OK, text, "gpuctl list" if status.is_near else None
    )
