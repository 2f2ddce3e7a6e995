"""Machines as rows, as a table and one by one."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING

from gpuctl.cli.render.figures import all_in, all_in_rate, countdown, ends_in, local, per_hour, plain, type_label, utc
from gpuctl.cli.terminal.text import brief, clean
from gpuctl.domain.duration import rough, spelled
from gpuctl.domain.instance import SSH_ALSO_FROM, Instance, Price, Status
from gpuctl.domain.money.cost import accrued, by_deadline, hourly, spent
from gpuctl.domain.protection import Protector, Standing

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
    "user",
    "task",
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
    _Column("ID", lambda one, now: one.id),
    _Column("NAME", lambda one, now: one.name or "", 3),
    _Column("TYPE", lambda one, now: type_label(one), 1),
    _Column("REGION", lambda one, now: one.region, 5),
    _Column("STATUS", lambda one, now: one.status.value),
    _Column("AGE", lambda one, now: rough(now - one.created_at), 6, is_number=True),
    _Column("ENDS IN", lambda one, now: ends_in(one, now), 0, is_number=True),
    _Column("$/H", lambda one, now: all_in_rate(hourly(one)), 4, is_number=True),
    _Column("SPENT", lambda one, now: all_in(spent(one, now)), 2, is_number=True),
)


def row(one: Instance, now: datetime) -> list[str]:
    """The machine for scripts, in the order of COLUMNS; empty for unknown."""
    return [
        one.id,
        one.name or "",
        one.status.value,
        one.provider.upper(),
        one.region,
        one.instance_type,
        one.market.value,
        utc(one.created_at),
        utc(one.expires_at),
        one.public_ip or "",
        plain(per_hour(one)),
        plain(accrued(one, now)),
        one.user,
        one.task or "",
    ]


def table(records: Sequence[Instance], now: datetime, width: int, *, closely: bool = False) -> "Table":
    """The machines as a table that fits the width; columns that can be spared are left out before any is cut.

    `closely` counts the time that is left in seconds.
    """
    from rich.table import Table
    from rich.text import Text

    cells = {column.heading: [clean(column.value(one, now)) for one in records] for column in _TABLE}
    if closely:
        cells["ENDS IN"] = [countdown(one, now) for one in records]
    chosen = _fitting(cells, width)
    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for column in chosen:
        drawn.add_column(column.heading, justify="right" if column.is_number else "left", no_wrap=True)
    for number, one in enumerate(records):
        styles = {
            "STATUS": _STYLES.get(one.status, ""),
            "ENDS IN": "bold red" if one.is_live and now > one.expires_at else "",
        }
        drawn.add_row(*(Text(cells[column.heading][number], styles.get(column.heading, "")) for column in chosen))
    return drawn


def details(one: Instance, now: datetime, protection: Sequence[Protector]) -> "Table":
    """Everything a person may want to know of one machine, and what ends it if nobody comes back."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2, 0, 0))
    drawn.add_column(style="bold", no_wrap=True)
    drawn.add_column(overflow="fold")
    for label, value in _lines(one, now):
        if value:
            drawn.add_row(label, Text(brief(value), _STYLES.get(one.status, "") if label == "status" else ""))
    drawn.add_row("", "")
    for each in protection:
        acts = f" at {local(each.acts_at)}" if each.acts_at else ""
        style = "red" if each.standing is Standing.MISSING else "green"
        drawn.add_row(f"safeguard: {each.killer}", Text(clean(f"{each.standing}{acts} · {each.detail}"), style))
    drawn.add_row("", "")
    for entry in one.history:
        about = " · ".join(part for part in (entry.event, entry.reason and entry.reason.value, entry.detail) if part)
        drawn.add_row(Text(local(entry.at), "dim"), brief(about))
    return drawn


def _lines(one: Instance, now: datetime) -> list[tuple[str, str]]:
    left = ends_in(one, now)
    return [
        ("id", one.id),
        ("name", one.name or ""),
        (
            "status",
            f"{one.status.value}{f' ({one.status_reason or one.reason})' if one.status_reason or one.reason else ''}",
        ),
        ("last error", one.last_error or ""),
        ("ends", f"{local(one.expires_at)}{f' ({left})' if left else ''}"),
        (
            "ended",
            f"{local(one.terminated_at)}{' (estimate)' if one.end_is_estimate else ''}" if one.terminated_at else "",
        ),
        (
            "spent",
            f"{all_in(spent(one, now))}{f' of {all_in(by_deadline(one, now))} at the deadline' if one.is_live else ''}",
        ),
        ("price", _priced(one.price)),
        ("disk price", _priced(one.disk_price)),
        ("public IP price", _priced(one.address_price)),
        ("type", f"{type_label(one)}, {f'{one.disk_gb} GB disk' if one.disk_gb else 'disk unknown'}, {one.image}"),
        ("location", f"{one.provider} {one.zone or one.region}, account {one.account}"),
        ("cloud id", one.cloud_id or ""),
        ("address", " / ".join(part for part in (one.public_ip, one.private_ip) if part)),
        ("ssh from", "; ".join(part for part in (one.ssh_from, _also_from(one)) if part)),
        ("user", one.user),
        ("task", one.task or ""),
        ("purpose", one.purpose),
        ("tags", ", ".join(f"{key}={value}" for key, value in one.tags.items())),
        ("TTL", f"{spelled(one.ttl)}, {spelled(one.max_ttl)} if the deadline tag cannot be read"),
        ("idle", f"terminated after {spelled(one.idle)} without activity" if one.idle else ""),
    ]


def _also_from(record: Instance) -> str:
    sources = record.metadata.get(SSH_ALSO_FROM)
    return f"the network also lets in {sources}" if sources else ""


def _priced(price: Price | None) -> str:
    return f"${plain(price.usd_per_hour)}/h ({price.source}, {price.as_of})" if price else "unknown"


def _fitting(cells: dict[str, list[str]], width: int) -> list[_Column]:
    chosen = [column for column in _TABLE if column.heading != "NAME" or any(cells["NAME"])]
    while sum(_wide(column, cells) + 2 for column in chosen) - 2 > width:
        spare = max(chosen, key=lambda column: column.spare)
        if not spare.spare:
            break
        chosen.remove(spare)
    return chosen


def _wide(column: _Column, cells: dict[str, list[str]]) -> int:
    return max(len(text) for text in (column.heading, *cells[column.heading]))
