"""The catalog: which types there are, where, and at what price."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import date
from decimal import Decimal
from difflib import get_close_matches
from importlib.resources import files
from typing import Any

from gpuctl.domain.duration import as_typed
from gpuctl.domain.instance import Market, Price, ProviderName
from gpuctl.domain.market.offers import Availability, GpuImage, InstanceType, Offer
from gpuctl.domain.money.prices import PriceBook, PriceKey, newest
from gpuctl.errors import UsageError

_DATA = files(__package__).joinpath("data")
WITH_DATA = tuple(name for name in ProviderName if _DATA.joinpath(f"{name}.json").is_file())


class Catalog:
    """Instance types and list prices bundled with gpuctl, and the prices fetched since; the newer date wins.

    A provider's file is read on first use; `read_since` then returns the prices fetched from that provider, None if
    there are none. Every price has a source and a date. Unknown is None.
    """

    def __init__(self, read_since: Callable[[ProviderName], PriceBook | None] = lambda _: None) -> None:
        self._read_since = read_since
        self._books: dict[ProviderName, _Book] = {}

    def types(self, provider: ProviderName) -> Sequence[InstanceType]:
        """Every type of that cloud, retired ones too, by name; none for a cloud without a catalog file."""
        return list(self._book(provider).types.values())

    def find(self, name: str, provider: ProviderName | None = None) -> InstanceType:
        """The type of that name, whatever its case.

        UsageError where no cloud has it, naming the nearest, or where it belongs to another cloud than the one given.
        """
        for candidate in WITH_DATA:
            instance_type = self._book(candidate).by_folded_name.get(name.casefold())
            if instance_type is None:
                continue
            if provider not in (None, candidate):
                raise UsageError(
                    f"`{instance_type.name}` is a type of `{candidate}`, not of `{provider}`",
                    hint=f"leave out `--provider`, or: gpuctl types --provider {provider}",
                )
            return instance_type
        raise UsageError(f"unknown instance type {as_typed(name)}", hint=self._nearest_types(name, provider))

    def regions(self, provider: ProviderName) -> frozenset[str]:
        """Every region of that cloud in which some type is offered."""
        return self._book(provider).regions

    def providers(self, chosen: ProviderName | None, region: str | None) -> Sequence[ProviderName]:
        """The chosen provider, else every one that has the region. UsageError, naming the nearest, if none has it."""
        if region is None or chosen is not None:
            if chosen is not None and region is not None:
                self.check_region(chosen, region)
            return [chosen] if chosen is not None else WITH_DATA
        providers = [provider for provider in WITH_DATA if region in self.regions(provider)]
        if not providers:
            known = sorted({name for provider in WITH_DATA for name in self.regions(provider)})
            raise UsageError(f"no provider has a region {as_typed(region)}", hint=_nearest(region, known))
        return providers

    def check_region(self, provider: ProviderName, region: str) -> None:
        """Raise UsageError, naming the nearest, if that cloud has no such region."""
        known = self.regions(provider)
        if region in known:
            return
        raise UsageError(f"unknown region {as_typed(region)} of `{provider}`", hint=_nearest(region, sorted(known)))

    def is_listed(self, kind: InstanceType, region: str) -> bool:
        """Whether the catalog knows the type in that region at all."""
        return region in self._book(kind.provider).regions_of[kind.name]

    def lists_images(self, provider: ProviderName) -> bool:
        """Whether the catalog of that cloud says which image has a driver for which type."""
        return any(kind.image is not None for kind in self._book(provider).types.values())

    def offer(self, kind: InstanceType, region: str, market: Market = Market.ON_DEMAND) -> Offer:
        """The type in that region and market; its price is None where the catalog does not know it."""
        return Offer(kind, region, market, self._book(kind.provider).price(kind.name, region, market))

    def offers(self, provider: ProviderName, market: Market = Market.ON_DEMAND) -> Iterable[Offer]:
        """Every type in every region where that cloud lists it."""
        book = self._book(provider)
        for kind in book.types.values():
            for region in book.regions_of[kind.name]:
                yield Offer(kind, region, market, book.price(kind.name, region, market))

    def _book(self, provider: ProviderName) -> "_Book":
        if provider not in self._books:
            self._books[provider] = _Book(provider, self._read_since(provider) if provider in WITH_DATA else None)
        return self._books[provider]

    def _nearest_types(self, name: str, provider: ProviderName | None) -> str:
        every = {
            folded: kind.name
            for candidate in ([provider] if provider else WITH_DATA)
            for folded, kind in self._book(candidate).by_folded_name.items()
            if kind.availability is not Availability.RETIRED
        }
        near = get_close_matches(name.casefold(), every, n=3, cutoff=0.6)
        return f"did you mean {_quoted(every[name] for name in near)}?" if near else "gpuctl types"


class _Book:
    """One cloud's file, and the prices read since it was made."""

    def __init__(self, provider: ProviderName, since: PriceBook | None) -> None:
        self._rows: Mapping[str, Any] = {}
        self._dates: Sequence[date] = ()
        self._sources: Sequence[str] = ()
        self._images: Sequence[GpuImage] = ()
        if provider in WITH_DATA:
            self._read(_DATA.joinpath(f"{provider}.json").read_text("utf-8"))
        self.types = {name: _shape(provider, name, row, self._images) for name, row in self._rows.items()}
        self.by_folded_name = {name.casefold(): kind for name, kind in self.types.items()}
        self.regions_of: dict[str, dict[str, Any]] = {
            name: {entry[0]: entry for entry in row["regions"]} for name, row in self._rows.items()
        }
        self._since = since.prices if since else {}
        for key in self._since:
            # A region that is newer than this gpuctl counts as soon as a price was read there.
            if key.instance_type in self.regions_of:
                self.regions_of[key.instance_type].setdefault(key.region, None)
        self.regions = frozenset(region for regions in self.regions_of.values() for region in regions)

    def price(self, name: str, region: str, market: Market) -> Price | None:
        since = self._since.get(PriceKey(name, region, market))
        return newest(since, self._shipped(name, region, market))

    def _shipped(self, name: str, region: str, market: Market) -> Price | None:
        entry = self.regions_of[name].get(region)
        usd = entry[1 if market is Market.ON_DEMAND else 2] if entry else None
        if entry is None or usd is None:
            return None
        return Price(usd_per_hour=Decimal(usd), as_of=self._dates[entry[3]], source=self._sources[entry[4]])

    def _read(self, text: str) -> None:
        document = json.loads(text)
        self._rows = document["types"]
        self._dates = [date.fromisoformat(item) for item in document["dates"]]
        self._sources = document["sources"]
        self._images = [_image(image) for image in document.get("images", ())]


