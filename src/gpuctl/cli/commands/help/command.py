"""`gpuctl help`: the help of gpuctl, of a command, or of a topic."""

from difflib import get_close_matches
from typing import Annotated

import typer

from gpuctl.cli.command_table import COMMANDS
from gpuctl.cli.commands.help.topics import TOPICS, text_of
from gpuctl.cli.context import Context
from gpuctl.domain.duration import shown
from gpuctl.errors import UsageError

EXAMPLES = """\
gpuctl help exit-codes
gpuctl help environment
gpuctl help provision"""


def command(
    ctx: typer.Context,
    about: Annotated[
        str | None, typer.Argument(metavar="TOPIC|COMMAND", help=f"{', '.join(TOPICS)}, or a command")
    ] = None,
) -> None:
    """Show help for gpuctl, for a command, or for a topic: exit-codes, environment, output."""
    context: Context = ctx.find_root().obj
    context.streams.out.write(_text(ctx, about, min(context.width, 100)))
    context.streams.out.flush()


def _text(ctx: typer.Context, about: str | None, width: int) -> str:
    root = ctx.find_root()
    if about is None:
        return f"{root.get_help()}\n"
    if about in TOPICS:
        return text_of(about, width)
    if about in COMMANDS:
        named = root.command.get_command(root, about)  # type: ignore[attr-defined]
        with named.make_context(about, [], parent=root, resilient_parsing=True) as inner:
            return f"{inner.get_help()}\n"
    near = get_close_matches(about, [*TOPICS, *COMMANDS], n=1)
    hint = f"did you mean `gpuctl help {near[0]}`?" if near else f"topics: {', '.join(TOPICS)}"
    raise UsageError(f"no help for {shown(about)}", hint=hint)
