"""Every expected failure, with its code, its exit code and a hint.

    GpuctlError
    ├── UsageError           usage          2   the request is invalid
    ├── NotFoundError        not_found      3   no record matches
    ├── CredentialsError     credentials    4   credentials missing, of the wrong account, or without permission
    ├── CloudError           cloud          1   the provider refused the request
    │   ├── CapacityError    capacity       5   no capacity at present
    │   │   └── NotNowError  capacity       5   not possible at present for another reason than capacity
    │   ├── ThrottledError   throttled      5   too many requests
    │   ├── UnreachableError unreachable    5   no reply, and nothing was created
    │   ├── QuotaError       quota          6   above a quota of the account
    │   └── NotPreparedError cloud          1   the account must be prepared first
    ├── NotReadyError        not_ready      5   not ready in time, and terminated
    ├── BudgetError          budget         7   above a budget
    ├── UnresolvedError      unresolved     8   an instance may exist: check before you retry
    │   ├── OutcomeUnknown   unresolved     8   a create whose outcome is unknown
    │   └── PartialCreate    unresolved     8   a create that was refused after parts of it were created
    ├── PartialError         partial        8   some of several failed
    ├── StateLockedError     state_locked   5   another process holds the lock of the state
    └── StateUnusableError   state_unusable 9   missing, damaged, newer, of another kind, or not writable
        ├── StateUnreachableError               its engine cannot be reached now
        └── StateAccessError credentials    4   its engine refuses the password or the permission

    Interrupted              interrupted    129, 130, 143: a signal; no Exception, so that nothing continues after it

Anything else is a bug: it keeps its traceback, and the exit code is 1 with the code `internal`.
"""

from datetime import datetime
from enum import StrEnum
from typing import ClassVar


class Code(StrEnum):
    """The closed list of error codes a script may switch on."""

    USAGE = "usage"
    NOT_FOUND = "not_found"
    CREDENTIALS = "credentials"
    CAPACITY = "capacity"
    THROTTLED = "throttled"
    UNREACHABLE = "unreachable"
    NOT_READY = "not_ready"
    QUOTA = "quota"
    BUDGET = "budget"
    UNRESOLVED = "unresolved"
    PARTIAL = "partial"
    STATE_LOCKED = "state_locked"
    STATE_UNUSABLE = "state_unusable"
    INTERRUPTED = "interrupted"
    CLOUD = "cloud"
    INTERNAL = "internal"


class Extent(StrEnum):
    """How far a refusal reaches: whatever lies beyond may still be possible."""

    ZONE = "zone"
    REGION = "region"
    MARKET = "market"
    EVERYWHERE = "everywhere"


class GpuctlError(Exception):
    """A failure gpuctl expects: one line of text, and a hint with something to type."""

    code: ClassVar[Code] = Code.INTERNAL
    exit_code: int = 1

    def __init__(self, message: str, *, hint: str | None = None, extent: Extent = Extent.EVERYWHERE) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.extent = extent

    @property
    def retryable(self) -> bool:
        """Whether running the very same command again is safe and may help."""
        return self.exit_code == 5


class UsageError(GpuctlError):
    """The request is invalid: nothing was written and no request was sent."""

    code, exit_code = Code.USAGE, 2


class NotFoundError(GpuctlError):
    """No record goes by that name."""

    code, exit_code = Code.NOT_FOUND, 3


class CredentialsError(GpuctlError):
    """No login, a login for another account, or one without the permission.

    `cloud_time` is when the cloud refused, by its own clock, where it said so: what is signed by a wrong clock is
    refused as if the login were bad.
    """

    code, exit_code = Code.CREDENTIALS, 4

    def __init__(
        self,
        message: str,
        *,
        hint: str | None = None,
        cloud_time: datetime | None = None,
        extent: Extent = Extent.EVERYWHERE,
    ) -> None:
        super().__init__(message, hint=hint, extent=extent)
        self.cloud_time = cloud_time


class CloudError(GpuctlError):
    """The cloud refused for a reason of its own; `cloud_code` is its word for it, empty if it gave none."""

    code, exit_code = Code.CLOUD, 1

    def __init__(
        self, message: str, *, hint: str | None = None, cloud_code: str = "", extent: Extent = Extent.EVERYWHERE
    ) -> None:
        super().__init__(message, hint=hint, extent=extent)
        self.cloud_code = cloud_code


class CapacityError(CloudError):
    """The cloud has none of that instance left there now."""

    code, exit_code = Code.CAPACITY, 5


