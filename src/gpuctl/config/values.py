"""The settings in force, as the commands use them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from typing import Any

from gpuctl.domain.instance import ProviderName
from gpuctl.domain.market.request import DEFAULT_MAX_TTL
from gpuctl.domain.money.budgets import Budgets, Limits
from gpuctl.providers.registry import all_facts

Path = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CloudConfig:
    """What the config says about one cloud. `regions` are further ones for the reaper to sweep.

    `profile` is the name that credentials have there, such as a profile or a subscription.
    """

    region: str | None = None
    regions: tuple[str, ...] = ()
    profile: str | None = None
    image: str | None = None
    subnet: str | None = None


@dataclass(frozen=True, slots=True)
class SshConfig:
    """How people get onto a machine: the key file, from where (`auto`, `none` or a CIDR), further options of ssh."""

    key: str | None = None
    ssh_from: str = "auto"
    options: tuple[str, ...] = ()
    user: str | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting with its value in force. `hooks` go from an event's name, such as `ready`, to a command or URL."""

    user: str | None = None
    max_ttl: timedelta = DEFAULT_MAX_TTL
    confirm_above: Decimal = Decimal(10)
    keep_ended: timedelta = timedelta(days=7)
    reap_state_ids: tuple[str, ...] = ()
    clouds: Mapping[ProviderName, CloudConfig] = field(default_factory=dict)
    budget: Budgets = field(default_factory=Budgets)
    hooks: Mapping[str, str] = field(default_factory=dict)
    ssh: SshConfig = field(default_factory=SshConfig)

    def cloud(self, name: ProviderName) -> CloudConfig:
        """What is set for that cloud; nothing where it is not mentioned."""
        return self.clouds.get(name, CloudConfig())


_DEFAULT = Config()
DEFAULTS: Mapping[Path, Any] = {
    ("max_ttl",): _DEFAULT.max_ttl,
    ("confirm_above",): _DEFAULT.confirm_above,
    ("keep_ended",): _DEFAULT.keep_ended,
    ("budget", "action"): _DEFAULT.budget.action,
    ("ssh", "from"): _DEFAULT.ssh.ssh_from,
}


def config_of(values: Mapping[Path, Any]) -> Config:
    """The config those values make; what has none keeps its default."""
    plain = {path[0]: value for path, value in values.items() if len(path) == 1}
    clouds = {}
    for facts in all_facts():
        named = {("profile" if key == facts.login else key): value for key, value in _below(values, facts.name).items()}
        if named:
            clouds[facts.name] = CloudConfig(**named)
    ssh = {("ssh_from" if key == "from" else key): value for key, value in _below(values, "ssh").items()}
    return Config(
        **plain,
        clouds=clouds,
        budget=Budgets(**_below(values, "budget"), per_user=_limits(values, "user"), per_tag=_limits(values, "tag")),
        hooks=_below(values, "hooks"),
        ssh=SshConfig(**ssh),
    )


def _below(values: Mapping[Path, Any], section: str) -> dict[str, Any]:
    return {path[1]: value for path, value in values.items() if path[0] == section and len(path) == 2}


def _limits(values: Mapping[Path, Any], what: str) -> dict[str, Limits]:
    told: dict[str, dict[str, Any]] = {}
    for path, value in values.items():
        if path[:2] == ("budget", what) and len(path) == 4:
            told.setdefault(path[2], {})[path[3]] = value
    return {name: Limits(**limits) for name, limits in told.items()}
