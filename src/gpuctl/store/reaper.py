"""What the reaper remembers between its runs."""

from collections.abc import Callable
from typing import Protocol

from pydantic import AwareDatetime, Field

from gpuctl.domain.instance import ProviderName, Scope
from gpuctl.domain.value import Value
from gpuctl.store.lease import Lease


class Sweep(Value):
    """When a scope was last listed completely, by which profile, and how many instances of ours were there."""

    scope: Scope
    profile: str | None = None
    at: AwareDatetime
    ours: int = 0


class OpenedRange(Value):
    """An address range to which port 22 was opened in one scope (None: whatever an adopted instance has).

    `needed_at` is when an instance last needed it, `close_requested_at` when closing it was last requested, and
    `is_closed` whether that has succeeded since.
    """

    scope: Scope
    profile: str | None = None
    cidr: str | None = None
    needed_at: AwareDatetime
    close_requested_at: AwareDatetime | None = None
    is_closed: bool = False


class UnreachedRegion(Value):
    """A region that the reaper's last run could not query, and why. `account` is None where no record names one."""

    provider: ProviderName
    account: str | None
    region: str
    message: str

    @property
    def label(self) -> str:
        """Provider, account and region, for messages."""
        return " ".join(part for part in (self.provider, self.account, self.region) if part)


class ReapTimes(Value):
    """The reaper's memory between runs. Losing it only means that the next run sweeps at once.

    `last_reap_in` is the service that ran the last one, such as `kubernetes`, and None for a computer.
    `failing_since` is the end of the first of the runs that failed without a success after it. `unreached` is what the
    last run could not query. `opened_ranges` is where port 22 was opened. `reported` maps an unresolved matter's text
    to when it was last printed, `hooks_reported` a failing hook's name, `pools_reported` a problem of a pool.
    """

    last_reap_at: AwareDatetime | None = None
    last_reap_in: str | None = None
    last_reap_exit: int | None = None
    failing_since: AwareDatetime | None = None
    sweeps: tuple[Sweep, ...] = ()
    unreached: tuple[UnreachedRegion, ...] = ()
    opened_ranges: tuple[OpenedRange, ...] = ()
    reported: dict[str, AwareDatetime] = Field(default_factory=dict)
    hooks_reported: dict[str, AwareDatetime] = Field(default_factory=dict)
    pools_reported: dict[str, AwareDatetime] = Field(default_factory=dict)

    def failure(self, scope: Scope) -> UnreachedRegion | None:
        """What kept the last run from querying that region of that account; None where nothing did."""
        wanted = (scope.provider, scope.region)
        failed = [unreached for unreached in self.unreached if (unreached.provider, unreached.region) == wanted]
        return next((unreached for unreached in failed if unreached.account in (None, scope.account)), None)


class ReaperMemory(Protocol):
    """The reaper's memory of one state. Losing it means that the next run sweeps."""

    def read(self) -> ReapTimes:
        """The memory as it is now, empty where it is missing or cannot be read. Never raises."""
        ...

    def update(self, change: Callable[[ReapTimes], ReapTimes], lease: Lease | None = None) -> bool:
        """Replace the memory by `change` of it as it is now; whether it was written.

        Nothing is written where another holder has taken `lease` since: a process that hung must not replace what its
        successor knows. `change` is pure and may be called again. Raises StateUnusableError when it cannot be written.
        """
        ...
