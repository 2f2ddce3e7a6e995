"""Where the state is, and the folder on your computer for everything else: the one place that reads `--state`."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gpuctl.home.environment import path_of
from gpuctl.store.registry import FILE, scheme_of


@dataclass(frozen=True, slots=True)
class Home:
    """The folder for what belongs to your computer, whatever the store. Making one touches nothing."""

    folder: Path

    @property
    def prices(self) -> Path:
        """Folder of the fetched prices."""
        return self.folder / "prices"

    @property
    def ssh(self) -> Path:
        """Folder of the SSH key."""
        return self.folder / "ssh"

    @property
    def engines(self) -> Path:
        """Folder of what is remembered of states on engines."""
        return self.folder / "engines"

    @property
    def states(self) -> Path:
        """Folder of the folders of states; missing as long as no state has a file there."""
        return self.folder / "states"

    def of_state(self, state_id: str) -> Path:
        """Folder of the state with that ID: its schedule, the log of its reaper, its rescue files, its SSH config."""
        return self.states / state_id


def state_url(named: str | None, default_folder: Callable[[], Path]) -> str:
    """The state that `named` selects, absolute: a URL, or a path with every symlink resolved.

    None selects `state.json` in the default folder. UsageError where a path cannot be resolved.
    """
    if named is None:
        return os.path.realpath(default_folder() / "state.json")
    if scheme_of(named) != FILE:
        return named
    return os.path.realpath(path_of(named.removeprefix(f"{FILE}://")))


def home_of_state(url: str, default_folder: Callable[[], Path]) -> Home:
    """The folder of the state file; for a state elsewhere the default folder. The reason is in decision 22."""
    return Home(Path(url).parent if scheme_of(url) == FILE else default_folder())
