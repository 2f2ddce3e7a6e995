"""Hints as they are printed: their commands act on the sandbox and the state that the command line selected."""

import re
import shlex

from gpuctl.providers.registry import all_facts

_COMMAND = re.compile(r"\bgpuctl (?=[a-z])(?!sandbox\b|help\b)")
_PROVIDER_TOOL = re.compile(rf"(^|\W)({'|'.join(facts.tool for facts in all_facts())}) [a-z]")
_STATE = re.compile(r"--state(?![\w-])")
_REFRESH = "gpuctl prices refresh"


def fitted(hint: str | None, *, in_sandbox: bool, state: str | None = None) -> str | None:
    """The hint with `--sandbox` and the given `--state` in its commands; a hint that names a state keeps that.

    None for one that would not help in the sandbox: a command of a provider's own tool, which acts on a real account,
    and fetching prices.
    """
    if hint is None or (in_sandbox and (_PROVIDER_TOOL.search(hint) or _REFRESH in hint)):
        return None
    options = "--sandbox " if in_sandbox else ""
    if state is not None and not _STATE.search(hint):
        options += f"--state {shlex.quote(state)} "
    return _COMMAND.sub(lambda match: match[0] + options, hint)
