"""Instances as rows, as a table and one by one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from gpuctl.cli.render import tables
from gpuctl.cli.render.figures import all_in, all_in_rate, countdown, ends_in, local, per_hour, plain, type_label, utc
from gpuctl.cli.render.tables import Labeled, fitting_headings, right
from gpuctl.cli.terminal.text import brief, clean
from gpuctl.domain.duration import approximate, exact
from gpuctl.domain.events import EventName
from gpuctl.domain.instance import SSH_ALSO_FROM, Instance, Price, Status
from gpuctl.domain.money.cost import accrued, by_deadline, hourly, spent
from gpuctl.domain.safeguards import Safeguard
from gpuctl.providers.registry import facts_of

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = (
    "id",
    "name",
    "status",
    "provider",
    "region",
    "instanceType",
    "market",
    "createdAt",
    "expiresAt",
    "publicIp",
    "costPerHour",
    "totalCost",
    "userId",
    "taskId",
)

_STYLES = {
    Status.READY: "green",
    Status.RUNNING: "green",
    Status.STOPPING: "yellow",
    Status.FAILED: "red",
    Status.TERMINATED: "dim",
}


@dataclass(frozen=True, slots=True)
class _Column:
    """A column of the table; those with the highest `spare` go first where the terminal is narrow."""

    heading: str
    value: Callable[[Instance, datetime], str]
    spare: int = 0
    is_number: bool = False


_TABLE = (
    _Column("ID", lambda record, now: record.id),
    _Column("NAME", lambda record, now: record.name or "", 3),
    _Column("TYPE", lambda record, now: type_label(record), 1),
    _Column("REGION", lambda record, now: record.region, 5),
    _Column("STATUS", lambda record, now: record.status.value),
    _Column("AGE", lambda record, now: approximate(now - record.created_at), 6, is_number=True),
    _Column("ENDS IN", lambda record, now: ends_in(record, now), 0, is_number=True),
    _Column("$/H", lambda record, now: all_in_rate(hourly(record)), 4, is_number=True),
    _Column("SPENT", lambda record, now: all_in(spent(record, now)), 2, is_number=True),
)


def row(record: Instance, now: datetime) -> list[str]:
    """The instance for scripts, in the order of COLUMNS; empty for unknown."""
    return [
        record.id,
        record.name or "",
        record.status.value,
        record.provider.upper(),
        record.region,
        record.instance_type,
        record.market.value,
        utc(record.created_at),
        utc(record.expires_at),
        record.public_ip or "",
        plain(per_hour(record)),
        plain(accrued(record, now)),
        record.user,
        record.task or "",
    ]


def table(records: Sequence[Instance], now: datetime, width: int, *, closely: bool = False) -> "Table":
    """The instances as a table that fits the width; columns that can be spared are left out before any is cut.

    `closely` counts the time that is left in seconds.
    """
    from rich.text import Text

    cells = {column.heading: [clean(column.value(record, now)) for record in records] for column in _TABLE}
    if closely:
        cells["ENDS IN"] = [countdown(record, now) for record in records]
    chosen = _fitting_columns(cells, width)
    grid = tables.table(*(right(column.heading) if column.is_number else column.heading for column in chosen))
    for number, record in enumerate(records):
        styles = {
            "STATUS": _STYLES.get(record.status, ""),
            "ENDS IN": "bold red" if record.is_active and now > record.expires_at else "",
        }
        grid.add_row(*(Text(cells[column.heading][number], styles.get(column.heading, "")) for column in chosen))
    return grid


def details(record: Instance, now: datetime, safeguards: Sequence[Safeguard]) -> Labeled:
    """Everything a person may want to know about one instance, and the safeguards that terminate it."""
    from rich.text import Text

    grid = Labeled()
    for label, value in _lines(record, now):
        if value:
            grid.add_row(label, Text(brief(value), _STYLES.get(record.status, "") if label == "status" else ""))
    grid.add_row("", "")
    for safeguard in safeguards:
        acts = f", acts at {local(safeguard.acts_at)}" if safeguard.acts_at else ""
        style = "red" if safeguard.is_missing else "green"
        grid.add_row(
            f"safeguard: {safeguard.mechanism}", Text(clean(f"{safeguard.status}{acts} · {safeguard.detail}"), style)
        )
    grid.add_row("", "")
    for entry in record.history:
        about = " · ".join(part for part in (entry.event, entry.reason and entry.reason.value, entry.detail) if part)
        grid.add_row(Text(local(entry.at), "dim"), brief(about))
    return grid


def _lines(record: Instance, now: datetime) -> list[tuple[str, str]]:
    left = ends_in(record, now)
    return [
        ("id", record.id),
        ("name", record.name or ""),
        (
            "status",
            record.status.value + (f" ({reason})" if (reason := record.status_message or record.reason) else ""),
        ),
        ("last error", record.last_error or ""),
        ("deadline", f"{local(record.expires_at)}{f' ({left})' if left else ''}"),
        (
            "terminated",
            f"{local(record.terminated_at)}{' (estimate)' if record.end_is_estimate else ''}"
            if record.terminated_at
            else "",
        ),
        (
            "cost",
            f"{all_in(spent(record, now))}"
            f"{f' of {all_in(by_deadline(record, now))} at the deadline' if record.is_active else ''}",
        ),
        ("price", _priced(record.price)),
        ("disk price", _priced(record.disk_price)),
        ("public IP price", _priced(record.address_price)),
        (
            "type",
            (
                f"{type_label(record)}, {f'{record.disk_gb} GB disk' if record.disk_gb else 'disk unknown'}, "
                f"{record.image}"
            ),
        ),
        ("market", _decision(record)),
        ("location", f"{record.provider} {record.zone or record.region}, account {record.account}"),
        ("cloud id", record.cloud_id or ""),
        ("address", " / ".join(part for part in (record.public_ip, record.private_ip) if part)),
        ("ssh from", "; ".join(part for part in (record.ssh_from, _also_from(record)) if part)),
        ("user", record.user),
        ("task", record.task or ""),
        ("purpose", record.purpose),
        ("tags", ", ".join(f"{key}={value}" for key, value in record.tags.items())),
        ("TTL", _ttl(record)),
        ("idle", f"terminated after {exact(record.idle)} without activity" if record.idle else ""),
    ]


def _decision(record: Instance) -> str:
    """The last decision between spot and on-demand, with its reason, for work with a deadline."""
    return next((entry.detail or "" for entry in reversed(record.history) if entry.event == EventName.DECIDED), "")


def _ttl(record: Instance) -> str:
    if not record.is_active or not facts_of(record.provider).capabilities.timer_reads_tag:
        return exact(record.ttl)
    return f"{exact(record.ttl)} (the shutdown timer uses {exact(record.max_ttl)} if it cannot read the deadline tag)"


def _also_from(record: Instance) -> str:
    sources = record.metadata.get(SSH_ALSO_FROM)
    return f"the network also lets in {sources}" if sources else ""


def _priced(price: Price | None) -> str:
    return f"${plain(price.usd_per_hour)}/h ({price.source}, {price.as_of})" if price else "unknown"


def _fitting_columns(cells: dict[str, list[str]], width: int) -> list[_Column]:
    candidates = {heading: texts for heading, texts in cells.items() if heading != "NAME" or any(texts)}
    chosen = fitting_headings(candidates, {column.heading: column.spare for column in _TABLE}, width)
    return [column for column in _TABLE if column.heading in chosen]
