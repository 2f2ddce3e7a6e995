"""Where a machine may be tried, in which order, and what one refusal says about the other places."""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from gpuctl.domain.instance import ProviderName
from gpuctl.domain.offers import InstanceType, Offer

_AWS_FAMILY = re.compile(r"[a-z]+")
_SIZE = re.compile(r"(?<=[A-Z])\d+")


@dataclass(frozen=True, slots=True)
class Place:
    """An offer, and the zone in its region; None leaves the zone to the cloud."""

    offer: Offer
    zone: str | None = None

    @property
    def where(self) -> str:
        """The zone where one is named, else the region."""
        return self.zone or self.offer.region

    def door(self, subnet: str | None) -> str:
        """What has room or has none, as a key: a subnet stands for its zone."""
        kind = self.offer.type
        return f"{kind.provider} {subnet or self.where} {kind.name} {self.offer.market}"


ZonesOf = Callable[[Offer], Sequence[str]]


def in_order(offers: Iterable[Offer], zones_of: ZonesOf) -> Iterator[Place]:
    """Every place once: the offers as they stand, but all regions of a type before the single zones of any of them.

    Left to itself a cloud picks a zone with room, so that naming zones comes last; and another zone of the same type
    costs no more, while the next type may. `zones_of` is asked only when its turn has come.
    """
    for _, alike in groupby(offers, key=lambda one: (one.type.provider, one.type.name, one.market)):
        together = list(alike)
        yield from (Place(one) for one in together)
        for one in together:
            yield from (Place(one, zone) for zone in zones_of(one))


def exceeds_with(refused: Offer, other: Offer) -> bool:
    """Whether a quota that refused the one stands against the other too.

    Quotas are for a family of types, in a region and a market; what needs fewer CPUs may still fit in.
    """
    one, two = refused.type, other.type
    if (one.provider, refused.region, refused.market) != (two.provider, other.region, other.market):
        return False
    if family(one) != family(two):
        return False
    return one.vcpus is None or two.vcpus is None or two.vcpus >= one.vcpus


def family(kind: InstanceType) -> str:
    """What a cloud counts quotas by: `g` of g4dn.xlarge, `Standard_NCas_T4_v3` of Standard_NC4as_T4_v3."""
    if kind.provider is ProviderName.AWS:
        match = _AWS_FAMILY.match(kind.name)
        return match[0] if match else kind.name
    return _SIZE.sub("", kind.name, count=1)


def is_dearer(offer: Offer, than: Offer) -> bool:
    """Whether it is known to cost more."""
    if offer.price is None or than.price is None:
        return False
    return offer.price.usd_per_hour > than.price.usd_per_hour
