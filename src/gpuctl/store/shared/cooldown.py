"""The cooldown of a state on an engine: a document for each placement, so that nobody waits for anybody."""

from contextlib import suppress
from datetime import UTC, datetime

from gpuctl.errors import StateLockedError, StateUnusableError
from gpuctl.store.cooldown import COOLDOWN
from gpuctl.store.shared.engine import Document, DocumentKind, Engine

_TRIES = 3


class SharedCooldown:
    """A `Cooldown` on an engine. Making one connects to nothing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def active(self, now: datetime) -> dict[str, datetime]:
        try:
            documents = self._engine.documents(DocumentKind.COOLDOWN)
        except (StateUnusableError, StateLockedError):
            return {}
        times = {name: at for name, document in documents.items() if (at := _instant(document)) is not None}
        # One in the future was written by a clock that was wrong.
        return {name: at for name, at in times.items() if at <= now and now - at < COOLDOWN}

    def start(self, placement: str, at: datetime) -> None:
        # What cannot be saved costs one more request to a provider.
        with suppress(StateUnusableError, StateLockedError):
            for _ in range(_TRIES):
                present = self._engine.document(DocumentKind.COOLDOWN, placement)
                version = present.version if present else None
                new = Document((version or 0) + 1, at.astimezone(UTC).isoformat())
                if self._engine.put_document(DocumentKind.COOLDOWN, placement, new, version):
                    return


def _instant(document: Document) -> datetime | None:
    try:
        return datetime.fromisoformat(document.body)
    except ValueError:
        return None
