"""The counters of forecasts, a file for each pool: what is lost here is computed again from the history."""

import json
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gpuctl.domain.pools.choice import RecentCosts
from gpuctl.domain.pools.forecast import Learned, learned_from, learned_shape
from gpuctl.files import Disk, private_folder, write_whole


class LocalForecasts:
    """`Forecasts` in one folder. Making one touches nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, pool: str) -> Learned | None:
        with suppress(OSError, ValueError):
            return learned_from(json.loads(self._path(pool).read_bytes()))
        return None

    def write(self, pool: str, learned: Learned) -> None:
        self._write(pool, learned_shape(learned))

    def read_costs(self, pool: str) -> RecentCosts | None:
        with suppress(OSError, ValueError, TypeError):
            return RecentCosts(**json.loads(self._path(f"{pool}.costs").read_bytes()))
        return None

    def write_costs(self, pool: str, costs: RecentCosts) -> None:
        self._write(f"{pool}.costs", asdict(costs))

    def _write(self, name: str, shape: Mapping[str, Any]) -> None:
        with suppress(OSError):
            private_folder(self._folder)
            write_whole(Disk(), self._path(name), json.dumps(shape).encode())

    def _path(self, name: str) -> Path:
        return self._folder / f"{name}.json"
