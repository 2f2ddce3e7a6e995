"""What a command says on stderr: news, warnings, and the step it is waiting in."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TextIO

from gpuctl.cli.terminal.text import brief, clean
from gpuctl.clock import Clock

_TICK = timedelta(seconds=1)


class TerminalProgress:
    """Talks to a person at a terminal, where the present step is one line that redraws itself with the elapsed time;
    in a pipe a step is printed once, when it changes. With `is_quiet` only warnings are heard."""

    def __init__(
        self,
        stream: TextIO,
        clock: Clock,
        *,
        is_terminal: bool,
        is_quiet: bool,
        width: int,
        fit: Callable[[str], str] = str,
    ) -> None:
        self.stream = stream
        self._fit = fit
        self._clock = clock
        self._is_terminal = is_terminal
        self._is_quiet = is_quiet
        self._width = width
        self._step = ""
        self._since = clock.elapsed()
        self._held: list[str] | None = None

    @property
    def is_active(self) -> bool:
        """Whether what is said may redraw itself."""
        return self._is_terminal

    def info(self, text: str) -> None:
        if not self._is_quiet:
            self._write(brief(self._fit(text)))

    def warn(self, text: str, *, is_complete: bool = False) -> None:
        self._write(f"warning: {clean(text) if is_complete else brief(self._fit(text))}")

    def trace(self, text: str) -> None:
        self._write(text.rstrip("\n"))

    def step(self, text: str) -> None:
        if self._held is not None or self._is_quiet or (text == self._step and not self._is_terminal):
            return
        self._step = text
        if self._is_terminal:
            self.redraw()
        else:
            self._put(f"{clean(text)}\n")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Leave the screen to a live table: progress lines are dropped, other lines are printed at the end."""
        self.clear()
        self._held = []
        try:
            yield
        finally:
            current, self._held = self._held, None
            for line in dict.fromkeys(current):
                self._write(line)

    def redraw(self) -> None:
        """Draw the present step again, with the time that has passed."""
        if self._is_terminal and self._step and not self._is_quiet:
            seconds = int((self._clock.elapsed() - self._since).total_seconds())
            line = f"{clean(self._step)} · {seconds // 60}:{seconds % 60:02}"
            self._put(f"\r\x1b[K{line[: self._width - 1]}")

    def clear(self) -> None:
        """Take the present step off the screen: it is over."""
        if self._is_terminal and self._step and not self._is_quiet:
            self._put("\r\x1b[K")
        self._step = ""

    def _write(self, line: str) -> None:
        if self._held is not None:
            self._held.append(line)
            return
        step = self._step
        self.clear()
        self._put(f"{line}\n")
        # In a pipe as well: the step goes on, and is not printed again.
        self._step = step
        self.redraw()

    def _put(self, text: str) -> None:
        # A closed or full stderr must not prevent a termination.
        try:
            self.stream.write(text)
            self.stream.flush()
        except (OSError, ValueError):
            return


class TickingClock:
    """A clock whose sleep keeps the present step's elapsed time alive on a terminal.

    `check` is called each second of a sleep, and ends what waits in vain by raising.
    """

    def __init__(self, clock: Clock, progress: TerminalProgress, check: Callable[[], None] = lambda: None) -> None:
        self._clock = clock
        self._progress = progress
        self._check = check
        self.now = clock.now
        self.elapsed = clock.elapsed

    def sleep(self, span: timedelta) -> None:
        """Wait that long, a second at a time."""
        until = self._clock.elapsed() + span
        while (left := until - self._clock.elapsed()) > timedelta(0):
            self._clock.sleep(min(left, _TICK))
            self._progress.redraw()
            self._check()
