"""The options of commands that start an instance, declared once, and the request that they make."""

from collections.abc import Callable, Iterator
from dataclasses import MISSING, dataclass, fields
from datetime import timedelta
from decimal import Decimal
from functools import wraps
from inspect import Parameter, signature
from typing import Annotated, Any, TypeVar

from gpuctl.cli.context import Context
from gpuctl.cli.options import INSTANCE_TYPE_HELP, PROVIDERS
from gpuctl.cli.parameters import (
    CIDR,
    COUNT,
    DURATION,
    GIB,
    INSTANCE_TYPE,
    MINUTES,
    MODEL,
    NAME,
    NUMBER,
    PROVIDER,
    REGION,
    TAG,
    TASK,
    TEXT,
    USD,
    USER,
    Tag,
    argument,
    flag,
    integer,
    option,
    tags_of,
    text,
    word_choice,
)
from gpuctl.cli.quantities import BY_WORK, BY_WORK_HELP, WORK, WORK_HELP, Work, duration_of
from gpuctl.domain.instance import Market, ProviderName
from gpuctl.domain.market.request import DEFAULT_PURPOSE, DEFAULT_TTL, Request
from gpuctl.domain.market.ssh_source import AUTO, SshSource, source
from gpuctl.errors import UsageError
from gpuctl.providers.registry import all_facts
from gpuctl.services.launch.retry import MAX_RETRIES, Retries

AUTO_MARKET = "auto"
MARKETS = (AUTO_MARKET, *Market)
_INSTANCE, _GPU, _PRICE = "Instance", "GPU requirements (instead of TYPE)", "Price"
_WORK = "Work with a deadline"
_LABELS, _LAUNCH = "Labels", "Launch behavior"
_REGIONS = "Region, comma-separated list in order of preference, or any"
_TIMEOUT = "Terminate if not ready after TIME [default: 15m; 30m with 8 GPUs or on bare metal]"

