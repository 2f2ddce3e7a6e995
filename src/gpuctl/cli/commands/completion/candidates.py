"""`gpuctl complete`: the completions of an unfinished command line, from the commands, the state and the catalog."""

from contextlib import suppress
from typing import Any

import typer
from typer._click.shell_completion import ShellComplete
from typer.exceptions import TyperException

from gpuctl.cli.context import Context
from gpuctl.errors import GpuctlError

TAKES_REST = True


def command(ctx: typer.Context) -> None:
    """Print the completions of the command line after `--`, one per line, each with its description after a tab.

    The last word is the unfinished one. Where file names belong, the only line is a tab and `file`. Prints nothing if
    there are no completions or an error occurs: a message would appear in the middle of the line being edited.
    """
    root = ctx.find_root()
    context: Context = root.obj
    *before, word = context.globals.rest or ("",)
    option, equals, value = word.partition("=") if word.startswith("--") and "=" in word else ("", "", word)
    # bash gives the equals sign as a word of its own.
    arguments = [each for each in (*before, option) if each not in ("", "=")]
    incomplete = "" if word == "=" else value
    with suppress(GpuctlError, TyperException):
        for item in _Words(root.command, {"obj": context}, "gpuctl", "").get_completions(arguments, incomplete):
            line = "\tfile" if item.type == "file" else f"{option}{equals}{item.value}\t{item.help or ''}".rstrip("\t")
            context.streams.out.write(f"{line}\n")
        context.streams.out.flush()


class _Words(ShellComplete):
    """The library's search for what may follow the words, without one of its shells around it."""

    name = "words"

    def source_vars(self) -> dict[str, Any]:
        raise NotImplementedError

    def get_completion_args(self) -> tuple[list[str], str]:
        raise NotImplementedError

    def format_completion(self, item: Any) -> str:
        raise NotImplementedError
