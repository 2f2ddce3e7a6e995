"""Writes `completions/` anew from the commands; a test fails while they differ."""

import io
from pathlib import Path

from gpuctl.cli.main import main
from gpuctl.cli.terminal.streams import Streams

FILES = {"bash": "gpuctl.bash", "zsh": "_gpuctl", "fish": "gpuctl.fish"}


def generated(shell: str) -> str:
    """What `gpuctl completion SHELL` prints."""
    out = io.StringIO()
    main(["completion", shell], streams=Streams(io.StringIO(), out, io.StringIO()), environ={})
    return out.getvalue()


if __name__ == "__main__":
    folder = Path(__file__).parents[1] / "completions"
    folder.mkdir(exist_ok=True)
    for shell, name in FILES.items():
        (folder / name).write_text(generated(shell))
