"""`gpuctl help`: the help of gpuctl, of a command, or of a topic."""

from difflib import get_close_matches
from typing import Annotated, Any

import typer

from gpuctl.cli.command import Group
from gpuctl.cli.command_table import COMMANDS
from gpuctl.cli.commands.help.topics import TOPICS, text_of
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import ParameterType, argument
from gpuctl.domain.duration import as_typed
from gpuctl.errors import UsageError

EXAMPLES = """\
gpuctl help exit-codes
gpuctl help environment
gpuctl help provision
gpuctl help schedule install"""

_ABOUT = ParameterType("TOPIC", lambda text, name: text, lambda *_: [*TOPICS, *COMMANDS])


def command(
    ctx: typer.Context,
    about: Annotated[
        list[str] | None, argument(_ABOUT, f"{', '.join(TOPICS)}, or a command", "[TOPIC|COMMAND]")
    ] = None,
) -> None:
    """Show help for gpuctl, for a command, or for a topic: exit-codes, environment, output."""
    context: Context = ctx.find_root().obj
    context.streams.out.write(_text(ctx, about or [], min(context.width, 100)))
    context.streams.out.flush()


def _text(ctx: typer.Context, about: list[str], width: int) -> str:
    if len(about) == 1 and about[0] in TOPICS:
        return text_of(about[0], width)
    inner: Any = ctx.find_root()
    for name in about:
        group = inner.command
        named = group.get_command(inner, name) if isinstance(group, Group) else None
        if named is None:
            topic = " ".join(about)
            near = get_close_matches(topic, [*TOPICS, *COMMANDS], n=1)
            hint = f"did you mean `gpuctl help {near[0]}`?" if near else f"topics: {', '.join(TOPICS)}"
            raise UsageError(f"no help for {as_typed(topic)}", hint=hint)
        inner = named.make_context(name, [], parent=inner, resilient_parsing=True)
    return f"{inner.get_help()}\n"
