"""What the queue service of a provider must do for pools."""

from typing import Protocol

from gpuctl.domain.pools.load import QueueReading


class JobQueue(Protocol):
    """One queue of a provider."""

    def read(self) -> QueueReading:
        """How many messages wait and are being processed now. Raises CredentialsError, or a CloudError."""
        ...
