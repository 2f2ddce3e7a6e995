"""Draws docs/session.svg: a real session at a pseudo-terminal, against the clouds of a sandbox of its own."""

import fcntl
import io
import os
import pty
import re
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parents[1]
COLUMNS = 96
SESSION = """\
gpuctl run g4dn.xlarge --region us-east-1 --ttl 30 -- nvidia-smi -L
gpuctl provision g4dn.xlarge --region us-east-1 --ttl 60 --name train-7
gpuctl provision g5.xlarge --region us-west-2 --ttl 30 --name eval --quiet
gpuctl reap --sweep
gpuctl list
gpuctl terminate train-7 --yes
gpuctl stats
"""


def at_a_terminal(command: str, environ: dict[str, str]) -> str:
    """What a person sees of that command: both streams, as the terminal got them."""
    screen, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", 40, COLUMNS, 0, 0))
    argv = [str(Path(sys.executable).with_name("gpuctl")), *command.split()[1:]]
    process = subprocess.Popen(argv, stdin=terminal, stdout=terminal, stderr=terminal, env=environ)
    os.close(terminal)
    observed = b""
    while True:
        try:
            read = os.read(screen, 65_536)
        except OSError:  # the last writer has left
            break
        if not read:
            break
        observed += read
    os.close(screen)
    if process.wait():
        sys.exit(f"{command} ended with {process.returncode}: {observed.decode()}")
    return settled(observed.decode())


def settled(text: str) -> str:
    """The lines as they stand in the end, without what was drawn over."""
    lines = [line.rsplit("\r", 1)[-1].replace("\x1b[K", "") for line in text.replace("\r\n", "\n").split("\n")]
    return "\n".join(lines).rstrip("\n")


def main() -> None:
    """Run the session and draw it."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), color_system="truecolor", force_terminal=True)
    with tempfile.TemporaryDirectory() as folder:
        environ = {
            "PATH": "/usr/bin:/bin",
            "TERM": "xterm-256color",
            "COLUMNS": str(COLUMNS),
            "LOGNAME": "ana",
            "GPUCTL_SANDBOX": "1",
            "XDG_STATE_HOME": folder,
            "XDG_CONFIG_HOME": folder,
        }
        try:
            for number, command in enumerate(SESSION.splitlines()):
                console.print(Text(f"{'' if not number else chr(10)}$ {command}", style="bold"))
                console.print(Text.from_ansi(at_a_terminal(command, environ)), overflow="fold")
        finally:
            at_a_terminal("gpuctl sandbox stop", environ)
    drawn = console.export_svg(title="gpuctl, in its sandbox", unique_id="gpuctl")
    # A picture asks nobody for fonts.
    drawn = re.sub(r"@font-face \{.*?\}", "", drawn, flags=re.DOTALL)
    (ROOT / "docs" / "session.svg").write_text(re.sub(r"[ \t]+\n", "\n", drawn), "utf-8")


if __name__ == "__main__":
    main()
