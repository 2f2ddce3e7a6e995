"""What every hook must do; services and the command line see only this."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Protocol

# Set for a command that a hook runs.
IN_HOOK = "GPUCTL_IN_HOOK"


@dataclass(frozen=True, slots=True)
class HookMessage:
    """One event on its way to a hook: `document` is its JSON, `name` is `instance:ready`.

    `instance_id` and `number` together name the event, also when it is delivered twice.
    """

    name: str
    instance_id: str
    number: int
    document: str


class Hook(Protocol):
    """A receiver of events."""

    def send(self, message: HookMessage, patience: timedelta) -> str | None:
        """Send the message within that time. None if it was accepted, else why not, in a few words.

        Never raises for what a hook or its network can do, and never names an address or a command: those are secrets.
        """
        ...
