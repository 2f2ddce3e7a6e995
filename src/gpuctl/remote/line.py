"""Runs ssh for gpuctl itself: without a terminal or questions, with failures as our own errors."""

import os
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import IO

from gpuctl.domain.wording import last_line
from gpuctl.errors import CloudError, CredentialsError, GpuctlError, UnreachableError, UsageError
from gpuctl.platform import read_platform
from gpuctl.remote.target import Target

CONNECTION_FAILED = 255
# Nobody can answer a prompt, and a dead connection must be noticed within a minute. These precede `ssh.options`: the
# first value of an option counts, and the path of a user's control socket may be too long.
BATCH = (
    "-T",
    "-oBatchMode=yes",
    "-oConnectTimeout=10",
    "-oServerAliveInterval=15",
    "-oServerAliveCountMax=3",
    "-oClearAllForwardings=yes",
    "-oRemoteCommand=none",
    "-oControlPath=none",
)
# Of ssh and of its listener, where the path of a control socket exceeds the system's limit (108 bytes on Linux, 104 on
# macOS). No retry helps.
_TOO_LONG = ("ControlPath too long", "too long for Unix domain socket")
_SHELL = "exec bash -s"


@dataclass(frozen=True, slots=True)
class Reply:
    """What a script on the instance answered."""

    code: int
    out: bytes


class SshConnection:
    """The way to one instance. Each call is a connection of its own."""

    def __init__(self, target: Target) -> None:
        self.target = target

    def ask(self, script: bytes, *, within: timedelta) -> Reply:
        """Run a script on the instance and return its output, whatever its exit code.

        The script is sent over stdin, so that no part of it is in a command line or a log. UnreachableError if the
        connection failed, CredentialsError if the login was rejected, CloudError if the host key has changed.
        """
        with self.open() as process:
            try:
                out, err = process.communicate(script, timeout=within.total_seconds())
            except subprocess.TimeoutExpired:
                stop(process)
                raise UnreachableError(f"{self.target.host} did not answer by SSH in time") from None
            except BaseException:
                stop(process)
                raise
        if process.returncode == CONNECTION_FAILED:
            raise failure(self.target, err)
        return Reply(process.returncode, out)

    def open(self, command: str = _SHELL, *, stdin: int | IO[bytes] = subprocess.PIPE) -> subprocess.Popen[bytes]:
        """A connection that runs this, with all three streams as pipes; the caller ends it.

        It has a process group of its own: Ctrl-C at the terminal is for gpuctl, which decides what becomes of the line.
        """
        try:
            return subprocess.Popen(
                self.target.argv(command, first=BATCH),
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                start_new_session=True,
            )
        except FileNotFoundError:
            raise UsageError("`ssh` is not installed", hint=read_platform().install_ssh()) from None


def failure(target: Target, output: bytes) -> GpuctlError:
    """Why ssh could not connect, from its output."""
    text = output.decode(errors="replace")
    if "IDENTIFICATION HAS CHANGED" in text or "Host key verification failed" in text:
        return CloudError(
            (
                f"the host key at {target.host} differs from the recorded key of {target.record_id}: it may be "
                "another instance"
            ),
            hint=f"gpuctl get {target.record_id} --refresh",
        )
    last = last_line(output) or "no reason given"
    if "Permission denied" in text:
        return CredentialsError(
            f"SSH login as `{target.user}` failed: {last}", hint="add `--login USER` with the user of the image"
        )
    if any(words in text for words in _TOO_LONG):
        shorter = "shorten the control path in ~/.ssh/config or `ssh.options`, such as ControlPath=~/.ssh/%C"
        return UsageError(f"ssh cannot create its control socket: {last}", hint=shorter)
    return UnreachableError(
        f"could not connect to {target.host} by SSH: {last}",
        hint=f"gpuctl get {target.record_id} shows from where port 22 is open",
    )


def stop(process: "subprocess.Popen[bytes]") -> None:
    """Close a connection with the programs it started, and wait until they have exited."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            # What was not sent yet goes nowhere any more.
            with suppress(OSError):
                stream.close()
    process.wait()
