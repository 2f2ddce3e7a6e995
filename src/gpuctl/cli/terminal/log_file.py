"""A log that stays small: what a command says, a line with its time each, in a file that is turned over."""

import os
from contextlib import suppress
from pathlib import Path
from typing import TextIO, cast

from gpuctl.cli.terminal.streams import Streams
from gpuctl.clock import Clock
from gpuctl.files import make_private

_LARGEST = 1_000_000
_KEPT = 3


class LogFile:
    """Lines appended to a file. A disk that takes none is told once on `err`; it never stops what is being done."""

    def __init__(self, path: Path, clock: Clock, err: TextIO) -> None:
        self._path = path
        self._clock = clock
        self._err = err
        self._line = ""
        self._is_broken = False

    def add(self, text: str) -> None:
        """Append what was said; a line is written when it is whole."""
        *lines, self._line = (self._line + text.replace("\r\x1b[K", "")).split("\n")
        whole = [line for line in lines if line.strip()]
        if whole and not self._is_broken:
            self._append(whole)

    def _append(self, lines: list[str]) -> None:
        now = f"{self._clock.now():%Y-%m-%dT%H:%M:%SZ}"
        try:
            self._turn_over()
            flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(self._path, flags, 0o600), "ab") as file:
                make_private(file.fileno())
                file.write("".join(f"{now} {line}\n" for line in lines).encode(errors="backslashreplace"))
        except OSError as error:
            self._is_broken = True
            with suppress(OSError, ValueError):
                self._err.write(f"warning: cannot write the log `{self._path}`: {error.strerror}\n")

    def _turn_over(self) -> None:
        try:
            if self._path.stat().st_size < _LARGEST:
                return
        except FileNotFoundError:
            return
        for number in range(_KEPT - 1, 0, -1):
            with suppress(FileNotFoundError):
                os.replace(self._older(number), self._older(number + 1))
        os.replace(self._path, self._older(1))

    def _older(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


class _Teed:
    """A stream whose text goes into the log as well."""

    def __init__(self, stream: TextIO, log: LogFile) -> None:
        self._stream = stream
        self._log = log
        self.flush = stream.flush
        self.isatty = stream.isatty

    def write(self, text: str) -> int:
        # The log first: it is what is left where nobody listens.
        self._log.add(text)
        return self._stream.write(text)


def logged(streams: Streams, path: Path, clock: Clock) -> Streams:
    """Streams that say the same, and have it written down in that file."""
    log = LogFile(path, clock, streams.err)
    return Streams(streams.input, cast(TextIO, _Teed(streams.out, log)), cast(TextIO, _Teed(streams.err, log)))
