"""What one invocation works with, by its options and its environment."""

from collections.abc import Mapping
from dataclasses import dataclass

from gpuctl.domain.duration import as_typed
from gpuctl.errors import UsageError

YES = ("1", "true", "yes", "on")
_NO = ("", "0", "false", "no", "off")


def refuse_unknown_sandbox(environ: Mapping[str, str]) -> None:
    """Raise UsageError if `GPUCTL_SANDBOX` is neither yes nor no: a typing error must not mean the real account."""
    text = environ.get("GPUCTL_SANDBOX", "")
    if text.lower() not in (*YES, *_NO):
        raise UsageError(
            f"GPUCTL_SANDBOX must be 1, true, yes or on, or else 0, false, no, off or empty, not {as_typed(text)}",
            hint="add `--sandbox`, or set GPUCTL_SANDBOX=1",
        )


@dataclass(frozen=True, slots=True)
class StateSelection:
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
    ) -> "StateSelection":
        """The given values, and where there is none the variables `GPUCTL_STATE`, `_CONFIG`, `_PROFILE`, `_SANDBOX`."""
        return cls(
            state=state or environ.get("GPUCTL_STATE") or None,
            config=config or environ.get("GPUCTL_CONFIG") or None,
            profile=profile or environ.get("GPUCTL_PROFILE") or None,
            sandbox=sandbox or environ.get("GPUCTL_SANDBOX", "").lower() in YES,
        )
