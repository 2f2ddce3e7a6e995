"""What watching commands have in common: Ctrl-C is how one leaves them, and no failure."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from gpuctl.errors import Interrupted


@contextmanager
def until_ctrl_c() -> Iterator[None]:
    """End quietly, as having succeeded, on SIGINT; every other signal ends the command as always."""
    try:
        yield
    except Interrupted as interrupted:
        if interrupted.signal_number != signal.SIGINT:
            raise