def _image(row: Mapping[str, Any]) -> GpuImage:
    return GpuImage(row["name"], row["driver"] or None, row["arch"], row["generation"] or None, row["secure_boot"])


def _shape(provider: ProviderName, name: str, row: Mapping[str, Any], images: Sequence[GpuImage]) -> InstanceType:
    return InstanceType(
        provider=provider,
        name=name,
        gpu_model=row["gpu"],
        gpu_count=Decimal(row["gpus"]),
        gpu_memory_gib=_decimal(row["gpu_gib"]),
        vcpus=row["vcpus"],
        memory_gib=_decimal(row["gib"]),
        arch=row["arch"],
        availability=Availability(row["status"]),
        retired_on=date.fromisoformat(row["retired_on"]) if row["retired_on"] else None,
        successor=row["successor"],
        image=images[row["image"]] if row.get("image") is not None else None,
        quotas=(row["quotas"][0], row["quotas"][1]),
    )


def _nearest(region: str, known: Sequence[str]) -> str:
    near = get_close_matches(region, known, n=3)
    return f"did you mean {_quoted(near)}?" if near else f"one of {_quoted(known[:4])}, …"


def _decimal(text: str | None) -> Decimal | None:
    return Decimal(text) if text else None


def _quoted(names: Iterable[str]) -> str:
    return ", ".join(f"`{name}`" for name in names)
