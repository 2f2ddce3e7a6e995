"""The IDs of the states on engines that were used on your computer, in a small file for each location."""

import hashlib
import json
import os
from contextlib import suppress
from pathlib import Path

from gpuctl.domain.tags import STATE_ID
from gpuctl.files import make_private, private_folder
from gpuctl.store.known_states import KnownState


class StatesOnEngines:
    """`KnownStates` in a folder. Making one touches nothing."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def read(self, location: str) -> KnownState | None:
        try:
            document = json.loads(self.path(location).read_bytes())
            known = KnownState(document["stateId"], document["serial"])
        except (OSError, ValueError, KeyError, TypeError):
            return None
        is_valid = isinstance(known.state_id, str) and STATE_ID.fullmatch(known.state_id)
        return known if is_valid and isinstance(known.serial, int) else None

    def save(self, location: str, known: KnownState) -> None:
        path = self.path(location)
        temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
        content = json.dumps({"location": location, "stateId": known.state_id, "serial": known.serial})
        # Not synced: losing it costs no more than the fallback while the engine is out of reach.
        with suppress(OSError):
            private_folder(self._folder)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(temporary, flags, 0o600), "wb") as file:
                make_private(file.fileno())
                file.write(content.encode())
            os.replace(temporary, path)

    def path(self, location: str) -> Path:
        """The file of that location."""
        return self._folder / f"{hashlib.sha256(location.encode()).hexdigest()[:24]}.json"
