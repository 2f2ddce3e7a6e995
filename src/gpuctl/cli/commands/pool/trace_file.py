"""Opens a trace: a file, compressed or not, or standard input."""

import gzip
import zlib
from pathlib import Path

from gpuctl.cli.context import Context
from gpuctl.domain.duration import as_typed
from gpuctl.domain.pools.demand import Job
from gpuctl.domain.pools.trace import jobs_of_trace
from gpuctl.errors import UsageError
from gpuctl.home.environment import path_of

STDIN = "-"
_GZIP = b"\x1f\x8b"


def read_trace(context: Context, name: str) -> list[Job]:
    """The jobs of the trace of that name; `-` is standard input. UsageError if it cannot be read."""
    if name == STDIN:
        return jobs_of_trace(context.streams.input, "standard input")
    return jobs_of_trace(_text(path_of(name), name).splitlines(keepends=True), path_of(name).name)


def _text(path: Path, name: str) -> str:
    try:
        content = path.read_bytes()
        if content.startswith(_GZIP):
            content = gzip.decompress(content)
        return content.decode("utf-8")
    except OSError as error:
        raise UsageError(
            f"{as_typed(name)} cannot be read: {error.strerror or error}", hint="check `--trace`"
        ) from error
    except (EOFError, zlib.error) as error:
        raise UsageError(f"{as_typed(name)} cannot be decompressed: {error}", hint="check `--trace`") from error
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise UsageError(f"{as_typed(name)} line {line}: not text in UTF-8", hint="check `--trace`") from error
