"""A gzip file of records, a JSON line each, that leaves the archive for good: whole or not there at all."""

import gzip
import json
import os
from collections.abc import Sequence
from pathlib import Path

from gpuctl.domain.instance import Instance
from gpuctl.errors import StateUnusableError, UsageError
from gpuctl.files import Disk, disk_hint, write_whole


class ExportFile:
    """The file of that name; one that is there is added to, as a further member, which every gzip reader reads on."""

    def __init__(self, path: Path, disk: Disk | None = None) -> None:
        self.path = Path(os.path.realpath(path))
        self._disk = disk or Disk()

    def check(self) -> None:
        """Raise UsageError for a file that is there and is no whole gzip file, or for a folder that is not there."""
        self._content()

    def add(self, records: Sequence[Instance]) -> None:
        """Write these after what is there, durably. StateUnusableError where it cannot; then nothing was changed."""
        lines = "".join(json.dumps(record.model_dump(mode="json")) + "\n" for record in records)
        content = self._content() + gzip.compress(lines.encode(), mtime=0)
        try:
            write_whole(self._disk, self.path, content)
        except OSError as error:
            raise StateUnusableError(
                f"`{self.path}` could not be written: {error.strerror}", hint=disk_hint(error, self.path.parent)
            ) from error

    def _content(self) -> bytes:
        try:
            content = self.path.read_bytes()
            # A member that a crash cut short would hide all that come after it.
            gzip.decompress(content)
        except FileNotFoundError:
            if not self.path.parent.is_dir():
                raise UsageError(f"directory `{self.path.parent}` does not exist", hint="use another `--to`") from None
            return b""
        except (OSError, EOFError, ValueError) as error:
            raise UsageError(
                f"`{self.path}` is not a complete gzip file: {error}", hint="use another `--to`"
            ) from error
        return content
