"""How often one machine may be updated: Compute counts the calls for each machine by themselves."""

from datetime import datetime

from gpuctl_sandbox.azure.books import Resource
from gpuctl_sandbox.azure.wire import Refusal

UPDATES, A_MINUTE = 12, 4


def take_update(machine: Resource, now: datetime) -> None:
    """Count one update of that machine. Refused with 429 where it has had twelve, refilled at four a minute."""
    left, at = machine.hidden.get("updates", (float(UPDATES), now))
    left = min(UPDATES, left + A_MINUTE * (now - at).total_seconds() / 60)
    if left < 1:
        wait = int((1 - left) * 60 / A_MINUTE) + 1
        raise Refusal(
            429,
            "TooManyRequests",
            f"The request is being throttled as the limit has been reached for operation type - Update VM. Retry "
            f"after {wait} seconds.",
            headers={"Retry-After": str(wait)},
        )
    machine.hidden["updates"] = (left - 1, now)
