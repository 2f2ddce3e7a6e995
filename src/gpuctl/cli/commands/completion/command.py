"""`gpuctl completion`: the script that teaches a shell our commands and options."""

from typing import Annotated

import typer

from gpuctl.cli.commands.completion.scripts import SHELLS, script
from gpuctl.cli.context import Context
from gpuctl.domain.duration import shown
from gpuctl.errors import UsageError

EXAMPLES = """\
gpuctl completion bash > ~/.local/share/bash-completion/completions/gpuctl
gpuctl completion zsh > ~/.zfunc/_gpuctl
gpuctl completion fish > ~/.config/fish/completions/gpuctl.fish"""


def command(
    ctx: typer.Context,
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="Shell: bash, zsh or fish", show_default=False)],
) -> None:
    """Print the completion script of a shell."""
    context: Context = ctx.find_root().obj
    if shell not in SHELLS:
        raise UsageError(f"unknown shell {shown(shell)}", hint="gpuctl completion bash|zsh|fish")
    context.streams.out.write(script(shell, ctx.find_root()))
    context.streams.out.flush()
