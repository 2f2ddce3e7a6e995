"""What a command line says of a machine it wants and how to go about getting it: declared once, for every command."""

from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields
from datetime import timedelta
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, TypeVar

import typer

from gpuctl.cli import options
from gpuctl.cli.context import Context
from gpuctl.domain.duration import parse_duration, parse_minutes, shown
from gpuctl.domain.instance import Market, ProviderName
from gpuctl.domain.market.request import DEFAULT_PURPOSE, Request
from gpuctl.domain.market.ssh_source import AUTO, Source, source
from gpuctl.errors import UsageError
from gpuctl.providers.registry import all_facts, example
from gpuctl.services.launch.offers import Defaults, DefaultsOf
from gpuctl.services.launch.retry import MAX_RETRIES, Retrying

_WHAT, _NEED, _PRICE = "Instance", "GPU requirements (instead of TYPE)", "Price"
_WHO, _HOW = "Labels", "Launch behavior"

_IDLE = f" ({' and '.join(facts.title for facts in all_facts() if facts.capabilities.idle_ends)} only)"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What a command line says of the machine it wants; a field is an option, in the order that help shows them."""

    instance_type: Annotated[
        str | None,
        typer.Argument(metavar="[TYPE]", help=f"Instance type, such as {example().example_type}", show_default=False),
    ] = None
    region: Annotated[
        str | None,
        typer.Option(
            metavar="REGION", help="Region, comma-separated list in order of preference, or any", rich_help_panel=_WHAT
        ),
    ] = None
    provider: Annotated[
        str | None,
        typer.Option(
            metavar="PROVIDER", help=f"Cloud provider: {options.PROVIDERS} [default: from TYPE]", rich_help_panel=_WHAT
        ),
    ] = None
    ttl: Annotated[
        str,
        typer.Option(
            "--ttl",
            "--auto-terminate",
            metavar="TIME",
            help="Time until termination: minutes, or a duration such as 1h30m",
            rich_help_panel=_WHAT,
        ),
    ] = "60"
    idle: Annotated[
        str | None,
        typer.Option(metavar="TIME", help=f"Terminate early after TIME without activity{_IDLE}", rich_help_panel=_WHAT),
    ] = None
    disk_size: Annotated[
        str, typer.Option(metavar="GB", help="Size of the boot disk in GB, 30 to 16384", rich_help_panel=_WHAT)
    ] = "100"
    image: Annotated[
        str | None,
        typer.Option(
            metavar="IMAGE", help="Boot image [default: latest GPU image of the provider]", rich_help_panel=_WHAT
        ),
    ] = None
    subnet: Annotated[
        str | None, typer.Option(metavar="SUBNET", help="Subnet ID [default: chosen by gpuctl]", rich_help_panel=_WHAT)
    ] = None
    ssh_from: Annotated[
        str | None,
        typer.Option(
            metavar="CIDR", help="Allowed SSH source: CIDR range, auto (your IP address) or none", rich_help_panel=_WHAT
        ),
    ] = None
    count: Annotated[str, typer.Option(metavar="N", help="Number of instances, 1 to 50", rich_help_panel=_WHAT)] = "1"
    allow_retired: Annotated[
        bool,
        typer.Option("--allow-retired", help="Allow an instance type retired by the provider", rich_help_panel=_WHAT),
    ] = False
    gpu: Annotated[
        str | None,
        typer.Option(metavar="MODEL", help="GPU model, such as T4 or 'A100 80GB'", rich_help_panel=_NEED),
    ] = None
    gpu_count: Annotated[
        str | None, typer.Option(metavar="N", help="Minimum number of GPUs", rich_help_panel=_NEED)
    ] = None
    min_memory: Annotated[
        str | None, typer.Option(metavar="GIB", help="Minimum memory per GPU in GiB", rich_help_panel=_NEED)
    ] = None
    max_price: Annotated[
        str | None, typer.Option(metavar="USD", help="Maximum compute price in USD per hour", rich_help_panel=_PRICE)
    ] = None
    spot: Annotated[
        bool, typer.Option("--spot", help="Use a spot instance (cheaper; can be interrupted)", rich_help_panel=_PRICE)
    ] = False
    fallback: Annotated[
        str | None,
        typer.Option(metavar="on-demand", help="Use on-demand if there is no spot capacity", rich_help_panel=_PRICE),
    ] = None
    allow_unknown_price: Annotated[
        bool,
        typer.Option(
            "--allow-unknown-price", help="Skip budget checks for instances of unknown price", rich_help_panel=_WHAT
        ),
    ] = False
    name: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Unique name; an active instance of this name is reused", rich_help_panel=_WHO
        ),
    ] = None
    user: Annotated[
        str | None, typer.Option(metavar="USER", help="Owner [default: login name]", rich_help_panel=_WHO)
    ] = None
    task: Annotated[str | None, typer.Option(metavar="TASK", help="Task label", rich_help_panel=_WHO)] = None
    purpose: Annotated[str, typer.Option(metavar="TEXT", help="Purpose (free text)", rich_help_panel=_WHO)] = (
        DEFAULT_PURPOSE
    )
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="K=V", help="Tag for all resources of the instance (repeatable)", rich_help_panel=_WHO),
    ] = None
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait until ready", rich_help_panel=_HOW)] = True
    timeout: Annotated[
        str | None,
        typer.Option(
            metavar="TIME",
            help="Terminate if not ready after TIME [default: 15m; 30m with 8 GPUs or on bare metal]",
            rich_help_panel=_HOW,
        ),
    ] = None
    keep: Annotated[
        bool, typer.Option("--keep", help="Keep the instance if it is not ready in time", rich_help_panel=_HOW)
    ] = False
    check: Annotated[
        str | None,
        typer.Option(
            metavar="ssh|COMMAND", help="Readiness check: ssh, or a command run over SSH", rich_help_panel=_HOW
        ),
    ] = None
    retries: Annotated[
        str, typer.Option(metavar="N", help="Retries for temporary errors, 0 to 20", rich_help_panel=_HOW)
    ] = "0"
    backoff: Annotated[
        str, typer.Option(metavar="TIME", help="Wait before retry N: N times TIME", rich_help_panel=_HOW)
    ] = "5s"
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Show matching offers and their cost; create nothing", rich_help_panel=_HOW),
    ] = False
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Skip confirmation", rich_help_panel=_HOW)] = False

    @property
    def patience(self) -> timedelta | None:
        """How long to wait until the instance is ready, None for the default of its type.

        UsageError for a time that cannot be read.
        """
        return None if self.timeout is None else parse_duration(self.timeout, option="--timeout")

    @property
    def retrying(self) -> Retrying:
        """How often to try again, and after which pause. UsageError for what cannot be read."""
        most = options.whole(self.retries, option="--retries")
        if not 0 <= most <= MAX_RETRIES:
            raise UsageError(f"--retries must be 0 to {MAX_RETRIES}, not `{most}`")
        return Retrying(most, parse_duration(self.backoff, option="--backoff"))

    def request(self, context: Context) -> Request:
        """The request. UsageError for the first value that cannot be read; what they mean together is checked later."""
        if self.check is not None:
            context.wiring.access.refuse_strangers()
        if self.fallback not in (None, Market.ON_DEMAND):
            raise UsageError(f"--fallback can only be `on-demand`, not {shown(self.fallback or '')}")
        return Request(
            user=self.user or context.wiring.user,
            provider=options.supported_provider(self.provider),
            instance_type=self.instance_type,
            region=self.region,
            disk_gb=options.whole(self.disk_size, option="--disk-size"),
            ttl=parse_minutes(self.ttl, option="--ttl"),
            count=options.whole(self.count, option="--count"),
            name=self.name,
            task=self.task,
            purpose=self.purpose,
            tags=options.tags(self.tag),
            image=self.image,
            subnet=self.subnet,
            allow_retired=self.allow_retired,
            allow_unknown_price=self.allow_unknown_price,
            gpu=self.gpu,
            min_gpus=options.number(self.gpu_count, option="--gpu-count"),
            min_memory_gib=options.gib(self.min_memory, option="--min-memory"),
            max_price=options.usd(self.max_price, option="--max-price"),
            market=Market.SPOT if self.spot else Market.ON_DEMAND,
            falls_back=self.fallback is not None,
            idle=parse_duration(self.idle, option="--idle") if self.idle else None,
            ssh_from=self._source(context),
            check=self.check,
        )

    def _source(self, context: Context) -> Source:
        if self.ssh_from is not None:
            return Source(source(self.ssh_from, option="--ssh-from"), is_demanded=True)
        configured = source(context.wiring.config.ssh.ssh_from, option="ssh.from")
        return Source(configured, is_demanded=configured != AUTO or self.check is not None)


def asking(*without: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Gives a command the options of `Asked` in the place of its parameter `asked`, and the value that they make.

    `without` names the fields that make no sense for it: they keep their defaults.
    """
    chosen = [parameter for parameter in _parameters() if parameter.name not in without]

    def decorate(command: Callable[..., T]) -> Callable[..., T]:
        own = signature(command).parameters

        @wraps(command)
        def asked_for(**values: Any) -> T:
            said = {parameter.name: values.pop(parameter.name) for parameter in chosen}
            return command(**values, asked=Asked(**said))

        together = [each for name, parameter in own.items() for each in (chosen if name == "asked" else [parameter])]
        # Typer reads a command's options from these two.
        asked_for.__signature__ = signature(command).replace(parameters=together)  # type: ignore[attr-defined]
        asked_for.__annotations__ = {parameter.name: parameter.annotation for parameter in together}
        return asked_for

    return decorate


def _parameters() -> Iterator[Parameter]:
    for field in fields(Asked):
        default = Parameter.empty if field.default is MISSING else field.default
        yield Parameter(field.name, Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=field.type)


def defaults_of(context: Context) -> DefaultsOf:
    """What the settings say of each cloud where no option does."""

    def of(name: ProviderName) -> Defaults:
        settings = context.wiring.config.cloud(name)
        return Defaults(
            region=settings.region,
            region_source=context.wiring.settings.source(name.value, "region") or "config",
            image=settings.image,
            subnet=settings.subnet,
            profile=None if context.sandbox else settings.profile,
        )

    return of
