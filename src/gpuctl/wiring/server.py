"""The server of the sandbox that an invocation uses, and whether it is still the same one."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from gpuctl.errors import CloudError
from gpuctl.sandbox import ServerAddress, ensure, read_address, ssh_options, status
from gpuctl.services.progress import Progress


class SandboxStoppedError(CloudError):
    """The sandbox that a command used was stopped, and its instances ended with it."""


@dataclass
class UsedServer:
    """The server of that folder, which is started when it is first needed."""

    folder: Path
    progress: Progress
    _address: ServerAddress | None = field(default=None, init=False)

    @property
    def url(self) -> str:
        """Where the server answers. Starts one if none runs; raises what `ensure` raises."""
        if status(self.folder) is None:
            self.progress.step("starting the sandbox")
        self._address = ensure(self.folder)
        self.progress.clear()
        return self._address.url

    def route(self, address: str, key: str) -> tuple[str, ...]:
        """The options of ssh that lead that public key to the instance with that address; raises as `ssh_options`."""
        return ssh_options(self.folder, address, key)

    def require_running(self) -> None:
        """Raise SandboxStoppedError if the server that was used has ended, or another one has taken its place.

        Sends no request, and does nothing before the first use.
        """
        if self._address is None:
            return
        present = read_address(self.folder)
        try:
            os.kill(self._address.pid, 0)
        except ProcessLookupError:
            present = None
        if present is None or present.nonce != self._address.nonce:
            raise SandboxStoppedError(
                "the sandbox was stopped, and its instances ended with it", hint="gpuctl sandbox start"
            )
