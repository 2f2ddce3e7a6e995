"""`gpuctl list --watch`: the list kept current, as a table on the terminal's other screen or as a stream of JSON."""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING

from gpuctl.cli.commands.list.listing import Listing
from gpuctl.cli.render.instances import table
from gpuctl.cli.render.renderer import document, write
from gpuctl.cli.render.result import Result
from gpuctl.cli.terminal.interrupt import until_ctrl_c
from gpuctl.cli.terminal.text import brief, clean
from gpuctl.documents.instances import instance_shape
from gpuctl.domain.duration import approximate, exact
from gpuctl.errors import GpuctlError, StateLockedError, UsageError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

# A cloud counts the questions of a whole account; a person who looks on must not use them up.
QUERY_EVERY = timedelta(seconds=15)


def watch(listing: Listing, interval: timedelta, *, refresh: bool) -> Result | None:
    """Show the list again every `interval` until Ctrl-C, and ask the clouds at most every 15 s with `refresh`.

    Gives what was shown last where the screen does not keep it. UsageError where nothing can be redrawn.
    """
    context = listing.context
    if context.output == "json":
        with until_ctrl_c():
            _stream(listing, interval, refresh=refresh)
        return None
    _refuse_unwatchable(listing)
    table = _LiveTable(listing, interval)
    with until_ctrl_c(), context.progress.paused(), suppress(OSError):
        table.run(refresh=refresh)
    return listing.result({}, table.shown)


def _refuse_unwatchable(listing: Listing) -> None:
    context = listing.context
    if context.globals.quiet or context.output != "table":
        raise UsageError("--watch requires a terminal or `-o json`", hint="gpuctl list --watch -o json")
    if not context.can_redraw:
        raise UsageError(
            "--watch requires a terminal or `-o json`",
            hint="gpuctl list --watch -o json",
        )


class _Refresher:
    """Queries the providers when it is time again. What fails is shown, and queried again the next time."""

    def __init__(self, listing: Listing, interval: timedelta, *, wanted: bool) -> None:
        self._listing = listing
        self._every = max(interval, QUERY_EVERY)
        self._wanted = wanted
        self._next = listing.context.clock.elapsed()
        self._refreshed_at: timedelta | None = None
        self.stale: Mapping[str, GpuctlError] = {}

    @property
    def is_due(self) -> bool:
        return self._wanted and self._listing.context.clock.elapsed() >= self._next

    @property
    def age(self) -> str:
        """`synced 5s ago · `; empty if the providers were never queried."""
        if self._refreshed_at is None:
            return ""
        return f"synced {approximate(self._listing.context.clock.elapsed() - self._refreshed_at)} ago · "

    def refresh(self) -> None:
        context = self._listing.context
        self._next = context.clock.elapsed() + self._every
        # A process that goes on for long must not rely on who it was and what time it was at its start.
        context.wiring.forget_credentials()
        try:
            self.stale = self._listing.refreshed()
        except StateLockedError as error:
            self.stale = {"": error}
        self._refreshed_at = context.clock.elapsed()


def _stream(listing: Listing, interval: timedelta, *, refresh: bool) -> None:
    context, begun, before = listing.context, listing.context.clock.now(), None
    refresher = _Refresher(listing, interval, wanted=refresh)
    while True:
        if refresher.is_due:
            refresher.refresh()
        # What it has cost grows by itself and is no change: compared as of one instant.
        shapes = [instance_shape(record, begun) for record in listing.records(context.clock.now())]
        present = (shapes, [error.message for error in refresher.stale.values()])
        if present != before:
            write(context, document(context, listing.result(refresher.stale)))
            before = present
        context.clock.sleep(interval)


class _LiveTable:
    """The table on the terminal's other screen. Instances that end while one looks on stay in it."""

    def __init__(self, listing: Listing, interval: timedelta) -> None:
        self._listing = listing
        self._context = listing.context
        self._interval = interval
        self.shown: set[str] = set()

    def run(self, *, refresh: bool) -> None:
        from rich.live import Live

        refresher = _Refresher(self._listing, self._interval, wanted=refresh)
        console = self._console()
        # Drawn by this loop and no other thread: nothing moves but when something was read.
        with Live(console=console, screen=True, auto_refresh=False, redirect_stdout=False, redirect_stderr=False) as on:
            while True:
                if refresher.is_due:
                    on.update(self._screen(console, refresher.stale, "querying providers"), refresh=True)
                    refresher.refresh()
                on.update(self._screen(console, refresher.stale, f"{refresher.age}Ctrl-C stops"), refresh=True)
                self._context.clock.sleep(self._interval)

    def _console(self) -> "Console":
        from rich.console import Console

        context = self._context
        return Console(
            file=context.streams.out,
            force_terminal=True,
            no_color=not context.has_color,
            color_system="auto" if context.has_color else None,
            markup=False,
            highlight=False,
            emoji=False,
        )

    def _screen(self, console: "Console", stale: Mapping[str, GpuctlError], doing: str) -> "RenderableType":
        from rich.console import Group
        from rich.text import Text

        context = self._context
        console.size = context.size
        now = context.clock.now()
        records = self._listing.records(now, self.shown)
        self.shown |= {record.id for record in records}
        below = [Text(clean(line)) for line in self._listing.footer(records, now)]
        below += [Text(brief(error.message), "red") for error in dict.fromkeys(stale.values())]
        status = f"{now.astimezone():%H:%M:%S} · every {exact(self._interval)} · {doing}"
        below.append(Text(status, "dim"))
        used_lines = sum(len(line.wrap(console, context.width)) for line in below)
        free_lines = max(context.size[1] - used_lines - 2, 1)
        visible = records if len(records) <= free_lines else records[: free_lines - 1]
        above: Sequence[RenderableType] = [table(visible, now, context.width, closely=True)] if records else []
        more = [Text(f"… and {len(records) - len(visible)} more", "dim")] if len(visible) < len(records) else []
        return Group(*above, *more, *([Text("")] if records else []), *below)
