"""The report of a self-test: as a table, and as JSON without any account ID, to be attached to an issue."""

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from gpuctl import __version__
from gpuctl.cli.render.figures import counted, money
from gpuctl.cli.render.result import Result
from gpuctl.cli.render.tables import right, table, wrapped
from gpuctl.cli.terminal.text import clean
from gpuctl.documents.checks import check_shape
from gpuctl.documents.values import dollars, instant
from gpuctl.domain.instance import Instance
from gpuctl.domain.money.cost import spent
from gpuctl.domain.selftest import Check, CheckStatus, Figure, redacted, short_account
from gpuctl.errors import Failure
from gpuctl.services.launch.prepare import Prepared
from gpuctl.services.selftest.planning import most_cost

if TYPE_CHECKING:
    from rich.console import RenderableType

COLUMNS = ("check", "status", "seconds", "detail")
_COLORS = {
    CheckStatus.OK: "green",
    CheckStatus.FAILED: "bold red",
    CheckStatus.SKIPPED: "dim",
    CheckStatus.UNKNOWN: "yellow",
}
_MARKS = {CheckStatus.FAILED: "FAILED"}


def selftest_result(
    prepared: Prepared,
    checks: Sequence[Check],
    record: Instance | None,
    limit: Decimal,
    times: tuple[datetime, datetime],
    error: Failure | None,
) -> Result:
    """The result of a self-test that started and finished at these times."""
    account = prepared.session.account
    secrets = [account, *account.split("/"), prepared.session.profile or ""]
    checks = [_redacted(check, secrets) for check in checks]
    cost = spent(record, times[1]).total if record is not None else Decimal(0)
    document: dict[str, Any] = {
        "provider": prepared.offer.type.provider.upper(),
        "account": short_account(account),
        "region": record.region if record else prepared.offer.region,
        "instanceType": record.instance_type if record else prepared.offer.type.name,
        "instanceId": record.id if record else None,
        "gpuctlVersion": __version__,
        "startedAt": instant(times[0]),
        "finishedAt": instant(times[1]),
        "maxCost": dollars(limit),
        "estimatedCost": dollars(most_cost(prepared)),
        "cost": dollars(cost),
        "checks": [check_shape(check) for check in checks],
        "count": len(checks),
        "failed": sum(check.status in (CheckStatus.FAILED, CheckStatus.UNKNOWN) for check in checks),
    }
    return Result(
        document=document,
        columns=COLUMNS,
        rows=[_row(check) for check in checks],
        ids=[check.name for check in checks if check.status in (CheckStatus.FAILED, CheckStatus.UNKNOWN)],
        draw=lambda width: _table(checks),
        footer=[f"{counted(len(checks), 'check')}: {_summary(checks)}; cost {money(cost)}"],
        error=_without(error, secrets),
    )


def _summary(checks: Sequence[Check]) -> str:
    numbers = {status: sum(check.status is status for check in checks) for status in CheckStatus}
    return ", ".join(f"{number} {status}" for status, number in numbers.items() if number)


def _row(check: Check) -> list[str]:
    return [check.name, check.status.value, "" if check.seconds is None else f"{check.seconds:g}", check.detail]


def _table(checks: Sequence[Check]) -> "RenderableType":
    from rich.text import Text

    grid = table("", "", right(), wrapped(), header=False)
    for check in checks:
        mark = Text(_MARKS.get(check.status, check.status.value), style=_COLORS[check.status])
        duration = "" if check.seconds is None else f"{check.seconds:.1f} s"
        grid.add_row(mark, check.name, duration, Text(clean(check.detail)))
    return grid


def _redacted(check: Check, secrets: Sequence[str]) -> Check:
    observed = {key: _figure(value, secrets) for key, value in check.observed.items()}
    return Check(check.name, check.status, redacted(check.detail, secrets), observed, check.seconds)


def _figure(value: Figure, secrets: Sequence[str]) -> Figure:
    if isinstance(value, str):
        return redacted(value, secrets)
    return [redacted(each, secrets) for each in value] if isinstance(value, list) else value


def _without(error: Failure | None, secrets: Sequence[str]) -> Failure | None:
    # Changed in place: a copy would need the arguments that each kind of failure is made of.
    if error is not None:
        error.message = redacted(error.message, secrets)
        error.hint = None if error.hint is None else redacted(error.hint, secrets)
    return error
