"""Work that outlives its process: what this process claims of it, and what it can offer to it."""

import os
import re
from contextlib import suppress

from gpuctl.domain.unfinished import Here
from gpuctl.errors import GpuctlError
from gpuctl.services.work_claims import WorkClaims
from gpuctl.wiring.invocation import Wiring

_HOLDER = re.compile(r"(?P<host>.+) process (?P<number>[1-9][0-9]*)")


def open_claims(wiring: Wiring) -> WorkClaims:
    """The claims of this process in the selected state."""
    return WorkClaims(wiring.store, wiring.clock, wiring.holder, is_gone)


def here(wiring: Wiring) -> Here:
    """What this process can offer to work."""
    key = None
    with suppress(GpuctlError):
        key = wiring.access.key().public
    return Here(wiring.platform.computer, os.uname().nodename, wiring.environ.keys(), key)


def is_gone(holder: str) -> bool:
    """Whether the process that this name of a holder means ran on this computer and does not run any more."""
    name = _HOLDER.fullmatch(holder)
    if name is None or name["host"] != os.uname().nodename:
        return False
    try:
        os.kill(int(name["number"]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False
