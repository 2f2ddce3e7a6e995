"""What one invocation works with, by its options and its environment."""

from collections.abc import Mapping
from dataclasses import dataclass

_YES = ("1", "true", "yes", "on")


@dataclass(frozen=True, slots=True)
class Selection:
    """The state, config file, profile and kind of providers that an invocation works with; None means the default."""

    state: str | None
    config: str | None
    profile: str | None
    sandbox: bool

    @classmethod
    def of(
        cls,
        environ: Mapping[str, str],
        *,
        state: str | None = None,
        config: str | None = None,
        profile: str | None = None,
        sandbox: bool = False,
    ) -> "Selection":
        """The given values, and where there is none the variables `GPUCTL_STATE`, `_CONFIG`, `_PROFILE`, `_SANDBOX`."""
        return cls(
            state=state or environ.get("GPUCTL_STATE") or None,
            config=config or environ.get("GPUCTL_CONFIG") or None,
            profile=profile or environ.get("GPUCTL_PROFILE") or None,
            sandbox=sandbox or environ.get("GPUCTL_SANDBOX", "").lower() in _YES,
        )
