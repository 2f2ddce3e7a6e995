"""Commands and terminals of one SSH session, as processes of the user who started the sandbox."""

import asyncio
import fcntl
import os
import signal
import struct
import termios
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncssh

_CHUNK = 65_536
_WELCOME = b"An instance of the gpuctl sandbox: commands run on your computer, as your own user, without isolation.\r\n"
# Opening a terminal makes it the controlling one of a session that has none; a redirection opens it.
_ON_TERMINAL = 'terminal=$1; shift; exec "$@" <"$terminal" >"$terminal" 2>&1'


@dataclass(frozen=True)
class Session:
    """Where a session begins: its home folder and its environment."""

    home: Path
    environment: Mapping[str, str]
    terminals: Path


async def run(process: "asyncssh.SSHServerProcess[bytes]", session: Session) -> None:
    """Run what the client requested, to its end, and report how it ended."""
    if process.subsystem is not None:
        process.exit(127)
        return
    command = process.command
    argv = ["/bin/bash", "-l"] if command is None else ["/bin/bash", "-c", command]
    accepted = {name: value for name, value in process.env.items() if name == "LANG" or name.startswith("LC_")}
    environment = {**session.environment, **accepted}
    try:
        if process.term_type is None:
            code = await _piped(process, argv, session.home, environment)
        else:
            environment["TERM"] = process.term_type
            if command is None:
                process.stdout.write(_WELCOME)
            code = await _on_terminal(process, argv, session, environment)
    except (OSError, asyncssh.Error):
        # The connection is gone, or the instance is.
        process.exit(255)
        return
    if code < 0:
        process.exit_with_signal(signal.Signals(-code).name.removeprefix("SIG"))
    else:
        process.exit(code)


async def _piped(
    process: "asyncssh.SSHServerProcess[bytes]", argv: Sequence[str], home: Path, environment: Mapping[str, str]
) -> int:
    child = await asyncio.create_subprocess_exec(
        *argv,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        cwd=home,
        env=environment,
        start_new_session=True,
    )
    assert child.stdin is not None
    assert child.stdout is not None
    assert child.stderr is not None
    incoming = asyncio.create_task(_feed(process, child.stdin, child.pid))
    try:
        await asyncio.gather(_drain(child.stdout, process.stdout), _drain(child.stderr, process.stderr))
        return await child.wait()
    finally:
        incoming.cancel()


async def _on_terminal(
    process: "asyncssh.SSHServerProcess[bytes]",
    argv: Sequence[str],
    session: Session,
    environment: Mapping[str, str],
) -> int:
    screen, terminal = os.openpty()
    name = os.ttyname(terminal)
    _resize(screen, process.term_size)
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    outgoing, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(os.dup(screen), "rb", 0)
    )
    try:
        child = await asyncio.create_subprocess_exec(
            "/bin/sh", "-c", _ON_TERMINAL, "sh", name, *argv,
            stdin=terminal, stdout=terminal, stderr=terminal,
            cwd=session.home, env=environment, start_new_session=True,
        )  # fmt: skip
        with open(session.terminals, "a", encoding="utf-8") as file:
            file.write(f"{environment['USER']} {name.removeprefix('/dev/')}\n")
        incoming = asyncio.create_task(_type(process, screen, child.pid))
        shown = asyncio.create_task(_drain(reader, process.stdout))
        try:
            code = await child.wait()
            os.close(terminal)
            terminal = -1
            await shown
            return code
        finally:
            incoming.cancel()
            shown.cancel()
            with suppress(ProcessLookupError):
                os.killpg(child.pid, signal.SIGHUP)
            lines = session.terminals.read_text("utf-8").splitlines(keepends=True)
            session.terminals.write_text("".join(line for line in lines if line.split()[1:] != [name[5:]]), "utf-8")
    finally:
        outgoing.close()
        os.close(screen)
        if terminal >= 0:
            os.close(terminal)


async def _drain(reader: asyncio.StreamReader, writer: "asyncssh.SSHWriter[bytes]") -> None:
    """Pass on what comes until it ends; what nobody takes any more is read nevertheless, as by sshd."""
    with suppress(OSError):  # EIO: the last process has left the terminal
        while chunk := await reader.read(_CHUNK):
            writer.write(chunk)
            await writer.drain()


async def _feed(process: "asyncssh.SSHServerProcess[bytes]", writer: asyncio.StreamWriter, pid: int) -> None:
    with suppress(OSError, asyncssh.Error):
        while True:
            try:
                chunk = await process.stdin.read(_CHUNK)
            except asyncssh.SignalReceived as received:
                _send_signal(pid, received.signal)
                continue
            except (asyncssh.BreakReceived, asyncssh.TerminalSizeChanged):
                continue
            if not chunk:
                break
            writer.write(chunk)
            await writer.drain()
    writer.close()


async def _type(process: "asyncssh.SSHServerProcess[bytes]", screen: int, pid: int) -> None:
    loop = asyncio.get_running_loop()
    with suppress(OSError, asyncssh.Error):
        while True:
            try:
                chunk = await process.stdin.read(_CHUNK)
            except asyncssh.TerminalSizeChanged as changed:
                _resize(screen, changed.term_size)
                continue
            except asyncssh.SignalReceived as received:
                _send_signal(pid, received.signal)
                continue
            except asyncssh.BreakReceived:
                continue
            if not chunk:
                break
            await loop.run_in_executor(None, _write_all, screen, chunk)
    # The end of the input is not the end of the terminal, but that of the connection is.
    await process.channel.wait_closed()
    with suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGHUP)


def _write_all(descriptor: int, content: bytes) -> None:
    while content:
        content = content[os.write(descriptor, content) :]


def _send_signal(pid: int, name: str) -> None:
    number: Any = getattr(signal, f"SIG{name}", None)
    if number is not None:
        with suppress(ProcessLookupError):
            os.killpg(pid, number)


def _resize(screen: int, size: tuple[int, int, int, int]) -> None:
    columns, rows, width, height = size
    fcntl.ioctl(screen, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, width, height))
