"""What one command line is run with: its options, the terminal, and the wiring that follows from them."""

import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path

from gpuctl.cli.terminal.progress import TerminalProgress, TickingClock
from gpuctl.cli.terminal.streams import FORMATS, Globals, Streams, cleaned, is_terminal
from gpuctl.clock import Clock
from gpuctl.domain.duration import as_typed
from gpuctl.errors import UsageError
from gpuctl.platform import Platform, read_platform
from gpuctl.providers.registry import secret_variables
from gpuctl.redaction import Redactor
from gpuctl.wiring.invocation import Wiring
from gpuctl.wiring.selection import StateSelection, refuse_unknown_sandbox


class Context:
    """The options, the environment, the streams, and what a person at the terminal sees and answers."""

    def __init__(
        self, streams: Streams, clock: Clock, environ: Mapping[str, str], platform: Platform | None = None
    ) -> None:
        self.environ = environ
        self._platform = platform
        self.redactor = Redactor(environ, secret_variables())
        self._uncleaned = streams
        self.streams = cleaned(streams, self.redactor)
        self.globals = Globals()
        self.owes_events = False  # set by a command that delivers events of other commands
        self.is_interrupted = False  # set after a signal: the process must exit soon
        self._clock = clock

    @cached_property
    def platform(self) -> Platform:
        """The operating system of this computer."""
        return self._platform or read_platform(self.environ)

    @property
    def output(self) -> str:
        """The output format: as selected, else a table on a terminal and tsv in a pipe."""
        selected = self.globals.output or self.environ.get("GPUCTL_OUTPUT")
        return selected or ("table" if is_terminal(self.streams.out) else "tsv")

    def refuse_unknown_environment(self) -> None:
        """Raise UsageError if the environment selects an unknown output format, or has an unknown `GPUCTL_SANDBOX`."""
        selected = self.environ.get("GPUCTL_OUTPUT")
        if self.globals.output is None and selected is not None and selected not in FORMATS:
            raise UsageError(f"GPUCTL_OUTPUT must be table, json, csv or tsv, not {as_typed(selected)}")
        if not self.globals.sandbox:
            refuse_unknown_sandbox(self.environ)

    @property
    def is_output_chosen(self) -> bool:
        """Whether an output format was selected explicitly."""
        return bool(self.globals.output or self.environ.get("GPUCTL_OUTPUT"))

    @property
    def selection(self) -> StateSelection:
        """The state, config file, profile and kind of providers that the options and the environment select."""
        options = self.globals
        return StateSelection.of(
            self.environ, state=options.state, config=options.config, profile=options.profile, sandbox=options.sandbox
        )

    @property
    def sandbox(self) -> bool:
        """Whether the providers are emulated on this computer."""
        return self.selection.sandbox

    @property
    def is_terminal(self) -> bool:
        """Whether stdin and stderr are terminals."""
        return is_terminal(self.streams.input) and is_terminal(self.streams.err)

    @property
    def may_prompt(self) -> bool:
        """Whether a question would be read and answered."""
        return self.is_terminal and not self.globals.no_input and not self.environ.get("CI")

    @property
    def size(self) -> tuple[int, int]:
        """The size of the terminal now, in columns and lines."""
        return shutil.get_terminal_size((100, 24))

    @property
    def width(self) -> int:
        """The width of the terminal now, in columns."""
        return self.size[0]

    @property
    def can_redraw(self) -> bool:
        """Whether stdout is a terminal on which text can be overwritten."""
        return is_terminal(self.streams.out) and self.environ.get("TERM") != "dumb"

    @property
    def has_color(self) -> bool:
        """Whether output may be colored."""
        if self.globals.color in ("always", "never"):
            return self.globals.color == "always"
        return self.can_redraw and not self.environ.get("NO_COLOR")

    @cached_property
    def progress(self) -> TerminalProgress:
        """Where progress and warnings are written: stderr, and the log file if there is one."""
        return TerminalProgress(
            self.streams.err,
            self._clock,
            is_terminal=is_terminal(self.streams.err) and self.environ.get("TERM") != "dumb",
            is_quiet=self.globals.quiet,
            width=self.width,
            fit=with_sandbox if self.sandbox else str,
        )

    def log_to(self, path: Path) -> None:
        """From now on append everything printed to that file, too."""
        from gpuctl.cli.terminal.log_file import logged

        # Secrets are removed before a line is written to the log file.
        self.streams = cleaned(logged(self._uncleaned, path, self._clock), self.redactor)
        self.progress.stream = self.streams.err

    @cached_property
    def clock(self) -> Clock:
        """The clock; its sleep keeps the progress line up to date, and ends where the sandbox in use was stopped."""
        return TickingClock(self._clock, self.progress, lambda: self.wiring.require_sandbox())

    @cached_property
    def wiring(self) -> Wiring:
        """The settings, the store, the providers and the services that this command line selects."""
        prompt = self._prompt if self.may_prompt else None
        return Wiring(self.selection, self.environ, self.clock, self.progress, self.redactor, prompt, self.platform)

    def confirm(self, question: str) -> bool:
        """Ask on the terminal; only `y` and `yes` confirm."""
        self.progress.clear()
        self.streams.err.write(f"{question} [y/N] ")
        self.streams.err.flush()
        return self.streams.input.readline().strip().lower() in ("y", "yes")

    def _prompt(self, question: str) -> str:
        """Read a secret, such as an MFA code, from the terminal without echo."""
        from getpass import getpass

        self.progress.clear()
        return getpass(question)


def with_sandbox(text: str) -> str:
    """The text with `--sandbox` in the commands of gpuctl that it names, which then act on the sandbox."""
    import re

    from gpuctl.cli.command_table import COMMANDS

    # In a sentence, `gpuctl` may precede any word, such as in "gpuctl tags".
    names = "|".join(name for name in COMMANDS if name not in ("sandbox", "help"))
    return re.sub(rf"\bgpuctl (?=({names})\b)", "gpuctl --sandbox ", text)
