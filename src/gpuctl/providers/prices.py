"""What reading a cloud's published prices takes."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Protocol
from urllib.parse import urlsplit

from gpuctl.domain.instance import Market, ProviderName
from gpuctl.domain.money.prices import PriceKey
from gpuctl.errors import UsageError
from gpuctl.providers.http import LOOPBACK


@dataclass(frozen=True, slots=True)
class RegionPrices:
    """Every price read for one region; `is_open` is false where this login may not use the region at all."""

    prices: Mapping[PriceKey, Decimal]
    is_open: bool = True


class PriceList(Protocol):
    """The prices that one provider publishes.

    Every method returns in bounded time. It returns everything requested, or raises CredentialsError, ThrottledError,
    UnreachableError or CloudError. Prices are returned as published, plausible or not.
    """

    name: ProviderName
    sources: Mapping[Market, str]

    def regions(self, known: Collection[str]) -> Sequence[str]:
        """The regions worth asking about: those known already, and newer ones that the cloud's SDK knows of."""
        ...

    def read(self, region: str, types: Collection[str]) -> RegionPrices:
        """The Linux prices of these types in that region, as far as it offers them."""
        ...


def checked_address(url: str, *, setting: str) -> str:
    """The address of a price API. UsageError if it is none, or if it is plain http to another instance."""
    parts = urlsplit(url)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise UsageError(
            f"{setting} is `{url[:80]}`: plain http is for loopback only", hint=f"use https, or unset {setting}"
        )
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UsageError(f"{setting} is not a URL: `{url[:80]}`", hint=f"unset {setting}")
    return url


def is_loopback(url: str) -> bool:
    """Whether the address is on this computer."""
    return urlsplit(url).hostname in LOOPBACK
