"""A command on an instance that does not hang on the connection: started once, followed, and found again."""

import os
import re
import select
import shlex
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.resources import files

from gpuctl.errors import CloudError, UnreachableError
from gpuctl.remote.line import SshConnection, failure, stop

_ANSWERS = timedelta(seconds=60)
_LOOK_UP_EVERY_S = 1.0
_FRAME = re.compile(rb"([OE]) ([1-9][0-9]{0,6})|(T)|(L)|C ([0-9]{1,3})")
_LONGEST_LINE = 64
_NO_SPACE = 73


class CommandLostError(CloudError):
    """The command is gone, and left no exit code: the instance was restarted, or it was killed from outside."""


@dataclass
class RemoteJob:
    """One command on one instance. `told` counts the bytes of each stream that were passed on: none twice, none missed.

    `token` names it there; `variables` are of its environment; `printed` counts the bytes read of each stream.
    """

    token: str
    command: Sequence[str]
    variables: Mapping[str, str] = field(default_factory=dict, repr=False)
    printed: dict[str, int] = field(default_factory=lambda: {"O": 0, "E": 0})

    def start(self, line: SshConnection) -> None:
        """Start the command, unless it was started before. It continues after the connection ends.

        Command and variables are sent over stdin: they are in no command line and in no file. UnreachableError if the
        request failed or its result is unknown; repeating it is harmless. CloudError if the disk of the instance is
        full, CommandLostError if the command was started and is gone.
        """
        reply = line.ask(self.script(), within=_ANSWERS)
        if reply.code == _NO_SPACE:
            raise CloudError(f"`{line.target.user}` has no writable home directory on the instance")
        if reply.code != 0:
            raise CommandLostError("the command did not start on the instance")

    def is_started(self, line: SshConnection) -> bool:
        """Whether the command was started on the instance, whether it has ended or not. Raises what `ask` raises."""
        return line.ask(f'test -e "$HOME/.gpuctl/{self.token}/claimed"\n'.encode(), within=_ANSWERS).code == 0

    def has_ended(self, line: SshConnection) -> bool:
        """Whether the command has ended with an exit code. Raises what `ask` raises."""
        return line.ask(f'test -e "$HOME/.gpuctl/{self.token}/code"\n'.encode(), within=_ANSWERS).code == 0

    def script(self) -> bytes:
        """What starts it, for `bash -s`."""
        exports = "".join(f"export {name}={shlex.quote(value)}\n" for name, value in self.variables.items())
        call = shlex.join(["gpuctl_start", self.token, *_arguments(self.command)])
        text = f"{_shell('start.sh')}\n{{\n{exports}{call}\nexit\n}}\n"
        return text.encode(errors="surrogateescape")

    def follow(self, line: SshConnection, on_output: Callable[[str, bytes], None], keep_on: Callable[[], None]) -> int:
        """Pass on the output from where it was left, until the command exits, and return its exit code.

        `on_output` receives `O` or `E` and bytes. `keep_on` is called at least once a second and stops following by
        raising. UnreachableError if the connection broke: follow again, and nothing is lost or repeated.
        CommandLostError if the command is gone.
        """
        call = shlex.join(["gpuctl_follow", self.token, str(self.printed["O"]), str(self.printed["E"])])
        process = line.open()
        try:
            _send(process, f"{_shell('follow.sh')}\n{{\n{call}\nexit\n}}\n".encode())
            code = self._read(process, on_output, keep_on)
            if code is None:
                raise failure(line.target, _last_line(process))
            return code
        finally:
            stop(process)

    def kill(self, line: SshConnection) -> None:
        """Kill the command and everything it started. Already gone is success."""
        script = f'pid=$(cat "$HOME/.gpuctl/{self.token}/pid") && kill -TERM -- "-$pid"\nexit 0\n'
        line.ask(script.encode(), within=_ANSWERS)

    def _read(
        self, process: "subprocess.Popen[bytes]", on_output: Callable[[str, bytes], None], keep_on: Callable[[], None]
    ) -> int | None:
        assert process.stdout is not None
        stream, left, buffer = "", 0, b""
        for chunk in _chunks(process.stdout.fileno(), keep_on):
            buffer += chunk
            while buffer:
                if left:
                    content, buffer = buffer[:left], buffer[left:]
                    left -= len(content)
                    on_output(stream, content)
                    self.printed[stream] += len(content)
                    continue
                head, newline, rest = buffer.partition(b"\n")
                if not newline and len(head) <= _LONGEST_LINE:
                    break
                frame = _FRAME.fullmatch(head)
                if frame is None:
                    raise UnreachableError("the SSH reply of the instance was not the expected one")
                buffer = rest
                if frame[1]:
                    stream, left = frame[1].decode(), int(frame[2])
                elif frame[4]:
                    raise CommandLostError(
                        "the command ended without an exit code: it was killed, or the instance was restarted"
                    )
                elif frame[5]:
                    return int(frame[5])
        return None


def _arguments(command: Sequence[str]) -> list[str]:
    """One word is a line for the shell; several are a program and its arguments."""
    return ["bash", "-c", command[0]] if len(command) == 1 else list(command)


def _chunks(descriptor: int, keep_on: Callable[[], None]) -> Iterator[bytes]:
    """What comes, as it comes, until the other end closes."""
    while True:
        keep_on()
        ready, _, _ = select.select([descriptor], [], [], _LOOK_UP_EVERY_S)
        if not ready:
            continue
        chunk = os.read(descriptor, 65_536)
        if not chunk:
            return
        yield chunk


def _send(process: "subprocess.Popen[bytes]", script: bytes) -> None:
    assert process.stdin is not None
    try:
        process.stdin.write(script)
        process.stdin.close()
    except BrokenPipeError:
        # The message of ssh has the reason.
        return


def _last_line(process: "subprocess.Popen[bytes]") -> bytes:
    assert process.stderr is not None
    return process.stderr.read()


def _shell(name: str) -> str:
    return files(__package__).joinpath(name).read_text("utf-8")
