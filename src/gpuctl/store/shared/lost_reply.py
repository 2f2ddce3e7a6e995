"""A write whose reply was lost is settled: it is found to be done, or it never will be, and is sent again."""

from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

from gpuctl.clock import Clock
from gpuctl.errors import GpuctlError, StateUnreachableError

_SENDS = 5
_SETTLE_WITHIN, _SETTLE_PAUSE = timedelta(seconds=15), timedelta(milliseconds=300)

Step = Callable[[str], bool]


class LostReplyError(Exception):
    """Nobody knows yet whether the write was done."""


def written(send: Step, settle: Step, *, location: str, patience: timedelta, clock: Clock) -> bool:
    """Whether the write was done; False where a condition of it did not hold.

    `send` does it, together with a note of the token that it gets, and raises LostReplyError where its reply was lost.
    `settle` says whether the write with that token was done, and keeps it from being done later; it is repeated for at
    most 15 seconds, and not longer than `patience`. Raises StateUnreachableError where that does not help.
    """
    for _ in range(_SENDS):
        token = uuid4().hex
        try:
            return send(token)
        except LostReplyError as lost:
            until = clock.elapsed() + min(_SETTLE_WITHIN, patience)
            while True:
                try:
                    is_done = settle(token)
                    break
                except GpuctlError as error:
                    if clock.elapsed() >= until:
                        raise StateUnreachableError(
                            f"a write to the state `{location}` got no reply, and may have been done: {error}",
                            hint="check the network, then: gpuctl list",
                        ) from lost
                    clock.sleep(_SETTLE_PAUSE)
            if is_done:
                return True
    raise StateUnreachableError(
        f"{_SENDS} writes in a row to the state `{location}` got no reply; nothing was written",
        hint="check the network, then run it again",
    )
