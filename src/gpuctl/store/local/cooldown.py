"""The cooldown of placements without capacity, in a small file beside the state."""

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from gpuctl.files import make_private, private_folder
from gpuctl.store.cooldown import COOLDOWN

_TIMES: TypeAdapter[dict[str, datetime]] = TypeAdapter(dict[str, AwareDatetime])


class LocalCooldown:
    """A `Cooldown` beside a state file. Making one touches nothing."""

    def __init__(self, state: Path) -> None:
        state = Path(os.path.realpath(state))
        self._path = state.with_name(f"{state.name}.refused.json")

    def active(self, now: datetime) -> dict[str, datetime]:
        try:
            times = _TIMES.validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return {}
        # One in the future was written by a clock that was wrong.
        return {placement: at for placement, at in times.items() if at <= now and now - at < COOLDOWN}

    def start(self, placement: str, at: datetime) -> None:
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.tmp")
        # Neither locked nor synced: what is lost here costs one more request to a cloud.
        with suppress(OSError):
            private_folder(self._path.parent)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(temporary, flags, 0o600), "wb") as file:
                make_private(file.fileno())
                file.write(_TIMES.dump_json({**self.active(at), placement: at}))
            os.replace(temporary, self._path)
