"""The fetched prices, a file per cloud, replaced whole or not at all."""

import json
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

from gpuctl.domain.instance import Market, Price, ProviderName
from gpuctl.domain.money.prices import PriceBook, PriceKey, RejectedPrice
from gpuctl.errors import StateUnusableError
from gpuctl.files import Disk, private_folder, remove_stale, write_whole

_FORMAT = 1


class LocalPrices:
    """Books of prices in one folder. What is in it can always be read again from the clouds."""

    def __init__(self, folder: Path, disk: Disk | None = None) -> None:
        self._folder = folder
        self._disk = disk or Disk()

    def path(self, provider: ProviderName) -> Path:
        """Where the book of that cloud is."""
        return self._folder / f"{provider}.json"

    def read(self, provider: ProviderName) -> PriceBook | None:
        """The book of that cloud; None if it was never read. StateUnusableError if the file is no such book."""
        path = self.path(provider)
        try:
            return _book(provider, json.loads(path.read_bytes()))
        except FileNotFoundError:
            return None
        except OSError as error:
            raise _unusable(path, str(error.strerror)) from error
        except (ValueError, KeyError, TypeError, IndexError, InvalidOperation) as error:
            raise _unusable(path, "it is damaged") from error

    def write(self, book: PriceBook) -> None:
        """Put this book in the place of the old one, at once. StateUnusableError, the old one standing, if it fails."""
        path = self.path(book.provider)
        try:
            private_folder(self._folder)
            remove_stale(path, book.read_at)
            write_whole(self._disk, path, _text(book).encode())
        except OSError as error:
            raise StateUnusableError(f"the prices cannot be written to `{path}`: {error.strerror or error}") from error


def _unusable(path: Path, reason: str) -> StateUnusableError:
    return StateUnusableError(f"the prices in `{path}` cannot be used: {reason}", hint="gpuctl prices refresh")


def _text(book: PriceBook) -> str:
    # Dates and sources are few: each is stored once, and rows refer to them by number.
    dates = sorted({price.as_of for price in book.prices.values()})
    sources = sorted({price.source for price in book.prices.values()})
    rows: dict[str, list[list[Any]]] = {}
    for key, price in sorted(book.prices.items()):
        row = [key.region, key.market, f"{price.usd_per_hour:f}", dates.index(price.as_of), sources.index(price.source)]
        rows.setdefault(key.instance_type, []).append(row)
    head = {
        "format": _FORMAT,
        "provider": book.provider,
        "readAt": book.read_at.isoformat(),
        "dates": [date.isoformat() for date in dates],
        "sources": sources,
        "refused": [[*refusal.key, f"{refusal.usd:f}", refusal.why] for refusal in book.refused],
    }
    lines = ",\n".join(f"{json.dumps(name)}: {json.dumps(row, separators=(',', ':'))}" for name, row in rows.items())
    return f'{json.dumps(head)[:-1]}, "prices": {{\n{lines}\n}}}}\n'


def _book(provider: ProviderName, document: Mapping[str, Any]) -> PriceBook:
    if document["format"] != _FORMAT or document["provider"] != provider:
        raise ValueError("another format, or another cloud")
    dates = [date.fromisoformat(item) for item in document["dates"]]
    sources = [str(source) for source in document["sources"]]
    read_at = datetime.fromisoformat(document["readAt"])
    if read_at.tzinfo is None:
        raise ValueError("an instant without a zone")
    prices = {
        _key(name, region, market): Price(
            usd_per_hour=_usd(usd), as_of=dates[as_of], source=sources[source], is_fetched=True
        )
        for name, rows in document["prices"].items()
        for region, market, usd, as_of, source in rows
    }
    refused = tuple(
        RejectedPrice(_key(name, region, market), Decimal(usd), str(reason))
        for name, region, market, usd, reason in document["refused"]
    )
    return PriceBook(provider, read_at, prices, refused)


def _key(name: str, region: str, market: str) -> PriceKey:
    return PriceKey(str(name), str(region), Market(market))


def _usd(text: str) -> Decimal:
    usd = Decimal(text)
    if not usd.is_finite() or usd <= 0:
        raise ValueError("a price that is none")
    return usd
