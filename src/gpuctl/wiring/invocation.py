"""The settings, the store, the providers and the services of one invocation."""

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from gpuctl.clock import Clock
from gpuctl.domain.instance import Market, Price, ProviderName
from gpuctl.errors import StateUnusableError, UsageError
from gpuctl.home.environment import folder, home_of, login_name, path_of
from gpuctl.home.location import Home, home_of_state, state_url
from gpuctl.platform import Platform, read_platform
from gpuctl.redaction import Redactor
from gpuctl.services.progress import Progress
from gpuctl.wiring.selection import StateSelection
from gpuctl.wiring.state import StateOpener, check_place, note_computer, refuse_missing

if TYPE_CHECKING:
    from gpuctl.catalog import Catalog
    from gpuctl.catalog.extras import ExtraPrices
    from gpuctl.config import Config, Settings
    from gpuctl.domain.money.prices import PriceBook
    from gpuctl.home.prices import LocalPrices
    from gpuctl.providers.base import Connection, Provider
    from gpuctl.remote.access import Access
    from gpuctl.services.runtime import Runtime
    from gpuctl.store.base import RecordStore, State
    from gpuctl.wiring.server import UsedServer

# Asks the user for a secret, such as an MFA code, and returns the answer.
Prompt = Callable[[str], str]


