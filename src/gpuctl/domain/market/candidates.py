"""Placements, the order in which they are tried, and what a refusal of one says about others."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

from gpuctl.domain.instance import ProviderName
from gpuctl.domain.market.offers import Offer
from gpuctl.errors import Extent


@dataclass(frozen=True, slots=True)
class Placement:
    """An offer and a zone of its region; with None the provider picks the zone."""

    offer: Offer
    zone: str | None = None

    @property
    def location(self) -> str:
        """The zone where one is named, else the region."""
        return self.zone or self.offer.region

    def cooldown_key(self, subnet: str | None) -> str:
        """The key of the capacity cooldown. Without a zone, the subnet determines the zone."""
        kind = self.offer.type
        return f"{kind.provider} {self.zone or subnet or self.offer.region} {kind.name} {self.offer.market}"


ZonesOf = Callable[[Offer], Sequence[str]]


PicksZone = Callable[[ProviderName], bool]


def placements(
    offers: Iterable[Offer], zones_of: ZonesOf, picks_zone: PicksZone = lambda provider: True
) -> Iterator[Placement]:
    """Every placement once: offers in the given order, but all regions of a type before single zones.

    Without a zone a provider picks one with capacity, so naming zones comes last; another zone of the same type costs
    no more, while the next type may. If the provider does not pick zones, only zones are tried. `zones_of` is called
    for a region only when needed.
    """
    for (provider, *_), alike in groupby(
        offers, key=lambda offer: (offer.type.provider, offer.type.name, offer.market)
    ):
        same_type = list(alike)
        if picks_zone(provider):
            yield from (Placement(offer) for offer in same_type)
        for offer in same_type:
            yield from (Placement(offer, zone) for zone in zones_of(offer))


def exceeds_with(refused: Offer, other: Offer) -> bool:
    """Whether a quota that refused the first offer also rules out the other one.

    Quotas are for a family of types, in a region and a market; what needs fewer CPUs may still fit in.
    """
    first, second = refused.type, other.type
    if (first.provider, refused.region, refused.market) != (second.provider, other.region, other.market):
        return False
    if first.quota_family(refused.market) != second.quota_family(other.market):
        return False
    return first.vcpus is None or second.vcpus is None or second.vcpus >= first.vcpus


def rules_out(extent: Extent, refused: Placement, other: Placement) -> bool:
    """Whether a refusal of that extent at one placement also rules out the other placement.

    Within a region it says nothing about another instance type: policies and services forbid types as well.
    """
    first, second = refused.offer, other.offer
    if extent is Extent.MARKET:
        return (first.type.provider, first.market) == (second.type.provider, second.market)
    if extent is Extent.REGION:
        return (first.type, first.region, first.market) == (second.type, second.region, second.market)
    return extent is Extent.ZONE and refused == other
