"""Work in a process of its own, for tests of what several processes do to one state."""

import os
from collections.abc import Callable


def forked(work: Callable[[], None]) -> int:
    """Start the work in a forked process, which exits with 0, or 1 after any exception, and return its process ID."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    except BaseException:
        os._exit(1)
    os._exit(0)
