"""What a cloud's error code means, and which answers to a create are refusals: one rule for every cloud.

A refusal is an answer of the cloud from which it follows that this request created nothing. A lost or unreadable reply
is never one.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum, auto

from gpuctl.errors import (
    CapacityError,
    CloudError,
    CredentialsError,
    Extent,
    GpuctlError,
    NotNowError,
    OutcomeUnknown,
    QuotaError,
    ThrottledError,
    UnreachableError,
)

_TIMED_OUT, _TOO_MANY = 408, 429
# An SDK that could not read an error's body puts the HTTP status where the code belongs: that is no code.
_CODE = re.compile(r"[A-Za-z]")


class Meaning(Enum):
    """What an error code says about a request."""

    CAPACITY = auto()  # no room for it there now
    NOT_NOW = auto()  # not possible there now, for another reason than room
    QUOTA = auto()  # the account's limit is reached
    CREDENTIALS = auto()  # no valid credentials, or no permission
    THROTTLED = auto()  # too many requests: this one did nothing
    TOKEN_USED = auto()  # an earlier request had the same idempotency token: only a query by tag can tell
    REFUSED = auto()  # the request or the account's settings do not fit
    FAILED = auto()  # the cloud failed by itself: anything may have happened


# What to type after a failure, the same for every provider; each adds the commands of its own tool.
HINTS = {
    Meaning.THROTTLED: "retry in a minute",
    Meaning.CAPACITY: "add another `--region`, or take another type: gpuctl types",
}
NETWORK_HINT = "check the network, then retry"


@dataclass(frozen=True, slots=True)
class CodeTable:
    """The error codes of one cloud.

    `extents` says how far a refusal reaches where that is less than everywhere; `hints` what to type.
    """

    meanings: Mapping[str, Meaning]
    extents: Mapping[str, Extent] = field(default_factory=dict)
    hints: Mapping[str, str] = field(default_factory=dict)

    def meaning(self, code: str, status: int) -> Meaning:
        """The meaning of an answer with that code and HTTP status; `status` is 0 where there was none.

        The code decides, by its whole text or by its part before the first dot (`AuthFailure.Xyz`). A code in no table
        is a refusal where the status says that the request was at fault (4xx).
        """
        if not _CODE.match(code):
            return Meaning.FAILED
        if status == _TOO_MANY:
            return Meaning.THROTTLED
        known = self.meanings.get(code) or self.meanings.get(_first_part(code))
        if known is not None:
            return known
        return Meaning.REFUSED if 400 <= status < 500 and status != _TIMED_OUT else Meaning.FAILED

    def extent(self, code: str) -> Extent:
        """How far a refusal with that code reaches."""
        return self.extents.get(code) or self.extents.get(_first_part(code)) or Extent.EVERYWHERE

    def hint(self, code: str) -> str | None:
        """What to type after that code; None where nothing particular helps."""
        return self.hints.get(code) or self.hints.get(_first_part(code))


def error_of(meaning: Meaning, text: str, *, code: str, hint: str | None, extent: Extent) -> GpuctlError:
    """The error for an answer of that meaning to a call that creates nothing; the cloud's code is kept in it."""
    if meaning is Meaning.CREDENTIALS:
        return CredentialsError(text, hint=hint, extent=extent)
    return _KINDS.get(meaning, CloudError)(text, hint=hint, cloud_code=code, extent=extent)


def create_error(meaning: Meaning, refusal: GpuctlError, doing: str, cloud: str, message: str) -> GpuctlError:
    """The error for an answer of that meaning to a create: `refusal` where it created nothing, else OutcomeUnknown.

    A throttled request created nothing and may be sent again. One whose token was used before may not: its instance is
    looked up by tag. `message` is what the cloud answered, with its own sentence where there is one.
    """
    if meaning is Meaning.TOKEN_USED:
        return OutcomeUnknown(f"{doing}: its token was used before ({message})", may_repeat=False)
    if meaning is Meaning.FAILED:
        return OutcomeUnknown(f"{doing}: {cloud}'s answer does not tell whether it was created ({message})")
    return refusal


_KINDS: dict[Meaning, type[CloudError]] = {
    Meaning.CAPACITY: CapacityError,
    Meaning.NOT_NOW: NotNowError,
    Meaning.QUOTA: QuotaError,
    Meaning.THROTTLED: ThrottledError,
    Meaning.FAILED: UnreachableError,
}


def _first_part(code: str) -> str:
    return code.partition(".")[0]
