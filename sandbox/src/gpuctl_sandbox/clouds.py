"""The table of emulated clouds, one row each."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from werkzeug.wrappers import Request

from gpuctl_sandbox.aws import AwsCloud
from gpuctl_sandbox.aws.control import control as control_aws
from gpuctl_sandbox.aws.fidelity import RULES as AWS_RULES
from gpuctl_sandbox.azure import ArmCloud
from gpuctl_sandbox.azure.fidelity import RULES as AZURE_RULES
from gpuctl_sandbox.fidelity import Rule
from gpuctl_sandbox.gcp import ComputeCloud
from gpuctl_sandbox.gcp.fidelity import RULES as GCP_RULES
from gpuctl_sandbox.guests.guest import Guest
from gpuctl_sandbox.operated import control


class Cloud(Protocol):
    """An emulated cloud: a WSGI application, and what a test may ask behind its back."""

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]: ...

    def owns(self, path: str) -> bool:
        """Whether a path is one of this cloud's."""
        ...

    def instances(self) -> list[dict[str, Any]]:
        """Every instance that truly exists or existed since the last reset, oldest first."""
        ...

    def guests(self) -> list[Guest]:
        """Every instance that exists now, running or not, as those who log in find it."""
        ...

    def power_off(self, instance_id: str, /) -> bool:
        """Let an instance power itself off. False if none that runs has that ID."""
        ...

    def calls(self) -> list[dict[str, str]]:
        """The calls served since the last reset, oldest first."""
        ...

    def interrupt(self, instance_id: str, /) -> bool:
        """Take a spot instance back. False if no spot instance has that ID."""
        ...

    def reset(self) -> None:
        """Empty the cloud."""
        ...


@dataclass(frozen=True)
class Row:
    """One cloud: the name in its control paths, how it is made from a clock, and the rules that it holds to.

    `control` serves its own control paths: the JSON value and status for a method and the rest of the path, None if
    that means nothing.
    """

    name: str
    make: Callable[[Callable[[], datetime]], Cloud]
    control: Callable[[Any, str, str, Request], tuple[object, int] | None]
    rules: Sequence[Rule]


# The first one serves every path that no other owns.
CLOUDS = (
    Row("aws", AwsCloud, control_aws, AWS_RULES),
    Row("azure", ArmCloud, control, AZURE_RULES),
    Row("gcp", ComputeCloud, control, GCP_RULES),
)
