"""What a user asks for when asking for an instance, and the limits of it."""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from gpuctl.domain.duration import as_typed, exact
from gpuctl.domain.instance import Instance, Market, ProviderName
from gpuctl.domain.market.offers import Requirements
from gpuctl.domain.market.secrets import secret_in
from gpuctl.domain.market.ssh_source import SshSource
from gpuctl.domain.membership import Membership
from gpuctl.domain.tags import PREFIX, RECORD_ID_PREFIX
from gpuctl.domain.work import TimedWork
from gpuctl.errors import UsageError

MIN_DISK_GB, MAX_DISK_GB = 30, 16_384
MIN_TTL = timedelta(minutes=5)
MIN_IDLE = timedelta(minutes=5)
DEFAULT_TTL = timedelta(minutes=60)
DEFAULT_MAX_TTL = timedelta(minutes=120)
HIGHEST_MAX_TTL = timedelta(days=7)
MAX_COUNT = 50
DEFAULT_PURPOSE = "AI Analysis"
ANYWHERE = "any"

NAME = re.compile(r"[a-z0-9-]{1,40}")
_LONGEST_TEXT = {"user": 200, "task": 200, "purpose": 1_000, "check": 1_000, "image": 200, "subnet": 200}


@dataclass(frozen=True, slots=True)
class Request:
    """A request for instances, as given; None where an option was not given.

    `region` is one region, several in order separated by commas, or `any`. Without an `instance_type` the requirements
    select the instance. `falls_back`: without spot capacity, on-demand is acceptable. `pool` makes it a request of a
    pool. `timed_work` is its work with a deadline, `decision` why it gets this market.
    """

    user: str
    provider: ProviderName | None = None
    instance_type: str | None = None
    region: str | None = None
    disk_gb: int = 100
    ttl: timedelta = DEFAULT_TTL
    count: int = 1
    name: str | None = None
    task: str | None = None
    purpose: str = DEFAULT_PURPOSE
    tags: Mapping[str, str] = field(default_factory=dict)
    image: str | None = None
    subnet: str | None = None
    profile: str | None = None
    allow_retired: bool = False
    allow_unknown_price: bool = False
    market: Market = Market.ON_DEMAND
    idle: timedelta | None = None
    ssh_from: SshSource = field(default_factory=SshSource)
    check: str | None = None
    falls_back: bool = False
    gpu: str | None = None
    min_gpus: Decimal | None = None
    min_memory_gib: Decimal | None = None
    max_price: Decimal | None = None
    pool: Membership | None = None
    timed_work: TimedWork | None = None
    decision: str | None = None

    @property
    def regions(self) -> tuple[str, ...]:
        """The regions that are named, each once; none where any will do or nothing was said."""
        if self.region is None or self.is_anywhere:
            return ()
        return tuple(dict.fromkeys(part.strip() for part in self.region.split(",")))

    @property
    def is_anywhere(self) -> bool:
        """Whether any region will do."""
        return self.region is not None and self.region.strip() == ANYWHERE

    @property
    def markets(self) -> tuple[Market, ...]:
        """The markets to buy in, in that order."""
        return (self.market, Market.ON_DEMAND) if self.falls_back else (self.market,)

    @property
    def describes(self) -> bool:
        """Whether it says what the instance must have."""
        return any(item is not None for item in (self.gpu, self.min_gpus, self.min_memory_gib))

    @property
    def need(self) -> Requirements:
        """What an offer must have. Described rather than named, an instance has at least one whole GPU."""
        by_need = self.instance_type is None
        return Requirements(
            gpu=self.gpu,
            min_gpus=self.min_gpus or (Decimal(1) if by_need else None),
            min_memory_gib=self.min_memory_gib,
            max_usd_per_hour=self.max_price,
            with_retired=self.allow_retired and not by_need,
            capped=True,
        )

    def named(self, number: int) -> "Request":
        """The request for the number-th of several instances: `N` becomes `N-1`, `N-2`, …"""
        if self.count == 1 or self.name is None:
            return self
        return replace(self, name=f"{self.name}-{number}")


