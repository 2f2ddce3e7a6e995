"""The instance size and TTL that fit a task, by the number of documents, by the duration, or by both."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum

from gpuctl.domain.market.offers import Availability, InstanceType, Offer

_FEW_DOCS, _MANY_DOCS = 10, 50
_QUICK, _MEDIUM, _LONG = (timedelta(minutes=minutes) for minutes in (15, 45, 90))
# GPUs that run no CUDA: what is built for the others does not start on them.
_NO_CUDA = ("Radeon", "MI25", "MI300X", "Gaudi")


class Size(StrEnum):
    """How heavy a task is."""

    LIGHT = "light"
    MEDIUM = "medium"
    HEAVY = "heavy"


@dataclass(frozen=True, slots=True)
class SizeClass:
    """What an instance of a size must have at least, and the type that is preferred among equals."""

    gpu_memory_gib: Decimal
    memory_gib: Decimal
    preferred: str
    why: str


CLASSES = {
    Size.LIGHT: SizeClass(Decimal(15), Decimal(15), "g4dn.xlarge", "a T4 or better, with 16 GB GPU memory"),
    Size.MEDIUM: SizeClass(Decimal(15), Decimal(28), "Standard_NC6", "16 GB GPU memory and 28 GB RAM"),
    Size.HEAVY: SizeClass(Decimal(22), Decimal(16), "p3.2xlarge", "24 GB GPU memory, such as an L4 or A10G"),
}
TTLS = {
    Size.LIGHT: timedelta(minutes=30),
    Size.MEDIUM: timedelta(minutes=60),
    Size.HEAVY: timedelta(minutes=120),
}


@dataclass(frozen=True, slots=True)
class Advice:
    """The size and TTL that fit a task. `needed` is the TTL it should have, `life` the one that `max_ttl` allows."""

    size: Size
    ttl: timedelta
    needed: timedelta


def advice(docs: int | None, task: timedelta | None, longest: timedelta) -> Advice:
    """What fits a task of that many documents that takes that long; ValueError if neither is known.

    The documents decide the size and the time the life; where one is unknown the other decides both. No life is longer
    than `longest`.
    """
    by_docs = None if docs is None else _by_docs(docs)
    by_time = None if task is None else _by_time(task)
    size = by_docs or by_time
    if size is None:
        raise ValueError("neither documents nor minutes")
    needed = TTLS[by_time or size]
    if task is not None and task > _LONG:
        # A third on top, as the shorter lives have it, in whole quarters of an hour.
        needed = -(-task * 4 // (3 * _QUICK)) * _QUICK
    return Advice(size, min(needed, longest), needed)


def fits_size(kind: InstanceType, size: Size) -> bool:
    """Whether the type is of that size: still started, x86, CUDA with a known image, whole GPUs, and enough memory."""
    least = CLASSES[size]
    return (
        kind.availability is not Availability.RETIRED
        and kind.arch == "x86_64"
        and kind.image is not None
        and kind.image.driver is not None
        and kind.gpu_count >= 1
        and not any(word in kind.gpu_model for word in _NO_CUDA)
        and kind.gpu_memory_gib is not None
        and kind.gpu_memory_gib >= least.gpu_memory_gib
        and kind.memory_gib is not None
        and kind.memory_gib >= least.memory_gib
    )


def cheapest(offers: Iterable[Offer], size: Size) -> Offer | None:
    """The cheapest offer of that size whose price is known; of several at that price the preferred type."""
    fitting = [offer for offer in offers if offer.price is not None and fits_size(offer.type, size)]
    preferred = CLASSES[size].preferred
    return min(
        fitting,
        key=lambda offer: (
            offer.price.usd_per_hour if offer.price else 0,
            offer.type.name != preferred,
            offer.type.name,
            offer.region,
        ),
        default=None,
    )


def _by_docs(docs: int) -> Size:
    if docs < _FEW_DOCS:
        return Size.LIGHT
    return Size.MEDIUM if docs <= _MANY_DOCS else Size.HEAVY


def _by_time(task: timedelta) -> Size:
    if task < _QUICK:
        return Size.LIGHT
    return Size.MEDIUM if task <= _MEDIUM else Size.HEAVY
