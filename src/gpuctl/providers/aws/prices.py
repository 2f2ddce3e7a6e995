"""AWS's published prices: the Price List API for on-demand, EC2 itself for spot and for what a region offers."""

import json
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any

from gpuctl.domain.instance import Market, ProviderName
from gpuctl.domain.money.prices import PriceKey
from gpuctl.errors import Extent, GpuctlError, ThrottledError, UnreachableError
from gpuctl.providers.aws.client import AwsClients
from gpuctl.providers.aws.errors import SDK_ERRORS, code_of, translate, unreadable_credentials
from gpuctl.providers.aws.facts import FACTS
from gpuctl.providers.prices import RegionPrices, checked_address
from gpuctl.providers.retry import Retry, TransientFailure

# One of the few regions the Price List API answers from; it knows the prices of all.
_HOME = "us-east-1"
_PARTITIONS = ("aws", "aws-us-gov")
_MOST_PAGES = 1000
# What EC2 says in a region that the account has not enabled.
_CLOSED = frozenset({"AuthFailure", "OptInRequired", "UnrecognizedClientException"})
# A Linux instance on shared hardware, bought by the hour without a reservation, with nothing preinstalled.
_WANTED = {
    "operatingSystem": "Linux",
    "tenancy": "Shared",
    "preInstalledSw": "NA",
    "capacitystatus": "Used",
    "licenseModel": "No License required",
}

Page = Mapping[str, Any]


class AwsPriceList:
    """Reads a region: the instance types offered there, their spot prices and their on-demand prices."""

    name = ProviderName.AWS
    sources: Mapping[Market, str] = FACTS.price_sources

    def __init__(self, clients: AwsClients, retry: Retry) -> None:
        self._clients = clients
        self._retry = retry

    def regions(self, known: Collection[str]) -> Sequence[str]:
        return sorted({*known, *self._named_by_sdk()})

    def read(self, region: str, types: Collection[str]) -> RegionPrices:
        if region not in self._named_by_sdk():
            # Its address would be made up.
            return RegionPrices({})
        try:
            offered = sorted(self._offered(region) & set(types))
            if not offered:
                return RegionPrices({})
            return RegionPrices({**self._spot(region, offered), **self._on_demand(region, offered)})
        except _RegionClosed:
            return RegionPrices({}, is_open=False)

    def _named_by_sdk(self) -> Collection[str]:
        try:
            session = self._clients.session
            named = [
                available_region
                for part in _PARTITIONS
                for available_region in session.get_available_regions("ec2", part)
            ]
        except SDK_ERRORS as error:
            raise translate(error, "could not list the regions") from error
        return named

    def _offered(self, region: str) -> set[str]:
        parameters = {"LocationType": "region"}
        entries = self._entries("ec2", region, "describe_instance_type_offerings", parameters, "InstanceTypeOfferings")
        return {str(entry.get("InstanceType")) for entry in entries}

    def _spot(self, region: str, offered: Sequence[str]) -> dict[PriceKey, Decimal]:
        """The price in the most expensive zone of each type: nobody knows yet in which zone an instance will be."""
        now = self._retry.now()
        newest: dict[tuple[str, str], tuple[datetime, Decimal]] = {}
        entries = self._entries(
            "ec2",
            region,
            "describe_spot_price_history",
            {"StartTime": now, "InstanceTypes": list(offered), "ProductDescriptions": ["Linux/UNIX"]},
            "SpotPriceHistory",
        )
        for entry in entries:
            name, zone, at = entry.get("InstanceType"), entry.get("AvailabilityZone"), entry.get("Timestamp")
            # A local zone is named after the region, too, and costs something else.
            if name not in offered or not _is_zone_of(zone, region) or not isinstance(at, datetime):
                continue
            known = newest.get((name, zone))
            if known is None or at > known[0]:
                newest[name, zone] = (at, _usd(entry.get("SpotPrice"), f"the spot prices of `{region}`"))
        dearest: dict[PriceKey, Decimal] = {}
        for (name, _), (_, usd) in newest.items():
            key = PriceKey(name, region, Market.SPOT)
            dearest[key] = max(usd, dearest.get(key, usd))
        return dearest

    def _on_demand(self, region: str, offered: Collection[str]) -> dict[PriceKey, Decimal]:
        wanted = {"regionCode": region, **_WANTED}
        filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in wanted.items()]
        parameters = {"ServiceCode": "AmazonEC2", "FormatVersion": "aws_v1", "MaxResults": 100, "Filters": filters}
        fields: dict[PriceKey, Decimal] = {}
        for text in self._entries("pricing", _HOME, "get_products", parameters, "PriceList", about=region):
            name, usd = _product(text, wanted, f"the price list of `{region}`")
            if usd is not None and name in offered:
                key = PriceKey(name, region, Market.ON_DEMAND)
                # Of several the highest, so that no budget is given too low a figure.
                fields[key] = max(usd, fields.get(key, usd))
        return fields

    def _entries(
        self, service: str, home: str, operation: str, filters: Mapping[str, Any], member: str, about: str | None = None
    ) -> Iterator[Any]:
        """Every entry of every page. Raises if one page of them cannot be had."""
        client = self._clients.client(service, home, once=True)
        checked_address(client.meta.endpoint_url, setting=f"AWS_ENDPOINT_URL_{service.upper()}")
        doing = f"could not read AWS's prices of `{about or home}`"
        more: dict[str, str] = {}
        tokens: set[str] = set()
        while True:
            call = partial(getattr(client, operation), **filters, **more)
            page = self._retry.call(partial(_page, call, member, doing))
            yield from page[member]
            token = page.get("NextToken")
            if not token:
                return
            if token in tokens or len(tokens) >= _MOST_PAGES:
                raise UnreachableError(f"{doing}: the list of its pages has no end")
            tokens.add(token)
            more = {"NextToken": token}


