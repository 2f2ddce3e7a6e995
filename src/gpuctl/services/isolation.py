"""The one place where any exception is caught: a bug in the step for one instance must not keep the others alive."""

import traceback
from collections.abc import Callable, Sequence
from typing import TypeVar

from gpuctl.errors import GpuctlError

Item = TypeVar("Item")


def run_isolated(
    items: Sequence[Item], step: Callable[[Sequence[Item]], None], on_bug: Callable[[Item, str], None]
) -> None:
    """Do the step for all items at once; if a bug stops it, do it for each item alone and report the failing ones.

    The step must be harmless when done twice. A GpuctlError is no bug: it is raised. `on_bug` gets the item and the
    text of the traceback.
    """
    try:
        step(items)
    except GpuctlError:
        raise
    except Exception:  # noqa: BLE001 - one instance's bug must never keep other instances alive and billing
        if len(items) == 1:
            on_bug(items[0], traceback.format_exc())
            return
        for item in items:
            run_isolated([item], step, on_bug)
