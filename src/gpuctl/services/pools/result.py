"""What became of the actions of a tick."""

from dataclasses import dataclass

from gpuctl.domain.instance import Instance
from gpuctl.domain.pools.plan import PoolAction
from gpuctl.errors import GpuctlError


@dataclass(frozen=True, slots=True)
class PoolActionResult:
    """What became of one action: the instance as it is now, and what failed."""

    action: PoolAction
    record: Instance | None
    error: GpuctlError | None = None

    @property
    def reason(self) -> str:
        """Why it was done; what failed, if it did."""
        return f"{self.action.reason}; {self.error.message}" if self.error else self.action.reason

    @property
    def is_unresolved(self) -> bool:
        """Whether a person should look."""
        return self.action.unresolved or self.error is not None