class _RegionClosed(Exception):
    """EC2 does not know this account in that region."""


def _page(call: Callable[[], Page], member: str, doing: str) -> Page:
    """One page of the documented shape. Busy for what may pass, _Closed for a region that is not open."""
    try:
        page = call()
    except SDK_ERRORS as error:
        # An organization's policy may forbid single regions: what is allowed in the others is read all the same.
        if code_of(error) in _CLOSED or translate(error, doing).extent is Extent.REGION:
            raise _RegionClosed from error
        raise _failure(error, doing) from error
    except (OSError, EOFError) as error:
        raise unreadable_credentials(error, doing) from error
    if not isinstance(page.get(member), list):
        raise TransientFailure(UnreachableError(f"{doing}: a page of `{member}` has an unexpected format"))
    return page


def _failure(error: Exception, doing: str) -> GpuctlError | TransientFailure:
    failure = translate(error, doing)
    response: Any = getattr(error, "response", None) or {}
    reply = response.get("ResponseMetadata", {})
    if reply.get("HTTPStatusCode") == 429 and not isinstance(failure, ThrottledError):
        failure = ThrottledError(f"{doing}: AWS throttles requests (429)", hint="retry in a minute")
    if not isinstance(failure, ThrottledError | UnreachableError):
        return failure
    after = str(reply.get("HTTPHeaders", {}).get("retry-after", ""))
    is_listed = after.isascii() and after.isdigit()
    return TransientFailure(failure, timedelta(seconds=int(after[:9])) if is_listed else None)


def _product(text: object, wanted: Mapping[str, str], where: str) -> tuple[str, Decimal | None]:
    """The instance type of a product and its price per hour; no price if the product does not match the filter."""
    try:
        product = json.loads(str(text))
        attributes = product["product"]["attributes"]
        name = str(attributes.get("instanceType", ""))
        is_wanted = (
            attributes.get("marketoption") == "OnDemand"
            and attributes.get("operation", "RunInstances") == "RunInstances"
            and all(attributes.get(field, value) == value for field, value in wanted.items())
        )
        if not is_wanted:
            return name, None
        dimensions = [
            dimension
            for term in product["terms"].get("OnDemand", {}).values()
            for dimension in term["priceDimensions"].values()
            if dimension.get("unit", "Hrs") == "Hrs"
        ]
        prices = [_usd(dimension["pricePerUnit"]["USD"], where) for dimension in dimensions]
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise UnreachableError(f"could not read {where}: an entry has an unexpected format") from error
    return name, max(prices, default=None)


def _usd(text: object, where: str) -> Decimal:
    try:
        usd = Decimal(str(text))
    except InvalidOperation as error:
        raise UnreachableError(f"could not read {where}: a price in it is not a number") from error
    if not usd.is_finite():
        raise UnreachableError(f"could not read {where}: a price in it is not a number")
    return usd


def _is_zone_of(zone: object, region: str) -> bool:
    return isinstance(zone, str) and zone.startswith(region) and zone.removeprefix(region).isalpha()
