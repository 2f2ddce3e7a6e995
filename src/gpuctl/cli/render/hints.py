"""Hints as they are printed: in the sandbox they name commands that act on the sandbox."""

import re

from gpuctl.providers.registry import all_facts

_COMMAND = re.compile(r"\bgpuctl (?=[a-z])(?!sandbox\b|help\b)")
_PROVIDER_TOOL = re.compile(rf"(^|\W)({'|'.join(facts.tool for facts in all_facts())}) [a-z]")
_REFRESH = "gpuctl prices refresh"


def fitted(hint: str | None, *, in_sandbox: bool) -> str | None:
    """The hint with `--sandbox` in its commands; None for one that would not help in the sandbox.

    That is a command of a provider's own tool, which acts on a real account, and fetching prices.
    """
    if hint is None or not in_sandbox:
        return hint
    if _PROVIDER_TOOL.search(hint) or _REFRESH in hint:
        return None
    return _COMMAND.sub("gpuctl --sandbox ", hint)
