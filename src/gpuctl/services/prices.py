"""The prices of one provider: what is known now, and a refresh that takes effect as a whole or not at all."""

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Protocol

from gpuctl.catalog import Catalog
from gpuctl.clock import Clock
from gpuctl.domain.instance import Market, Price, ProviderName
from gpuctl.domain.market.offers import Offer
from gpuctl.domain.money.prices import PriceBook, PriceKey, RejectedPrice, judged, origin
from gpuctl.errors import CloudError, CredentialsError, GpuctlError, StateUnusableError, UsageError
from gpuctl.providers.prices import PriceList


class PriceBooks(Protocol):
    """Where books of prices are kept."""

    def read(self, provider: ProviderName) -> PriceBook | None:
        """The book of that cloud; None if it was never read. StateUnusableError if there is one that cannot be used."""
        ...

    def write(self, book: PriceBook) -> None:
        """Put this book in the place of the old one, at once."""
        ...


@dataclass(frozen=True, slots=True)
class PriceStatus:
    """One provider's prices as every command sees them now.

    `book` is what was read of the provider's price list last, `file` where that is kept; None where nothing is.
    """

    provider: ProviderName
    offers: Sequence[Offer]
    book: PriceBook | None
    file: str | None
    today: date

    @property
    def priced(self) -> list[Offer]:
        """The offers whose price is known."""
        return [offer for offer in self.offers if offer.price is not None]

    @property
    def prices(self) -> list[Price]:
        """The known prices."""
        return [offer.price for offer in self.offers if offer.price is not None]

    @property
    def origins(self) -> dict[str, int]:
        """How many prices are from each source, the most frequent first."""
        return dict(Counter(origin(price) for price in self.prices).most_common())

    def counted(self, market: Market) -> int:
        """How many prices are known in that market."""
        return sum(offer.market is market for offer in self.priced)

    @property
    def oldest(self) -> Price | None:
        """The price with the earliest date; None without any."""
        return min(self.prices, key=lambda price: price.as_of, default=None)

    @property
    def newest(self) -> Price | None:
        """The price with the latest date; None without any."""
        return max(self.prices, key=lambda price: price.as_of, default=None)


@dataclass(frozen=True, slots=True)
class PriceRefresh:
    """What reading one cloud's prices brought.

    `closed` are regions this login may not use, `up` and `down` count the prices that moved, and `unseen` those that
    were known in the regions read and that the provider no longer lists: they keep their dates.
    """

    provider: ProviderName
    regions: Sequence[str]
    closed: Sequence[str]
    accepted: int
    new: int
    up: int
    down: int
    unseen: int
    refused: Sequence[RejectedPrice]


OnRegion = Callable[[str, int, int], None]


def refresh(
    price_list: PriceList,
    region: str | None,
    catalog: Catalog,
    books: PriceBooks,
    clock: Clock,
    *,
    believed: Collection[str] = (),
    on_region: OnRegion = lambda region, number, total: None,
) -> PriceRefresh:
    """Read that region's prices, or every region's, and put them into the cloud's book.

    Raises, and leaves the book as it is, if one page of it could not be had. Prices that the gate refuses, and those
    of regions that were not read, keep their figures and their dates. `on_region` is called before each region is
    queried, with the region, its number from 0 and how many there are.
    """
    provider = price_list.name
    known = catalog.regions(provider)
    regions = [region] if region else price_list.regions(known)
    names = [kind.name for kind in catalog.types(provider)]
    read: dict[PriceKey, Decimal] = {}
    closed: list[str] = []
    for number, text in enumerate(regions):
        on_region(text, number, len(regions))
        reply = price_list.read(text, names)
        read |= reply.prices
        closed += [] if reply.is_open else [text]
    requested = [region for region in regions if region not in closed]
    if not read:
        raise _no_prices_error(provider, region, catalog, is_closed=not requested)

    def last(key: PriceKey) -> Price | None:
        return catalog.offer(catalog.find(key.instance_type, provider), key.region, key.market).price

    judgement = judged(read, last, believed)
    before = {key: price for key in judgement.accepted if (price := last(key)) is not None}
    today = clock.now().date()
    fresh = {
        key: Price(usd_per_hour=usd.normalize(), as_of=today, source=price_list.sources[key.market], is_fetched=True)
        for key, usd in judgement.accepted.items()
    }
    old = _stored_book(books, provider)
    prices_by_key = old.prices if old else {}
    carried = [refusal for refusal in (old.refused if old else ()) if refusal.key.region not in requested]
    books.write(PriceBook(provider, clock.now(), {**prices_by_key, **fresh}, (*carried, *judgement.refused)))
    return PriceRefresh(
        provider=provider,
        regions=requested,
        closed=closed,
        accepted=len(fresh),
        new=len(fresh) - len(before),
        up=sum(price.usd_per_hour < fresh[key].usd_per_hour for key, price in before.items()),
        down=sum(price.usd_per_hour > fresh[key].usd_per_hour for key, price in before.items()),
        unseen=sum(key.region in requested and key not in read for key in prices_by_key),
        refused=judgement.refused,
    )


def _stored_book(books: PriceBooks, provider: ProviderName) -> PriceBook | None:
    try:
        return books.read(provider)
    except StateUnusableError:
        # What cannot be read helps nobody; the new book takes its place.
        return None


def _no_prices_error(provider: ProviderName, region: str | None, catalog: Catalog, *, is_closed: bool) -> GpuctlError:
    """Why there is nothing to keep."""
    if is_closed:
        where = f"`{region}`" if region else "any region"
        return CredentialsError(
            f"these `{provider}` credentials cannot use {where}",
            hint="enable it in the account, or use other credentials",
        )
    if region is not None and region not in catalog.regions(provider):
        try:
            catalog.check_region(provider, region)
        except UsageError as error:
            return error
    where = f" in `{region}`" if region else ""
    return CloudError(f"`{provider}` returned no GPU prices{where}; keeping the existing ones")
