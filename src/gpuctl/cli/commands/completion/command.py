"""`gpuctl completion`: the script that teaches a shell our commands and options."""

from typing import Annotated

import typer

from gpuctl.cli.commands.completion.scripts import SCRIPTS
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import argument, word_choice

EXAMPLES = """\
gpuctl completion bash > ~/.local/share/bash-completion/completions/gpuctl
gpuctl completion zsh > ~/.zfunc/_gpuctl
gpuctl completion fish > ~/.config/fish/completions/gpuctl.fish"""


def command(
    ctx: typer.Context,
    shell: Annotated[str, argument(word_choice("SHELL", tuple(SCRIPTS)), "Shell: bash, zsh or fish", "bash|zsh|fish")],
) -> None:
    """Print the completion script of a shell."""
    context: Context = ctx.find_root().obj
    context.streams.out.write(SCRIPTS[shell])
    context.streams.out.flush()
