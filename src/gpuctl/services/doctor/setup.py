"""What is examined: the setup on your computer, and one provider."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from gpuctl.catalog import Catalog
from gpuctl.domain.instance import Instance, ProviderName
from gpuctl.platform import Platform
from gpuctl.services.runtime import Runtime
from gpuctl.services.scheduling.status import ScheduleStatus
from gpuctl.services.sessions import Session


@dataclass(frozen=True, slots=True)
class CheckedSetup:
    """A setup: its records and logins, its prices, its reaper. `schedule` looks for the latter when it is called.

    `disk_problems` returns what the disk of the state lacks, a sentence each. StateUnusableError where no file can
    be written.
    """

    runtime: Runtime
    catalog: Catalog
    user: str
    schedule: Callable[[], ScheduleStatus]
    platform: Platform
    in_sandbox: bool = False
    disk_problems: Callable[[], Sequence[str]] = tuple

    @property
    def records(self) -> tuple[Instance, ...]:
        """Every record in the state."""
        return self.runtime.store.snapshot().records


@dataclass(frozen=True, slots=True)
class CheckedCloud:
    """One provider, the credentials to use there, and the instance to check. None where nothing says so."""

    name: ProviderName
    profile: str | None = None
    region: str | None = None
    instance_type: str | None = None
    image: str | None = None
    subnet: str | None = None
    ssh_from: str | None = None

    def session(self, setup: CheckedSetup) -> Session:
        """The checked login; the same one each time. Raises what opening it raises."""
        return setup.runtime.sessions.open(self.name, self.profile)
