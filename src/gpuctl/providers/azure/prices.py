"""Azure's published prices: the Retail Prices API, which needs neither login nor SDK."""

import json
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from functools import partial
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError
from urllib.parse import urlencode, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from gpuctl import __version__
from gpuctl.domain.instance import Market, ProviderName
from gpuctl.domain.money.prices import PriceKey
from gpuctl.domain.wording import one_line
from gpuctl.errors import CloudError, GpuctlError, ThrottledError, UnreachableError
from gpuctl.providers.azure.facts import FACTS
from gpuctl.providers.codes import NETWORK_HINT
from gpuctl.providers.prices import RegionPrices, is_loopback
from gpuctl.providers.retry import Retry, TransientFailure

VARIABLE = "GPUCTL_AZURE_PRICES_ENDPOINT"
ADDRESS = "https://prices.azure.com"
PATH = "/api/retail/prices"

_TIMEOUT_S = 30.0
_MOST_BYTES = 32 * 1024 * 1024
_MOST_PAGES = 1000
_REGION = re.compile(r"[a-z0-9]{2,40}")
# Meters that are no price of a Linux instance by the hour, by words of their own names.
_OTHER_METERS = ("Low Priority", "Expired")
_OTHER_PRODUCTS = ("Windows", "Dedicated Host", "CloudServices", "Cloud Services")


class AzurePriceList:
    """Reads a region page by page, only instances of the N series, which are all that have a GPU."""

    name = ProviderName.AZURE
    sources: Mapping[Market, str] = FACTS.price_sources

    def __init__(self, address: str, retry: Retry) -> None:
        parts = urlsplit(address)
        path = parts.path.rstrip("/") or PATH
        self._address = urlunsplit((parts.scheme, parts.netloc, path, "", ""))
        self._retry = retry
        proxies = [ProxyHandler({})] if is_loopback(address) else []
        self._opener = build_opener(_NoRedirects, *proxies)

    def regions(self, known: Collection[str]) -> Sequence[str]:
        return sorted(known)

    def read(self, region: str, types: Collection[str]) -> RegionPrices:
        if not _REGION.fullmatch(region):
            return RegionPrices({})
        by_folded_name = {name.casefold(): name for name in types}
        best: dict[PriceKey, tuple[tuple[bool, Decimal], Decimal]] = {}
        for item in self._items(region):
            # An announced price is listed beside the present one for days, and an ended one may be.
            if not _is_in_force(item, self._retry.now()):
                continue
            key, usd = _price(item, region, by_folded_name)
            if key is None:
                continue
            # Where one instance has several meters, the primary one counts; among equals the dearest, so that no
            # budget is given too low a figure.
            rank = (item.get("isPrimaryMeterRegion") is not False, usd)
            if key not in best or rank > best[key][0]:
                best[key] = (rank, usd)
        return RegionPrices({key: usd for key, (_, usd) in best.items()})

    def _items(self, region: str) -> Iterator[Mapping[str, Any]]:
        wanted = (
            f"serviceName eq 'Virtual Machines' and armRegionName eq '{region}' and priceType eq 'Consumption' "
            "and startswith(armSkuName, 'Standard_N')"
        )
        query = urlencode({"currencyCode": "USD", "$filter": wanted})
        queries: set[str] = set()
        while query:
            if query in queries or len(queries) >= _MOST_PAGES:
                raise UnreachableError(f"Azure's price pages for `{region}` never end")
            queries.add(query)
            page = self._retry.call(partial(self._page, region, query))
            yield from page["Items"]
            # Only the question is taken from the link: the answer comes from where the first one came from.
            query = urlsplit(page["NextPageLink"] or "").query

    def _page(self, region: str, query: str) -> dict[str, Any]:
        doing = f"could not read Azure's prices of `{region}`"
        request = Request(
            f"{self._address}?{query}", headers={"Accept": "application/json", "User-Agent": f"gpuctl/{__version__}"}
        )
        try:
            with self._opener.open(request, timeout=_TIMEOUT_S) as reply:
                text = self._body(reply, doing)
        except HTTPError as error:
            with error:
                raise _refused(error, doing) from error
        except (OSError, HTTPException) as error:
            raise TransientFailure(_unreachable(error, doing)) from error
        return _parsed(text, doing)

    def _body(self, reply: Any, doing: str) -> bytes:
        # In parts, so that a reply that drips for ever is noticed.
        parts, size = [], 0
        while part := reply.read(64 * 1024):
            self._retry.check()
            parts.append(part)
            size += len(part)
            if size > _MOST_BYTES:
                raise UnreachableError(f"{doing}: a page of it is larger than {_MOST_BYTES // 1024**2} MiB")
        return b"".join(parts)


