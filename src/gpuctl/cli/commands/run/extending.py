"""Extends the deadline of an instance while its work is not due yet, where the TTL could not reach that far."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from gpuctl.cli.context import Context
from gpuctl.domain.instance import Instance
from gpuctl.errors import GpuctlError, UsageError
from gpuctl.services.extend import extend

_BEFORE = timedelta(minutes=10)


@dataclass(slots=True)
class Extending:
    """Extensions until that instant; none any more after the provider has refused one."""

    context: Context
    until: datetime
    is_fixed: bool = False

    def extend(self, record: Instance) -> None:
        """Extend the deadline if it is near. A failure is a warning; a temporary one is tried again next time."""
        now, runtime = self.context.clock.now(), self.context.wiring.runtime
        is_near = now < record.expires_at <= now + _BEFORE
        if self.is_fixed or not is_near or record.expires_at >= self.until:
            return
        try:
            extend(runtime, record, by=None, ttl=min(self.until - now, runtime.max_ttl))
        except UsageError as error:
            self.is_fixed = True
            self.context.progress.warn(error.message)
        except GpuctlError as error:
            self.context.progress.warn(f"{error.message}; trying again")
