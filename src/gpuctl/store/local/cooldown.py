"""Where there was no room a moment ago, in a small file beside the state that every process of it reads."""

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from pydantic import AwareDatetime, TypeAdapter, ValidationError

from gpuctl.files import make_private, private_folder
from gpuctl.store.base import REFUSED_FOR

_TIMES: TypeAdapter[dict[str, datetime]] = TypeAdapter(dict[str, AwareDatetime])


class LocalRefusals:
    """`Refusals` beside a local state. Making one touches nothing."""

    def __init__(self, state: Path) -> None:
        state = Path(os.path.realpath(state))
        self._path = state.with_name(f"{state.name}.refused.json")

    def since(self, now: datetime) -> dict[str, datetime]:
        try:
            times = _TIMES.validate_json(self._path.read_bytes())
        except (OSError, ValidationError):
            return {}
        # One in the future was written by a clock that was wrong.
        return {door: at for door, at in times.items() if at <= now and now - at < REFUSED_FOR}

    def remember(self, door: str, at: datetime) -> None:
        temporary = self._path.with_name(f".{self._path.name}.{os.getpid()}.tmp")
        # Neither locked nor synced: what is lost here costs one more question to a cloud.
        with suppress(OSError):
            private_folder(self._path.parent)
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
            with open(os.open(temporary, flags, 0o600), "wb") as file:
                make_private(file.fileno())
                file.write(_TIMES.dump_json({**self.since(at), door: at}))
            os.replace(temporary, self._path)