class _NoRedirects(HTTPRedirectHandler):
    """A price API that sends elsewhere is not the one that was named."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _price(item: Mapping[str, Any], region: str, by_folded_name: Mapping[str, str]) -> tuple[PriceKey | None, Decimal]:
    """What the meter prices, and its price; no key for one that is no Linux instance by the hour."""
    usd: Decimal = item["retailPrice"]
    name = by_folded_name.get(item["armSkuName"].casefold())
    meter, product = item["meterName"], item["productName"]
    is_ours = (
        name is not None
        and item["armRegionName"] == region
        and item.get("serviceName", "Virtual Machines") == "Virtual Machines"
        and item.get("type", "Consumption") == "Consumption"
        and item.get("currencyCode", "USD") == "USD"
        and item.get("unitOfMeasure", "1 Hour") == "1 Hour"
        and not item.get("reservationTerm")
        and not item.get("tierMinimumUnits")
        and not product.endswith(" Win")
        and not any(word in product for word in _OTHER_PRODUCTS)
        and not any(word in f"{meter} {item.get('skuName', '')}" for word in _OTHER_METERS)
    )
    market = Market.SPOT if "Spot" in meter else Market.ON_DEMAND
    return (PriceKey(name, region, market) if is_ours and name else None), usd


def _is_in_force(item: Mapping[str, Any], now: datetime) -> bool:
    start, end = _instant(item.get("effectiveStartDate")), _instant(item.get("effectiveEndDate"))
    return (start is None or start <= now) and (end is None or now < end)


def _instant(text: object) -> datetime | None:
    """The instant that a price begins or ends; None where it says none that can be read."""
    try:
        at = datetime.fromisoformat(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return at if at is None or at.tzinfo is not None else at.replace(tzinfo=UTC)


def _parsed(text: bytes, doing: str) -> dict[str, Any]:
    """One page, whole and of the documented shape. Busy for anything else: the next try may be better."""
    try:
        page = json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_refuse_number)
    except ValueError as error:
        raise TransientFailure(UnreachableError(f"{doing}: a page of it is not JSON")) from error
    items = page.get("Items") if isinstance(page, dict) else None
    if not isinstance(items, list) or not all(_is_item(item) for item in items):
        raise TransientFailure(UnreachableError(f"{doing}: a page of it has an unexpected format"))
    if not isinstance(page.setdefault("NextPageLink", None), str | None) or page.get("Count", len(items)) != len(items):
        raise TransientFailure(UnreachableError(f"{doing}: a page of it is not whole"))
    return dict(page)


def _refuse_number(word: str) -> None:
    raise ValueError(f"{word} is not a number")


def _is_item(item: object) -> bool:
    return (
        isinstance(item, dict)
        and isinstance(item.get("retailPrice"), Decimal)
        and all(isinstance(item.get(key), str) for key in ("armSkuName", "armRegionName", "meterName", "productName"))
    )


def _refused(error: HTTPError, doing: str) -> GpuctlError | TransientFailure:
    if error.code == 429:
        return TransientFailure(ThrottledError(f"{doing}: Azure throttles requests (429)"), _retry_after(error))
    if error.code >= 500:
        return TransientFailure(UnreachableError(f"{doing}: Azure answered {error.code}"), _retry_after(error))
    return CloudError(f"{doing}: Azure answered {error.code}", cloud_code=str(error.code))


def _unreachable(error: Exception, doing: str) -> UnreachableError:
    reason = getattr(error, "reason", None) or error
    text = one_line(str(reason)) or type(error).__name__
    return UnreachableError(f"{doing}: {text}", hint=NETWORK_HINT)


def _retry_after(error: HTTPError) -> timedelta | None:
    """How long Azure wants to be left alone: Retry-After in seconds, or as a date."""
    text = (error.headers.get("Retry-After") or "").strip()
    if text.isascii() and text.isdigit():
        return timedelta(seconds=int(text[:9]))
    try:
        until, sent = parsedate_to_datetime(text), parsedate_to_datetime(error.headers.get("Date") or "")
    except (TypeError, ValueError):
        return None
    return max(_aware(until) - _aware(sent), timedelta(0))


def _aware(at: datetime) -> datetime:
    return at if at.tzinfo else at.replace(tzinfo=UTC)
