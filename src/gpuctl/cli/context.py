"""What one invocation is made of; each part is built when it is first needed."""

import shutil
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gpuctl.cli.redaction import Redactor, cleaned
from gpuctl.cli.terminal.environment import folder, is_terminal, login_name, path_of
from gpuctl.cli.terminal.progress import TerminalProgress, TickingClock
from gpuctl.cli.terminal.streams import FORMATS, Globals, Streams
from gpuctl.clock import Clock
from gpuctl.domain.duration import shown
from gpuctl.errors import StateUnusableError, UsageError
from gpuctl.store.base import Kind

if TYPE_CHECKING:
    from gpuctl.catalog import Catalog
    from gpuctl.catalog.extras import ExtraPrices
    from gpuctl.config import Config, Settings
    from gpuctl.remote.access import Access
    from gpuctl.services.runtime import Runtime
    from gpuctl.store.local.reaper import LocalReapLog
    from gpuctl.store.local.store import LocalStore

_YES = ("1", "true", "yes", "on")


class Context:
    """The options, the environment, the streams, and everything that follows from them."""

    def __init__(self, streams: Streams, clock: Clock, environ: Mapping[str, str]) -> None:
        self.environ = environ
        self.redactor = Redactor(environ)
        self._bare = streams
        self.streams = cleaned(streams, self.redactor)
        self.globals = Globals()
        self.owes_events = False  # set by a command that tells hooks what others left
        self.is_interrupted = False  # set where a signal came, and the process is to leave soon
        self._clock = clock
        self._progress: TerminalProgress | None = None
        self._store: LocalStore | None = None
        self._runtime: Runtime | None = None

    @property
    def output(self) -> str:
        """The output's format: asked for, else a table on a terminal and tsv in a pipe."""
        asked = self.globals.output or self.environ.get("GPUCTL_OUTPUT")
        return asked or ("table" if is_terminal(self.streams.out) else "tsv")

    def refuse_unknown_output(self) -> None:
        """Raise UsageError if the environment asks for a format there is not."""
        asked = self.environ.get("GPUCTL_OUTPUT")
        if self.globals.output is None and asked is not None and asked not in FORMATS:
            raise UsageError(f"GPUCTL_OUTPUT must be table, json, csv or tsv, not {shown(asked)}")

    @property
    def is_output_chosen(self) -> bool:
        """Whether somebody asked for a format."""
        return bool(self.globals.output or self.environ.get("GPUCTL_OUTPUT"))

    @property
    def sandbox(self) -> bool:
        """Whether everything happens on this machine."""
        return self.globals.sandbox or self.environ.get("GPUCTL_SANDBOX", "").lower() in _YES

    @property
    def is_terminal(self) -> bool:
        """Whether a person is at both ends: stdin and stderr are terminals."""
        return is_terminal(self.streams.input) and is_terminal(self.streams.err)

    @property
    def may_ask(self) -> bool:
        """Whether a question would be read and answered."""
        return self.is_terminal and not self.globals.no_input and not self.environ.get("CI")

    @property
    def size(self) -> tuple[int, int]:
        """How large the terminal is now, in columns and lines."""
        return shutil.get_terminal_size((100, 24))

    @property
    def width(self) -> int:
        """How wide the terminal is, in columns."""
        return self.size[0]

    @property
    def can_redraw(self) -> bool:
        """Whether stdout is a terminal on which something can be drawn over what was there."""
        return is_terminal(self.streams.out) and self.environ.get("TERM") != "dumb"

    @property
    def has_color(self) -> bool:
        """Whether output may be coloured."""
        if self.globals.color in ("always", "never"):
            return self.globals.color == "always"
        return self.can_redraw and not self.environ.get("NO_COLOR")

    @property
    def progress(self) -> TerminalProgress:
        """Where progress and warnings are written."""
        if self._progress is None:
            self._progress = TerminalProgress(
                self.streams.err,
                self._clock,
                is_terminal=is_terminal(self.streams.err) and self.environ.get("TERM") != "dumb",
                is_quiet=self.globals.quiet,
                width=self.width,
            )
        return self._progress

    def log_to(self, path: Path) -> None:
        """From now on write down in that file, too, what is said."""
        from gpuctl.cli.terminal.log_file import logged

        # What goes into the file is cleaned as well.
        self.streams = cleaned(logged(self._bare, path, self._clock), self.redactor)
        self._progress = None

    @cached_property
    def clock(self) -> Clock:
        """The clock; its sleep keeps the progress line alive."""
        return TickingClock(self._clock, self.progress)

    @property
    def config_path(self) -> Path:
        """The config file, whether it exists or not."""
        named = self.globals.config or self.environ.get("GPUCTL_CONFIG")
        return path_of(named) if named else folder("config", self.environ) / "config.toml"

    @property
    def profile(self) -> str | None:
        """The profile that was chosen."""
        return self.globals.profile or self.environ.get("GPUCTL_PROFILE") or None

    @cached_property
    def settings(self) -> "Settings":
        """What is set, and where."""
        from gpuctl.config import read_settings

        return read_settings(
            self.config_path,
            is_explicit=bool(self.globals.config or self.environ.get("GPUCTL_CONFIG")),
            environ=self.environ,
            profile=self.profile,
            sandbox=self.sandbox,
        )

    @cached_property
    def config(self) -> "Config":
        """The settings in force."""
        return self.settings.config

    @property
    def state_is_explicit(self) -> bool:
        """Whether somebody said which state is meant."""
        return bool(self.globals.state or self.environ.get("GPUCTL_STATE"))

    @cached_property
    def sandbox_folder(self) -> Path:
        """Where the sandbox's server says where it is."""
        return folder("state", self.environ) / "sandbox"

    @cached_property
    def state_path(self) -> Path:
        """The state file. A sandbox server has one of its own, so a new server begins with an empty state."""
        named = self.globals.state or self.environ.get("GPUCTL_STATE")
        if named:
            return path_of(named)
        if not self.sandbox:
            return folder("state", self.environ) / "state.json"
        from gpuctl.sandbox import SandboxError, read_address

        try:
            address = read_address(self.sandbox_folder)
        except SandboxError as error:
            raise UsageError(error.message, hint=error.hint) from error
        return self.sandbox_folder / (address.nonce if address else "none") / "state.json"

    @property
    def store(self) -> "LocalStore":
        """The records."""
        if self._store is None:
            from gpuctl.store.local.store import LocalStore

            self._store = LocalStore(
                self.state_path,
                kind=Kind.SANDBOX if self.sandbox else Kind.REAL,
                clock=self._clock,
                new_state_id=self.environ.get("GPUCTL_STATE_ID"),
            )
        return self._store

    @property
    def has_used_store(self) -> bool:
        """Whether this command opened the state."""
        return self._store is not None

    @cached_property
    def reap_log(self) -> "LocalReapLog":
        """What the reaper remembers."""
        from gpuctl.store.local.reaper import LocalReapLog

        return LocalReapLog(self.state_path)

    @cached_property
    def catalog(self) -> "Catalog":
        """Shapes and prices: those that ship, and those read since."""
        from gpuctl.cli.pricebooks import catalog

        return catalog(self)

    @cached_property
    def extras(self) -> "ExtraPrices":
        """Prices of disks and addresses; each provider's file is read once."""
        from gpuctl.catalog.extras import ExtraPrices

        return ExtraPrices()

    @property
    def runtime(self) -> "Runtime":
        """What services are built of. Nothing of it opens a socket before it is used."""
        if self._runtime is None:
            from gpuctl.cli.wiring import runtime_of

            self._runtime = runtime_of(self)
        return self._runtime

    @property
    def ssh_folder(self) -> Path:
        """Where this state keeps what it needs to get onto its machines."""
        return self.state_path.with_name(f"{self.state_path.name}.ssh")

    @cached_property
    def access(self) -> "Access":
        """How the machines of this state are got onto."""
        from gpuctl.remote.access import Access

        settings = self.config.ssh
        return Access(
            folder=self.ssh_folder,
            key_file=path_of(settings.key) if settings.key else None,
            user=settings.user,
            options=settings.options,
            echo=self.environ.get("GPUCTL_IP_ECHO") or None,
            is_sandbox=self.sandbox,
        )

    @property
    def has_written(self) -> bool:
        """Whether this command changed any record."""
        return self._store is not None and self._store.has_written

    def forget_logins(self) -> None:
        """Ask anew whose logins these are and what time it is there, as a process that goes on for ever must."""
        self._runtime = None

    def start_sandbox(self) -> None:
        """In the sandbox, start its server if it does not run, before anything asks where the state is."""
        if self.sandbox:
            from gpuctl.cli.wiring import sandbox_url

            sandbox_url(self)

    def require_state(self) -> None:
        """Raise StateUnusableError if a state was named that does not exist."""
        if self.state_is_explicit and self.store.snapshot().state_id is None:
            raise StateUnusableError(
                f"state file `{self.store.location}` does not exist",
                hint="check `--state`, or create it with: gpuctl provision",
            )

    def confirm(self, question: str) -> bool:
        """Ask on the terminal, where only a yes is a yes."""
        self.progress.clear()
        self.streams.err.write(f"{question} [y/N] ")
        self.streams.err.flush()
        return self.streams.input.readline().strip().lower() in ("y", "yes")

    @property
    def user(self) -> str:
        """Who asks, where no flag says so: GPUCTL_USER, the config, the login name."""
        return self.config.user or login_name(self.environ)
