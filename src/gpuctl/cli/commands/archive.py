"""`gpuctl archive`: take old records out of the state's own archive, into a file to keep elsewhere."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from gpuctl.cli.context import Context
from gpuctl.cli.parameters import DURATION, FILE, option
from gpuctl.cli.render.figures import counted
from gpuctl.cli.render.result import Result
from gpuctl.documents.values import instant
from gpuctl.errors import UsageError
from gpuctl.home.export import ExportFile

EXAMPLES = """\
gpuctl archive --older-than 90d --to gpuctl-2026.jsonl.gz
zcat gpuctl-2026.jsonl.gz | jq -r '[.id, .user, .terminated_at] | @tsv'"""


def command(
    ctx: typer.Context,
    older_than: Annotated[timedelta, option(DURATION, "Move records that ended more than TIME ago, such as 90d")],
    to: Annotated[Path, option(FILE, "Gzip file to write or append to")],
) -> Result:
    """Move old records from the archive to a compressed file.

    Records are written to FILE before they are removed. Records of the current month are kept, because budgets need
    them. `stats` shows from which date its totals are complete.
    """
    context: Context = ctx.find_root().obj
    now = context.clock.now()
    before = now - older_than
    month = datetime(now.year, now.month, 1, tzinfo=UTC)
    if to.suffix != ".gz":
        raise UsageError("--to must name a file that ends in `.gz`", hint="add `--to gpuctl.jsonl.gz`")
    bundle = ExportFile(to)
    bundle.check()
    context.wiring.require_state()
    if before > month:
        before = month
        context.progress.info(f"records since {month:%Y-%m-%d} are kept, because budgets still count them")
    context.wiring.store.archive(before)
    moved = context.wiring.store.hand_over(before, bundle.add)
    summary = (
        f"{counted(moved, 'record')} moved to {bundle.path}" if moved else "no record is old enough; nothing was moved"
    )
    return Result(
        document={
            "count": moved,
            "file": str(bundle.path),
            "completeSince": instant(context.wiring.store.counts_from()),
        },
        columns=("count", "file"),
        rows=[[str(moved), str(bundle.path)]] if moved else [],
        footer=[summary],
    )
