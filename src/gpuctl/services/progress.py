"""The progress and warnings that a service reports while it works."""

from datetime import datetime, timedelta
from typing import Protocol

_REPEAT_AFTER = timedelta(hours=1)


class Progress(Protocol):
    """Where services write progress and warnings. Results are returned, never written here."""

    def info(self, text: str) -> None:
        """Write one line that stays."""
        ...

    def warn(self, text: str, *, is_complete: bool = False) -> None:
        """Write one line that needs attention. A very long line is shortened unless `is_complete`."""
        ...

    def step(self, text: str) -> None:
        """Show what the service waits for now, in place of the previous step."""
        ...

    def clear(self) -> None:
        """Remove the current step: it is finished."""
        ...

    def trace(self, text: str) -> None:
        """Write the traceback of a bug that did not stop the work, unchanged."""
        ...


def is_report_due(reported_at: datetime | None, now: datetime) -> bool:
    """Whether a lasting problem is reported again: at first (None), then once an hour, since cron mails every line."""
    return reported_at is None or not timedelta(0) <= now - reported_at < _REPEAT_AFTER
