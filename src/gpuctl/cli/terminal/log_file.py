"""The log of `reap --log`: each line with its time, in a private file of limited size."""

import os
import sys
from contextlib import suppress
from io import TextIOWrapper
from logging import LogRecord, makeLogRecord
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO, cast

from gpuctl.cli.terminal.streams import Streams
from gpuctl.clock import Clock
from gpuctl.files import make_private

_MAX_BYTES, _BACKUPS = 1_000_000, 3


class LogFile(RotatingFileHandler):
    """A file to which whole lines are appended. A failed write is reported once on `err` and never stops the command.

    The file is opened for each text, because another process may rotate it meanwhile.
    """

    def __init__(self, path: Path, clock: Clock, err: TextIO) -> None:
        super().__init__(path, maxBytes=_MAX_BYTES, backupCount=_BACKUPS, errors="backslashreplace", delay=True)
        self._clock = clock
        self._err = err
        self._line = ""
        self._is_broken = False

    def add(self, text: str) -> None:
        """Append the lines of the text that are complete; the rest is kept until its line is."""
        *lines, self._line = (self._line + text.replace("\r\x1b[K", "")).split("\n")
        now = f"{self._clock.now():%Y-%m-%dT%H:%M:%SZ}"
        for line in lines:
            if line.strip() and not self._is_broken:
                self.emit(makeLogRecord({"msg": f"{now} {line}"}))
        with suppress(OSError):
            self.close()

    def _open(self) -> TextIOWrapper:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC
        descriptor = os.open(self.baseFilename, flags, 0o600)
        make_private(descriptor)
        return open(descriptor, "a", encoding="utf-8", errors=self.errors)

    def handleError(self, record: LogRecord) -> None:  # noqa: N802 - the name of the base class
        """Report the failure of a write once. Other exceptions are bugs and are raised."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            raise
        self._is_broken = True
        with suppress(OSError, ValueError):
            self._err.write(f"warning: cannot write the log `{self.baseFilename}`: {error.strerror}\n")


class _CopiedStream:
    """A stream whose text is also appended to the log."""

    def __init__(self, stream: TextIO, log: LogFile) -> None:
        self._stream = stream
        self._log = log
        self.flush = stream.flush
        self.isatty = stream.isatty

    def write(self, text: str) -> int:
        # The log first: the stream may be closed.
        self._log.add(text)
        return self._stream.write(text)


def logged(streams: Streams, path: Path, clock: Clock) -> Streams:
    """The same streams, whose text is also appended to that file."""
    log = LogFile(path, clock, streams.err)
    return Streams(
        streams.input, cast(TextIO, _CopiedStream(streams.out, log)), cast(TextIO, _CopiedStream(streams.err, log))
    )
