"""What a user asks for when asking for a machine, and the limits of it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from decimal import Decimal
from typing import Any

from gpuctl.domain.duration import shown
from gpuctl.domain.ingress import Source
from gpuctl.domain.instance import Instance, Market, ProviderName
from gpuctl.domain.tags import PREFIX
from gpuctl.errors import UsageError

MIN_DISK_GB, MAX_DISK_GB = 30, 16_384
MIN_TTL = timedelta(minutes=5)
DEFAULT_TTL = timedelta(minutes=60)
DEFAULT_MAX_TTL = timedelta(minutes=120)
HIGHEST_MAX_TTL = timedelta(days=7)
MAX_COUNT = 50
DEFAULT_PURPOSE = "AI Analysis"

NAME = re.compile(r"[a-z0-9-]{1,40}")
_LONGEST_TEXT = {"user": 200, "task": 200, "purpose": 1_000, "image": 200, "subnet": 200}


@dataclass(frozen=True, slots=True)
class Request:
    """One call for machines, as asked; None where nothing was said."""

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
    market: Market = Market.ON_DEMAND
    ssh_from: Source = field(default_factory=Source)

    def named(self, number: int) -> "Request":
        """The request for the number-th of several machines: `N` becomes `N-1`, `N-2`, …"""
        if self.count == 1 or self.name is None:
            return self
        return replace(self, name=f"{self.name}-{number}")


def check(request: Request, max_ttl: timedelta) -> None:
    """Raise UsageError for the first limit the request breaks.

    The texts are an interface: callers match on them, capital letter included, and on their order.
    """
    if request.instance_type is None and request.provider is None:
        raise UsageError("Provider is required", hint="gpuctl provision g4dn.xlarge --region us-east-1")
    if request.instance_type is None:
        raise UsageError("Instance type is required", hint=f"gpuctl types --provider {request.provider}")
    if request.region is None:
        raise UsageError("Region is required", hint=f"gpuctl provision {request.instance_type} --region us-east-1")
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
    if request.name is not None:
        check_name(request.name)
    for what in _LONGEST_TEXT:
        check_text(what, getattr(request, what))
    for key, value in request.tags.items():
        check_tag(key, value)


def check_name(name: str) -> None:
    """Raise UsageError unless it can stand for an id: 1-40 of `a-z0-9-`, not beginning like an id."""
    if not NAME.fullmatch(name):
        raise UsageError(f"a name has 1 to 40 of `a-z0-9-`, not {shown(name)}", hint="add `--name train-7`")
    if name.startswith("inst-"):
        raise UsageError(f"a name may not begin with `inst-`: {shown(name)}", hint="add `--name train-7`")


def check_text(what: str, text: str | None) -> None:
    """Raise UsageError for free text that is empty, too long, or holds control characters."""
    if text is None:
        return
    if not text.strip():
        raise UsageError(f"--{what} is empty", hint=f"leave out `--{what}`, or give it a text")
    if len(text) > _LONGEST_TEXT[what]:
        raise UsageError(f"--{what} is longer than {_LONGEST_TEXT[what]} characters")
    if not text.isprintable():
        raise UsageError(f"--{what} holds control characters: {shown(text)}")


def check_tag(key: str, value: str) -> None:
    """Raise UsageError for a tag no cloud could carry, or one that would pass for ours."""
    if not key:
        raise UsageError("a tag has an empty key", hint="add `--tag project=x`")
    if key.casefold().startswith(PREFIX):
        raise UsageError(f"tags beginning `{PREFIX}` are gpuctl's own: {shown(key)}")
    if not key.isprintable() or not value.isprintable():
        raise UsageError(f"tag {shown(key)} holds control characters")


def differences(request: Request, standing: Instance) -> list[str]:
    """How a machine that lives under the request's name differs from what is asked now; empty if it is the same."""
    asked: dict[str, tuple[Any, Any]] = {
        "type": (request.instance_type, standing.instance_type),
        "region": (request.region, standing.region),
        "disk": (request.disk_gb, standing.disk_gb),
        "ttl": (request.ttl, standing.ttl),
        "market": (request.market, standing.market),
        "task": (request.task, standing.task),
        "user": (request.user, standing.user),
        "tags": (dict(request.tags), standing.tags),
        "image": (request.image or standing.image, standing.image),
        "subnet": (request.subnet or standing.subnet, standing.subnet),
    }
    return [what for what, (now, then) in asked.items() if now != then]


def _minutes(span: timedelta) -> str:
    return f"{(Decimal(span // timedelta(seconds=1)) / 60).normalize():f}"
