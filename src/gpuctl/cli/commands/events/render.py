"""Events as rows and as lines of a table."""

from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from gpuctl.cli.render import tables
from gpuctl.cli.render.figures import all_in, plain, utc
from gpuctl.cli.render.tables import fixed, wrapped
from gpuctl.cli.terminal.text import brief, clean
from gpuctl.domain.events import PREFIX, Event, EventName
from gpuctl.domain.instance import Status
from gpuctl.domain.money.cost import accrued, spent

if TYPE_CHECKING:
    from rich.table import Table

COLUMNS = ("at", "event", "instanceId", "name", "status", "reason", "detail", "totalCost")

_STYLES = {
    EventName.READY: "green",
    EventName.RUNNING: "green",
    EventName.EXPIRING: "bold yellow",
    EventName.STOPPING: "yellow",
    EventName.TERMINATED: "dim",
    EventName.ERROR: "red",
}
_TIME, _EVENT = 12, max(map(len, EventName))


def row(event: Event, now: datetime) -> list[str]:
    """The event for scripts, in the order of COLUMNS; empty for unknown."""
    record, entry = event.record, event.entry
    return [
        utc(entry.at),
        event.name,
        record.id,
        record.name or "",
        entry.status.value,
        entry.reason.value if entry.reason else "",
        entry.detail or "",
        plain(accrued(record, now)) if entry.status is Status.TERMINATED else "",
    ]


def table(
    events: Sequence[Event], now: datetime, *, instance_width: int | None = None, heading: bool = True
) -> "Table":
    """The events as a table. Only the width of INSTANCE depends on the events, unless `instance_width` is given: then
    tables of one line each, printed one after the other, line up."""
    from rich.text import Text

    widest = instance_width or max((len(clean(event.record.label)) for event in events), default=0)
    columns = (fixed("TIME", _TIME), fixed("EVENT", _EVENT), fixed("INSTANCE", max(widest, 8)), wrapped("DETAIL"))
    grid = tables.table(*columns, header=heading)
    for event in events:
        name = event.name.removeprefix(PREFIX)
        grid.add_row(
            Text(_local(event.entry.at, now), "dim"),
            Text(clean(name), _STYLES.get(EventName(name), "") if name in set(EventName) else ""),
            Text(clean(event.record.label)),
            Text(brief(_event_text(event, now))),
        )
    return grid


def _event_text(event: Event, now: datetime) -> str:
    entry = event.entry
    cost = all_in(spent(event.record, now)) if entry.status is Status.TERMINATED else None
    return " · ".join(part for part in (entry.reason and entry.reason.value, entry.detail, cost) if part)


def _local(at: datetime, now: datetime) -> str:
    """In the reader's own time zone: `13:15:00` for today, `Nov 24 13:15` for another day."""
    here = at.astimezone()
    return here.strftime("%H:%M:%S" if here.date() == now.astimezone().date() else "%b %d %H:%M")
