"""What `gpuctl list` shows, once or again and again."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gpuctl.cli.context import Context
from gpuctl.cli.render.figures import BARE, ago, cost_line, is_bare
from gpuctl.cli.render.instances import COLUMNS, row, table
from gpuctl.cli.render.result import Result
from gpuctl.documents.instances import instance_shape
from gpuctl.domain.instance import Instance, Status
from gpuctl.errors import GpuctlError
from gpuctl.providers.registry import example
from gpuctl.services.query import Selection, all_records
from gpuctl.store.base import Snapshot


@dataclass(frozen=True, slots=True)
class Listing:
    """A selection of instances, asked for by one command."""

    context: Context
    selection: Selection
    with_ended: bool
    note: Callable[[Snapshot], None] = lambda snapshot: None

    def records(self, now: datetime, keeping: Collection[str] = ()) -> list[Instance]:
        """The selected instances, newest first; terminated ones only if all are requested or they are to be shown."""
        every = all_records(self.context.wiring.store, with_archived=self.with_ended, note=self.note)
        wanted = [record for record in every if self.with_ended or record.is_active or record.id in keeping]
        return [record for record in wanted if self.selection.matches(record, now)]

    def refreshed(self) -> Mapping[str, GpuctlError]:
        """Ask the clouds about these instances first; for each that could not be asked, that it is stale."""
        from gpuctl.cli.refresh import refreshed

        return refreshed(self.context, self.records(self.context.clock.now()))

    def result(
        self, stale: Mapping[str, GpuctlError], keeping: Collection[str] = (), *, is_refreshed: bool = False
    ) -> Result:
        """The present instances, for every output format. `is_refreshed`: the providers were queried just now."""
        now = self.context.clock.now()
        chosen = self.records(now, keeping)
        return Result(
            document={"instances": [instance_shape(record, now) for record in chosen], "count": len(chosen)},
            columns=COLUMNS,
            rows=[] if self.context.output == "json" else [row(record, now) for record in chosen],
            ids=[record.id for record in chosen],
            draw=lambda width: table(chosen, now, width),
            footer=self.footer(chosen, now, is_refreshed=is_refreshed and not stale)
            if self.context.output == "table"
            else (),
            error=next(iter(stale.values()), None),
            errors=stale,
            requested=len(chosen),
        )

    def footer(self, chosen: Sequence[Instance], now: datetime, *, is_refreshed: bool = False) -> list[str]:
        """The lines below the table."""
        if not chosen and self.selection != Selection() and all_records(self.context.wiring.store, with_archived=False):
            return ["no instance matches", "hint: gpuctl list --all"]
        if not chosen:
            return [
                "no instances",
                f"hint: gpuctl provision {example().example_type} --region {example().example_region}",
            ]
        times = self.context.wiring.state.reaper.read()
        swept_at = max((sweep.at for sweep in times.sweeps), default=None)
        lines = [BARE] if any(is_bare(record) for record in chosen) else []
        queried = "providers queried just now" if is_refreshed else f"last sweep {ago(swept_at, now)}"
        reaped = f"last reap {ago(times.last_reap_at, now)}"
        if times.unreached:
            reaped += f", which could not query {', '.join(unreached.label for unreached in times.unreached)}"
        lines += [cost_line(chosen, now), f"{queried} · {reaped}"]
        failing = [record for record in chosen if record.last_error and record.status is Status.STOPPING]
        return [*lines, *(f"{record.label}: {record.last_error}" for record in failing)]
