"""Turns signals into an exception, and limits the time of what an interrupted command still has to do."""

import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from threading import current_thread, main_thread
from types import FrameType

from gpuctl.cli.context import Context
from gpuctl.domain.instance import Instance
from gpuctl.errors import Failure, Interrupted

# Together less than 8 s: what stops a process, such as CI or an init system, sends SIGKILL about 10 s later.
TERMINATE_WITHIN = timedelta(seconds=5)
HOOKS_WITHIN = timedelta(seconds=2)

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class _TimeLimitReached(BaseException):
    """No Exception: nothing that carries on after a failure may carry on after this."""


@contextmanager
def interruptible() -> Iterator[None]:
    """Raise Interrupted in the main thread on SIGINT, SIGTERM and SIGHUP.

    A signal that the parent process ignores (nohup) stays ignored. In another thread, where Python allows no handlers,
    this does nothing.
    """
    if current_thread() is not main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler is not signal.SIG_IGN:
            signal.signal(number, _interrupt)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def time_limit(span: timedelta) -> Iterator[None]:
    """Leave the block after that time, wherever it is: a call that never returns is left as well.

    In another thread than the main one there is no limit.
    """
    if current_thread() is not main_thread():
        yield
        return
    is_over = False

    def on_alarm(number: int, frame: FrameType | None) -> None:
        if not is_over:
            raise _TimeLimitReached

    before = signal.signal(signal.SIGALRM, on_alarm)
    signal.setitimer(signal.ITIMER_REAL, span.total_seconds())
    try:
        try:
            yield
        finally:
            is_over = True
    except _TimeLimitReached:
        pass
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def terminate_in_time(context: Context, written: Sequence[Instance], created: Sequence[Instance]) -> None:
    """Request the termination of these instances within seconds; warn of what the state could not record of it."""
    from gpuctl.services.launch.emergency import end_interrupted

    with time_limit(TERMINATE_WITHIN):
        unrecorded = end_interrupted(context.wiring.runtime, written, created)
        if unrecorded is not None:
            context.progress.warn(unrecorded.message)


@contextmanager
def terminating(
    context: Context, written: Sequence[Instance], created: Sequence[Instance], *failures: type[Failure]
) -> Iterator[None]:
    """Requests the termination of these instances, within seconds, if one of these failures leaves the block."""
    try:
        yield
    except failures:
        terminate_in_time(context, written, created)
        raise


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise Interrupted(f"interrupted by {signal.Signals(number).name}", signal_number=number)
