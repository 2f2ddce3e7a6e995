"""The input of an invocation: its streams, and the global options."""

import os
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TextIO, cast

from gpuctl.redaction import Redactor

FORMATS = ("table", "json", "csv", "tsv")


@dataclass(frozen=True, slots=True)
class Streams:
    """Where input comes from and output goes."""

    input: TextIO
    out: TextIO
    err: TextIO

    @classmethod
    def of_process(cls) -> "Streams":
        """The process's own; one that is closed takes everything and keeps nothing."""
        nothing = open(os.devnull, "r+", encoding="utf-8")  # noqa: SIM115 - it stays open as long as the process
        return cls(sys.stdin or nothing, sys.stdout or nothing, sys.stderr or nothing)


@dataclass(frozen=True, slots=True)
class Globals:
    """The global options, which may be before or after the command; None where not given.

    `command` is the command that was named, `rest` what follows `--` where that is a command line for an instance.
    """

    output: str | None = None
    quiet: bool = False
    state: str | None = None
    config: str | None = None
    profile: str | None = None
    sandbox: bool = False
    verbose: bool = False
    no_input: bool = False
    color: str | None = None
    command: str = ""
    rest: tuple[str, ...] = ()

    def with_options(self, options: Mapping[str, Any]) -> "Globals":
        """These options, with those that were given later."""
        return replace(self, **{name: value for name, value in options.items() if value not in (None, False)})


class _RedactedStream:
    """A stream that removes secrets from what is written."""

    def __init__(self, stream: TextIO, clean: Callable[[str], str]) -> None:
        self._stream = stream
        self._clean = clean

    def write(self, text: str) -> int:
        self._stream.write(self._clean(text))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> object:
        return getattr(self._stream, name)


def cleaned(streams: Streams, redactor: Redactor) -> Streams:
    """Streams that write text without its secrets. Bytes that another program writes are passed on unchanged."""
    out, err = _RedactedStream(streams.out, redactor.clean), _RedactedStream(streams.err, redactor.clean)
    return Streams(streams.input, cast(TextIO, out), cast(TextIO, err))


def is_terminal(stream: TextIO) -> bool:
    """Whether the stream is a terminal; a closed one is none."""
    try:
        return stream.isatty()
    except ValueError:
        return False