class NotNowError(CapacityError):
    """Not possible there now, for another reason than room, such as the spot price; it may be possible later."""


class ThrottledError(CloudError):
    """The cloud wants to be asked more slowly."""

    code, exit_code = Code.THROTTLED, 5


class UnreachableError(CloudError):
    """The cloud returned no readable answer; nothing was created by that call."""

    code, exit_code = Code.UNREACHABLE, 5


class QuotaError(CloudError):
    """The account may not have more of that instance."""

    code, exit_code = Code.QUOTA, 6


class NotPreparedError(CloudError):
    """The account must be prepared before the provider answers that; nothing was done."""


def refused(code: Code, message: str, hint: str | None = None) -> GpuctlError:
    """The failure behind that code, where a cloud reported it only after a create was accepted."""
    kinds: tuple[type[GpuctlError], ...] = (CapacityError, QuotaError, ThrottledError, CredentialsError)
    return next((kind for kind in kinds if kind.code is code), CloudError)(message, hint=hint)


class NotReadyError(GpuctlError):
    """The instance was not ready in time, and its end was accepted."""

    code, exit_code = Code.NOT_READY, 5


class BudgetError(GpuctlError):
    """It would cost more than was allowed."""

    code, exit_code = Code.BUDGET, 7


class UnresolvedError(GpuctlError):
    """An instance may exist that could not be queried, terminated or confirmed terminated."""

    code, exit_code = Code.UNRESOLVED, 8


class OutcomeUnknown(UnresolvedError):
    """The outcome of a create request is unknown.

    `may_repeat` is false if the provider reported that the token was used before: then only a lookup by tag shows it.
    """

    def __init__(self, message: str, *, hint: str | None = None, may_repeat: bool = True) -> None:
        super().__init__(message, hint=hint)
        self.may_repeat = may_repeat


class PartialCreate(UnresolvedError):
    """A create request was refused after parts of the instance were created; the parts are deleted like an instance.

    `refusal` is the provider's refusal, `cloud_id` names the parts.
    """

    def __init__(self, refusal: GpuctlError, cloud_id: str) -> None:
        super().__init__(refusal.message, hint=refusal.hint)
        self.refusal = refusal
        self.cloud_id = cloud_id


class PartialError(GpuctlError):
    """Several were asked for and not all of them went alike."""

    code, exit_code = Code.PARTIAL, 8


class StateLockedError(GpuctlError):
    """Other processes keep the state busy."""

    code, exit_code = Code.STATE_LOCKED, 5


class StateFault(StrEnum):
    """What is wrong with a state. The last three are of states that are good, and not this gpuctl's to use."""

    MISSING = "missing"
    DAMAGED = "damaged"
    UNWRITABLE = "unwritable"
    UNREACHABLE = "unreachable"
    NEWER = "newer"
    OTHER = "other"
    MOVED = "moved"

    @property
    def is_good(self) -> bool:
        """Whether the state itself is not lost: nothing may be rebuilt in its place."""
        return self in (StateFault.UNREACHABLE, StateFault.NEWER, StateFault.OTHER, StateFault.MOVED)


class StateUnusableError(GpuctlError):
    """The state is missing, damaged, of a newer format, of another kind, or cannot be written; it was left as it is."""

    code, exit_code = Code.STATE_UNUSABLE, 9
    usual_fault: ClassVar[StateFault] = StateFault.UNWRITABLE

    def __init__(self, message: str, *, hint: str | None = None, fault: StateFault | None = None) -> None:
        super().__init__(message, hint=hint)
        self.fault = fault or self.usual_fault


class StateUnreachableError(StateUnusableError):
    """The engine of the state does not answer, or has no connection left. What it keeps is not lost."""

    usual_fault = StateFault.UNREACHABLE

    @property
    def retryable(self) -> bool:
        """True: the engine may answer next time."""
        return True


class StateAccessError(StateUnusableError):
    """The engine of the state refuses the credentials, or they lack a permission."""

    code, exit_code, usual_fault = Code.CREDENTIALS, 4, StateFault.UNREACHABLE


class Interrupted(BaseException):
    """A signal ended the command; the exit code is 128 and the signal's number.

    Not a GpuctlError, nor even an Exception: nothing that carries on after a failure may carry on after this.
    """

    code: ClassVar[Code] = Code.INTERRUPTED
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, signal_number: int, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        self.signal_number = signal_number
        self.exit_code = 128 + signal_number


Failure = GpuctlError | Interrupted
