"""`gpuctl reaper template`: what runs the reaper where no computer of yours is on."""

from pathlib import Path
from typing import Annotated

import typer

from gpuctl.cli.context import Context
from gpuctl.cli.parameters import argument, word_choice

EXAMPLES = """\
gpuctl reaper template aws > gpuctl-reaper.yaml
gpuctl reaper template azure > janitor.json
gpuctl reaper template kubernetes | kubectl apply -f -
gpuctl reaper template docker > Dockerfile"""

FOLDER = Path(__file__).parent / "templates"
FILES = {path.stem: path for path in sorted(FOLDER.iterdir())}
_PLATFORM = word_choice("PLATFORM", tuple(FILES))


def command(
    ctx: typer.Context,
    platform: Annotated[str, argument(_PLATFORM, "Where the reaper will run", "|".join(FILES))],
) -> int:
    """Print a template that runs the reaper in a cloud, in Kubernetes or in a container.

    The comment at the top of the template explains how to use it, and its cost per month.
    """
    context: Context = ctx.find_root().obj
    context.streams.out.write(FILES[platform].read_text(encoding="utf-8"))
    return 0