def check(request: Request, max_ttl: timedelta) -> None:
    """Raise UsageError for the first limit the request breaks.

    The texts are an interface: callers match on them, capital letter included, and on their order.
    """
    if request.instance_type is None and request.provider is None and not request.describes:
        raise UsageError("Provider is required", hint="gpuctl provision TYPE --region REGION")
    if request.instance_type is None and not request.describes:
        raise UsageError("Instance type is required", hint=f"gpuctl types --provider {request.provider}")
    if request.region is None:
        what = request.instance_type or f"--gpu {request.gpu or 'T4'}"
        raise UsageError("Region is required", hint=f"gpuctl provision {what} --region REGION")
    if request.disk_gb < MIN_DISK_GB:
        raise UsageError(f"Disk size must be at least {MIN_DISK_GB}GB", hint=f"add `--disk-size {MIN_DISK_GB}`")
    if request.ttl < MIN_TTL:
        raise UsageError(f"Auto-terminate must be at least {_minutes(MIN_TTL)} minutes", hint="add `--ttl 5`")
    if request.ttl > max_ttl:
        raise UsageError(
            f"Auto-terminate must be at most {_minutes(max_ttl)} minutes",
            hint=f"add `--ttl {_minutes(max_ttl)}`, or raise `max_ttl` in the config",
        )
    if request.disk_gb > MAX_DISK_GB:
        raise UsageError(f"Disk size must be at most {MAX_DISK_GB}GB", hint=f"add `--disk-size {MAX_DISK_GB}`")
    if not 1 <= request.count <= MAX_COUNT:
        raise UsageError(f"--count must be 1 to {MAX_COUNT}, not `{request.count}`")
    if not all(request.regions) or (ANYWHERE in request.regions):
        raise UsageError(f"--region must be one, several as `a,b,c`, or `any`, not {as_typed(request.region or '')}")
    if request.falls_back and request.market is not Market.SPOT:
        raise UsageError("--fallback requires `--spot`", hint="add `--spot`")
    if request.allow_retired and request.instance_type is None:
        raise UsageError("`--allow-retired` requires an instance type", hint="leave out `--allow-retired`")
    if request.subnet is not None and (request.is_anywhere or len(request.regions) > 1):
        raise UsageError("--subnet requires a single region", hint="add `--region REGION`")
    if request.idle is not None and not MIN_IDLE <= request.idle <= max_ttl:
        raise UsageError(f"--idle must be {exact(MIN_IDLE)} to {exact(max_ttl)}", hint="add `--idle 15m`")
    if request.name is not None:
        check_name(request.name)
    for what in _LONGEST_TEXT:
        check_text(what, getattr(request, what))
    for key, value in request.tags.items():
        check_tag(key, value)


def check_name(name: str, parameter: str = "--name", hint: str = "add `--name train-7`") -> None:
    """Raise UsageError unless it can stand for an id: 1-40 of `a-z0-9-`, not beginning like an id.

    `parameter` is what the error calls it.
    """
    if not NAME.fullmatch(name):
        raise UsageError(f"{parameter} must be 1 to 40 characters of `a-z0-9-`, not {as_typed(name)}", hint=hint)
    if name.startswith(RECORD_ID_PREFIX):
        raise UsageError(f"a name may not begin with `{RECORD_ID_PREFIX}`: {as_typed(name)}", hint=hint)


def check_text(what: str, text: str | None) -> None:
    """Raise UsageError for free text that is empty, too long, or holds control characters."""
    if text is None:
        return
    if not text.strip():
        raise UsageError(f"--{what} is empty", hint=f"leave out `--{what}`, or give it a value")
    if len(text) > _LONGEST_TEXT[what]:
        raise UsageError(f"--{what} is longer than {_LONGEST_TEXT[what]} characters")
    if not text.isprintable():
        raise UsageError(f"--{what} holds control characters: {as_typed(text)}")
    _refuse_secret(f"--{what}", text)


def check_tag(key: str, value: str) -> None:
    """Raise UsageError for a tag no cloud could carry, or one that would pass for ours."""
    if not key:
        raise UsageError("a tag has an empty key", hint="add `--tag project=x`")
    if key.casefold().startswith(PREFIX):
        raise UsageError(f"tags beginning with `{PREFIX}` are reserved: {as_typed(key)}")
    if not key.isprintable() or not value.isprintable():
        raise UsageError(f"tag {as_typed(key)} holds control characters")
    # The whole of it, because a key may have been put on either side.
    _refuse_secret("a tag", f"{key}={value}")


def differences(request: Request, active: Instance, types: Collection[str]) -> list[str]:
    """The settings in which the active instance of that name differs from the request; empty if there are none.

    `types` are those that meet the request.
    """
    parameters: dict[str, tuple[Any, Any]] = {
        "disk": (request.disk_gb, active.disk_gb),
        "ttl": (request.ttl, active.ttl),
        "idle": (request.idle, active.idle),
        "task": (request.task, active.task),
        "user": (request.user, active.user),
        "tags": (dict(request.tags), active.tags),
        "image": (request.image or active.image, active.image),
        "subnet": (request.subnet or active.subnet, active.subnet),
    }
    among: dict[str, tuple[Any, Collection[Any]]] = {
        "type": (active.instance_type, types),
        "region": (active.region, request.regions or (active.region,)),
        "market": (active.market, request.markets),
    }
    other = [what for what, (has, fit) in among.items() if has not in fit]
    return other + [what for what, (now, then) in parameters.items() if now != then]


def _refuse_secret(where: str, text: str) -> None:
    """UsageError if the text looks like a secret, because it is stored and shown to others. The message does not repeat
    it.
    """
    kind = secret_in(text)
    if kind is not None:
        raise UsageError(
            f"{where} appears to contain {kind}, which must not be stored there", hint="use: gpuctl run --env NAME"
        )


def _minutes(span: timedelta) -> str:
    return f"{(Decimal(span // timedelta(seconds=1)) / 60).normalize():f}"