@dataclass
class Wiring:
    """Everything that services need, each part built on first use. Creating it opens no file and no socket.

    `prompt` asks the user for a secret; None where nobody can answer. Credentials that become known are added to
    `redactor`. `place` is the service that runs this process, such as `kubernetes`; None on a computer.
    """

    selection: StateSelection
    environ: Mapping[str, str]
    clock: Clock
    progress: Progress
    redactor: Redactor
    prompt: Prompt | None = None
    platform: Platform = field(default_factory=read_platform)
    platform_name: str | None = None
    _state: "State | None" = field(default=None, init=False)
    _runtime: "Runtime | None" = field(default=None, init=False)

    @property
    def sandbox(self) -> bool:
        """Whether the providers are emulated on this computer."""
        return self.selection.sandbox

    @property
    def config_path(self) -> Path:
        """The config file, whether it exists or not."""
        named = self.selection.config
        has_home = self.environ.get("XDG_CONFIG_HOME") or home_of(self.environ)
        if named is None and self.selection.state is not None and not has_home:
            # Without a home directory, as in a container, nobody can have written a config file.
            return Path("/nonexistent/config.toml")
        return path_of(named) if named else folder("config", self.environ, self.platform.name) / "config.toml"

    @cached_property
    def settings(self) -> "Settings":
        """Every setting with its source. UsageError for a wrong one."""
        from gpuctl.config import read_settings

        return read_settings(
            self.config_path,
            is_explicit=self.selection.config is not None,
            environ=self.environ,
            profile=self.selection.profile,
            sandbox=self.sandbox,
        )

    @cached_property
    def config(self) -> "Config":
        """The values in force."""
        return self.settings.config

    @property
    def user(self) -> str:
        """The user where no option names one: GPUCTL_USER, the config, the login name."""
        return self.config.user or login_name(self.environ)

    @cached_property
    def sandbox_folder(self) -> Path:
        """Where the sandbox's server writes its address, whatever state is selected."""
        return self._default_folder() / "sandbox"

    @cached_property
    def state_url(self) -> str:
        """The path or URL of the state. Each sandbox server has its own, so a new server begins with an empty state."""
        named = self._named_state
        if named or not self.sandbox:
            url = state_url(named, self._default_folder)
            check_place(url, self.platform, self.progress, is_named=named is not None)
            return url
        from gpuctl.sandbox import state_folder

        return state_url(None, lambda: state_folder(self.sandbox_folder))

    @cached_property
    def _named_state(self) -> str | None:
        """The state that the options, the environment or the config names; None for the default one."""
        is_settled = self.selection.state is not None or self.sandbox
        # Most have no config file, and then a list pays for no settings.
        if is_settled or not (self.selection.config or self.selection.profile or self.config_path.exists()):
            return self.selection.state
        return self.config.state

    @cached_property
    def home(self) -> Home:
        """The folder for what belongs to this computer, whatever the store."""
        return home_of_state(self.state_url, self._default_folder)

    @property
    def state_folder(self) -> Path | None:
        """The folder of this state in `home`; None where the state does not exist yet."""
        state_id = self.store.state_id
        return None if state_id is None else self.home.of_state(state_id)

    def create_state_folder(self) -> Path:
        """The same folder, of a state that is created if it does not exist yet; the folder itself may be missing."""
        if self.store.state_id is None:
            self.store.add([], lambda present: None)
        return self.home.of_state(self.store.state_id or "")

    @property
    def state(self) -> "State":
        """The state, as its store keeps it."""
        if self._state is None:
            self._state = self.open_state(self.state_url, self.environ.get("GPUCTL_STATE_ID"))
            note_computer(self._state, self.platform.computer, self.progress)
        return self._state

    def open_state(self, named: str, new_state_id: str | None = None) -> "State":
        """The state of that path or URL, of the same kind as the selected one. Neither reads nor writes it."""
        url = state_url(named, self._default_folder)
        opener = StateOpener(self.environ, self.redactor, self.clock, is_sandbox=self.sandbox)
        return opener.open(url, home_of_state(url, self._default_folder).engines, new_state_id)

    @property
    def store(self) -> "RecordStore":
        """The records of the state."""
        return self.state.records

    @property
    def has_used_store(self) -> bool:
        """Whether this invocation opened the state."""
        return self._state is not None

    @property
    def has_written(self) -> bool:
        """Whether this invocation changed a record."""
        return self._state is not None and self._state.records.has_written

    @cached_property
    def holder(self) -> str:
        """What this process is called in the leases of the state."""
        if self.platform_name is not None:
            # Two instances of a function may have the same host name and process number.
            return f"{self.platform_name} {os.urandom(4).hex()}"
        return f"{os.uname().nodename} process {os.getpid()}"

    @property
    def price_books(self) -> "LocalPrices":
        """The prices fetched so far. UsageError where there is no home directory to keep them in."""
        from gpuctl.home.prices import LocalPrices

        return LocalPrices(self.home.prices)

    @cached_property
    def catalog(self) -> "Catalog":
        """Instance types and prices: the bundled ones and those fetched since; in the sandbox the assumed ones."""
        from gpuctl.catalog import Catalog
        from gpuctl.catalog.assumed import assumed_spot_prices

        return Catalog(assumed_spot_prices if self.sandbox else self._fetched_prices)

    @cached_property
    def extras(self) -> "ExtraPrices":
        """Prices of disks and public IPs; each provider's file is read once."""
        from gpuctl.catalog.extras import ExtraPrices

        return ExtraPrices()

    @cached_property
    def access(self) -> "Access":
        """How the instances of this state are reached by SSH."""
        from gpuctl.remote.access import Access

        return Access(
            key_folder=self.home.ssh,
            state_folder=self.create_state_folder,
            key_file=path_of(self.config.ssh.public_key) if self.config.ssh.public_key else None,
            user=self.config.ssh.user,
            options=self.config.ssh.options,
            echo=self.environ.get("GPUCTL_PUBLIC_IP_URL") or None,
            route=self._server.route if self.sandbox else None,
        )

    @property
    def runtime(self) -> "Runtime":
        """What services are run with."""
        if self._runtime is None:
            from gpuctl.home.rescue import RescueFolder
            from gpuctl.services.runtime import Runtime
            from gpuctl.services.sessions import Sessions

            self._runtime = Runtime(
                store=self.store,
                sessions=Sessions(self._open_provider, self.clock, self.progress),
                clock=self.clock,
                progress=self.progress,
                price_of=self._price_of,
                max_ttl=self.config.max_ttl,
                every_region=self._every_region,
                budgets=self.config.budget,
                extras_of=lambda name, region, disk_gb: self.extras.of(name, region, disk_gb),
                access=self.access,
                cooldown=self.state.cooldown,
                rescue=RescueFolder(lambda: self.state_folder),
            )
        return self._runtime

    def connection(self, profile: str | None) -> "Connection":
        """The connection with the credentials of that profile, or with the ambient ones."""
        from gpuctl.providers.base import Connection

        return Connection(profile=profile, environ=self.environ, ask=self.prompt, hide=self.redactor.add)

    def forget_credentials(self) -> None:
        """Look up credentials and time again on the next use of a provider, as long-running processes must."""
        self._runtime = None

    def start_sandbox(self) -> None:
        """In the sandbox, start its server if none runs. Call it before anything asks for the state's path."""
        if self.sandbox:
            _ = self._server.url

    def require_sandbox(self) -> None:
        """Raise SandboxStoppedError if the sandbox that this invocation has used was stopped."""
        if self.sandbox:
            self._server.require_running()

    def require_state(self) -> None:
        """Raise StateUnusableError if a state was selected explicitly and does not exist."""
        if self._named_state is not None:
            refuse_missing(self.store, self.state_url)

    def _default_folder(self) -> Path:
        return folder("state", self.environ, self.platform.name)

    @cached_property
    def _server(self) -> "UsedServer":
        from gpuctl.wiring.server import UsedServer

        return UsedServer(self.sandbox_folder, self.progress)

    def _open_provider(self, name: ProviderName, profile: str | None) -> "Provider":
        from gpuctl.providers.base import Connection
        from gpuctl.providers.registry import open_provider

        if self.sandbox:
            return open_provider(name, Connection(sandbox_url=self._server.url))
        return open_provider(name, self.connection(profile))

    def _price_of(self, name: ProviderName, instance_type: str, region: str, market: Market) -> Price | None:
        try:
            return self.catalog.offer(self.catalog.find(instance_type, name), region, market).price
        except UsageError:
            return None

    def _every_region(self) -> Mapping[ProviderName, Collection[str]]:
        from gpuctl.providers.registry import SUPPORTED

        return {name: self.catalog.regions(name) for name in SUPPORTED}

    def _fetched_prices(self, provider: ProviderName) -> "PriceBook | None":
        try:
            books = self.price_books
        except UsageError:
            # Without a home directory nothing can have been fetched.
            return None
        try:
            return books.read(provider)
        except StateUnusableError as error:
            self.progress.warn(f"{error.message}; the bundled prices are used")
            return None
