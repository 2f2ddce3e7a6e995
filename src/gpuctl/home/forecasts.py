"""The counters of forecasts, a file for each pool: what is lost here is computed again from the history."""

import json
from contextlib import suppress
from pathlib import Path

from gpuctl.domain.pools.forecast import Learned, learned_from, learned_shape
from gpuctl.files import Disk, private_folder, write_whole


class LocalForecasts:
    """`Forecasts` in one folder. Making one touches nothing."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self._folder = folder
        self._disk = disk or Disk()

    def read(self, pool: str) -> Learned | None:
        with suppress(OSError, ValueError):
            return learned_from(json.loads(self._path(pool).read_bytes()))
        return None

    def write(self, pool: str, learned: Learned) -> None:
        with suppress(OSError):
            private_folder(self._folder)
            write_whole(self._disk, self._path(pool), json.dumps(learned_shape(learned)).encode())

    def _path(self, pool: str) -> Path:
        return self._folder / f"{pool}.json"
