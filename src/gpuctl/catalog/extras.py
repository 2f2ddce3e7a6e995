"""List prices of what an instance needs beside itself, its disk and its public IP, and each cloud's billing terms."""

import json
from bisect import bisect_left
from datetime import date, timedelta
from decimal import ROUND_UP, Decimal
from importlib.resources import files
from typing import Any

from gpuctl.catalog.catalog import WITH_DATA
from gpuctl.domain.instance import BillingTerms, Price, ProviderName
from gpuctl.domain.money.cost import Extras

_PLACES = Decimal("0.000000001")


class ExtraPrices:
    """Bundled prices of disks and public IPs, from the providers' public price pages.

    A provider's file is read on first use. Where the disk price of a region is unknown, the highest known one applies,
    and the source of the price says so.
    """

    def __init__(self) -> None:
        self._books: dict[ProviderName, Any] = {}

    def of(self, provider: ProviderName, region: str, disk_gb: int | None) -> Extras:
        """Dollars an hour for a disk of that size and for an address, and the cloud's billing terms.

        A price is unknown where the size or the cloud is.
        """
        if provider not in WITH_DATA:
            return Extras()
        book = self._book(provider)
        disk = None if disk_gb is None else _disk(book, region, disk_gb)
        return Extras(disk, _address(book["address"]), _terms(book["billing"]))

    def _book(self, provider: ProviderName) -> Any:
        if provider not in self._books:
            self._books[provider] = json.loads(
                files(__package__).joinpath(f"data/{provider}-extras.json").read_text("utf-8")
            )
        return self._books[provider]


def _disk(book: Any, region: str, disk_gb: int) -> Price:
    disk = book["disk"]
    own = disk["usd_per_gb_month"].get(region)
    known = region if own else disk["stand_in"]
    rate = Decimal(disk["usd_per_gb_month"][known])
    billed = _billed_gb(disk["sizes_gb"], disk_gb)
    missing = "" if own else f", in place of `{region}` whose rate is not known"
    return Price(
        usd_per_hour=(rate * billed / Decimal(book["hours_a_month"])).quantize(_PLACES, ROUND_UP),
        source=f"{disk['source']}: {billed} GB {disk['kind']} at ${rate} a GB-month of {book['hours_a_month']} h "
        f"in {known}{missing}",
        as_of=date.fromisoformat(disk["as_of"]),
    )


def _billed_gb(sizes: list[int] | None, disk_gb: int) -> int:
    """The size that is billed: where disks come in sizes, the next larger one."""
    if not sizes:
        return disk_gb
    return sizes[min(bisect_left(sizes, disk_gb), len(sizes) - 1)]


def _terms(billing: Any) -> BillingTerms:
    return BillingTerms(
        minimum=timedelta(seconds=billing["minimum_s"]), releases_address=billing["releases_address_when_stopped"]
    )


def _address(address: Any) -> Price:
    return Price(
        usd_per_hour=Decimal(address["usd_per_hour"]),
        source=address["source"],
        as_of=date.fromisoformat(address["as_of"]),
    )