_IDLE = f" ({' and '.join(facts.title for facts in all_facts() if facts.capabilities.idle_ends)} only)"

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class LaunchOptions:
    """The options of a command that starts an instance; each field is an option, in the order of the help."""

    instance_type: Annotated[str | None, argument(INSTANCE_TYPE, INSTANCE_TYPE_HELP, "[TYPE]")] = None
    region: Annotated[str | None, option(REGION, _REGIONS, panel=_INSTANCE)] = None
    provider: Annotated[
        ProviderName | None, option(PROVIDER, f"Cloud provider: {PROVIDERS} [default: from TYPE]", panel=_INSTANCE)
    ] = None
    ttl: Annotated[
        timedelta | None,
        option(
            MINUTES,
            "Time until termination: minutes, or a duration such as 1h30m; 5m to 2h unless max_ttl is set "
            "[default: 1h; with --finish-by, shortly after it]",
            "--ttl",
            "--auto-terminate",
            panel=_INSTANCE,
        ),
    ] = None
    idle: Annotated[
        timedelta | None, option(DURATION, f"Terminate early after TIME without activity{_IDLE}", panel=_INSTANCE)
    ] = None
    disk_size: Annotated[int, option(integer("GB"), "Size of the boot disk in GB, 30 to 16384", panel=_INSTANCE)] = 100
    image: Annotated[
        str | None, option(text("IMAGE"), "Boot image [default: latest GPU image of the provider]", panel=_INSTANCE)
    ] = None
    subnet: Annotated[str | None, option(text("SUBNET"), "Subnet ID [default: chosen by gpuctl]", panel=_INSTANCE)] = (
        None
    )
    ssh_from: Annotated[
        str | None,
        option(CIDR, "Allowed SSH source: CIDR range, auto (your IP address) or none", panel=_INSTANCE),
    ] = None
    count: Annotated[int, option(COUNT, "Number of instances, 1 to 50", panel=_INSTANCE)] = 1
    allow_retired: Annotated[
        bool, flag("Allow an instance type retired by the provider", "--allow-retired", panel=_INSTANCE)
    ] = False
    allow_unknown_price: Annotated[
        bool, flag("Skip budget checks for instances of unknown price", "--allow-unknown-price", panel=_INSTANCE)
    ] = False
    gpu: Annotated[str | None, option(MODEL, "GPU model, such as T4 or 'A100 80GB', or any", panel=_GPU)] = None
    gpu_count: Annotated[Decimal | None, option(NUMBER, "Minimum number of GPUs", panel=_GPU)] = None
    min_gpu_memory: Annotated[Decimal | None, option(GIB, "Minimum memory per GPU in GiB", panel=_GPU)] = None
    max_price: Annotated[Decimal | None, option(USD, "Maximum compute price in USD per hour", panel=_PRICE)] = None
    spot: Annotated[bool, flag("Use a spot instance (cheaper; can be interrupted)", "--spot", panel=_PRICE)] = False
    market: Annotated[
        str | None,
        option(
            word_choice("MARKET", MARKETS),
            "spot, on-demand, or auto: the cheaper market that meets --finish-by "
            "[default: on-demand; auto with --finish-by]",
            panel=_PRICE,
        ),
    ] = None
    fallback: Annotated[
        str | None,
        option(
            word_choice("on-demand", (Market.ON_DEMAND,)), "Use on-demand if there is no spot capacity", panel=_PRICE
        ),
    ] = None
    finish_by: Annotated[
        timedelta | None,
        option(DURATION, "Time until the work must be finished [default: 3 times --work]", panel=_WORK),
    ] = None
    work: Annotated[list[Work] | None, option(WORK, WORK_HELP, panel=_WORK)] = None
    checkpointed: Annotated[
        bool, flag("The work saves checkpoints and continues after an interruption", "--checkpointed", panel=_WORK)
    ] = False
    by: Annotated[str | None, option(BY_WORK, BY_WORK_HELP, panel=_GPU)] = None
    name: Annotated[
        str | None, option(NAME, "Unique name; an active instance of this name is reused", panel=_LABELS)
    ] = None
    user: Annotated[str | None, option(USER, "Owner [default: login name]", panel=_LABELS)] = None
    task: Annotated[str | None, option(TASK, "Task label", panel=_LABELS)] = None
    purpose: Annotated[str, option(TEXT, "Purpose (free text)", panel=_LABELS)] = DEFAULT_PURPOSE
    tag: Annotated[
        list[Tag] | None, option(TAG, "Tag for all resources of the instance (repeatable)", panel=_LABELS)
    ] = None
    wait: Annotated[bool, flag("Wait until ready", "--wait/--no-wait", panel=_LAUNCH)] = True
    timeout: Annotated[timedelta | None, option(DURATION, _TIMEOUT, panel=_LAUNCH)] = None
    keep: Annotated[bool, flag("Keep the instance if it is not ready in time", "--keep", panel=_LAUNCH)] = False
    check: Annotated[
        str | None, option(text("ssh|COMMAND"), "Readiness check: ssh, or a command run over SSH", panel=_LAUNCH)
    ] = None
    retries: Annotated[
        int, option(integer("N", 0, MAX_RETRIES), "Retries for temporary errors, 0 to 20", panel=_LAUNCH)
    ] = 0
    backoff: Annotated[timedelta, option(DURATION, "Wait before retry N: N times TIME", panel=_LAUNCH)] = timedelta(
        seconds=5
    )
    dry_run: Annotated[
        bool, flag("Show matching offers and their cost; create nothing", "--dry-run", panel=_LAUNCH)
    ] = False
    yes: Annotated[bool, flag("Skip confirmation", "--yes", "-y", panel=_LAUNCH)] = False

    @property
    def is_any_gpu(self) -> bool:
        """Whether every GPU model will do."""
        return self.gpu is not None and self.gpu.strip().casefold() == "any"

    @property
    def is_timed(self) -> bool:
        """Whether the market is chosen by the deadline of the work. UsageError where options exclude each other."""
        is_given = self.finish_by is not None or self.checkpointed or duration_of(self.work) is not None
        if self.spot and self.market not in (None, Market.SPOT):
            raise UsageError(f"--spot and --market {self.market} exclude each other", hint="leave out `--spot`")
        if self.market != AUTO_MARKET and (self.market is not None or self.spot) and is_given:
            raise UsageError(
                "--finish-by, --work and --checkpointed choose the market", hint=f"add `--market {AUTO_MARKET}`"
            )
        if self.market == AUTO_MARKET and self.fallback is not None:
            raise UsageError(f"--market {AUTO_MARKET} includes on-demand", hint="leave out `--fallback`")
        return self.market == AUTO_MARKET or is_given

    @property
    def retry_policy(self) -> Retries:
        """How often a temporary error is retried, and after which pause."""
        return Retries(self.retries, self.backoff)

    def request(self, context: Context) -> Request:
        """The request of these options. What the values mean together is checked later."""
        return Request(
            user=self.user or context.wiring.user,
            provider=self.provider,
            instance_type=self.instance_type,
            region=self.region,
            disk_gb=self.disk_size,
            ttl=self.ttl or DEFAULT_TTL,
            count=self.count,
            name=self.name,
            task=self.task,
            purpose=self.purpose,
            tags=tags_of(self.tag),
            image=self.image,
            subnet=self.subnet,
            allow_retired=self.allow_retired,
            allow_unknown_price=self.allow_unknown_price,
            gpu=None if self.is_any_gpu else self.gpu,
            min_gpus=self.gpu_count or (Decimal(1) if self.is_any_gpu else None),
            min_memory_gib=self.min_gpu_memory,
            max_price=self.max_price,
            market=Market.SPOT if self.spot or self.market == Market.SPOT else Market.ON_DEMAND,
            falls_back=self.fallback is not None,
            idle=self.idle,
            ssh_from=self._source(context),
            check=self.check,
        )

    def _source(self, context: Context) -> SshSource:
        if self.ssh_from is not None:
            return SshSource(self.ssh_from, is_demanded=True)
        configured = source(context.wiring.config.ssh.ssh_from, option="ssh.from")
        return SshSource(configured, is_demanded=configured != AUTO or self.check is not None)


def launch_options(*without: str) -> Callable[[Callable[..., T]], Callable[..., T]]:
    """Give a command the options of `LaunchOptions` in place of its parameter `launch`.

    `without` names the options that the command does not have: they keep their defaults.
    """
    chosen = [parameter for parameter in _parameters() if parameter.name not in without]

    def decorate(command: Callable[..., T]) -> Callable[..., T]:
        own = signature(command).parameters

        @wraps(command)
        def with_launch_options(**values: Any) -> T:
            launch_values = {parameter.name: values.pop(parameter.name) for parameter in chosen}
            return command(**values, launch=LaunchOptions(**launch_values))

        together = [each for name, parameter in own.items() for each in (chosen if name == "launch" else [parameter])]
        # Typer reads the options of a command from these two.
        with_launch_options.__signature__ = signature(command).replace(parameters=together)  # type: ignore[attr-defined]
        with_launch_options.__annotations__ = {parameter.name: parameter.annotation for parameter in together}
        return with_launch_options

    return decorate


def _parameters() -> Iterator[Parameter]:
    for field in fields(LaunchOptions):
        default = Parameter.empty if field.default is MISSING else field.default
        yield Parameter(field.name, Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=field.type)
