"""AWS's and Azure's price APIs on loopback, in the shapes they document: filters, pages, and bad days."""

import json
import re
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit
from xml.sax.saxutils import escape

from support.serving import Request, Server, body_of, hang_up, send

from gpuctl_sandbox.aws.gate import refused_request
from gpuctl_sandbox.aws.wire import Call as AwsCall

PRODUCTS, OFFERINGS, SPOT, RETAIL = (
    "GetProducts",
    "DescribeInstanceTypeOfferings",
    "DescribeSpotPriceHistory",
    "retail",
)


@dataclass(frozen=True)
class Reply:
    """What is sent instead of the real answer."""

    status: int = 200
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)


BROKEN = Reply(body=b"<html>not what you asked for")
EMPTY = Reply(body=b"{}")
HUNG_UP = Reply(status=0)


def busy(after: str | None = None) -> Reply:
    """A 429, with a Retry-After if one is named."""
    return Reply(429, b"slow down", {"Retry-After": after} if after is not None else {})


def missing() -> Reply:
    """A page that is not there."""
    return Reply(404, b"no such page")


def refused(code: str, status: int = 403, message: str = "no", **headers: str) -> Reply:
    """EC2's no."""
    body = f"<Response><Errors><Error><Code>{code}</Code><Message>{message}</Message></Error></Errors></Response>"
    return Reply(status, body.encode(), {"Content-Type": "text/xml", **headers})


def not_listed(code: str) -> Reply:
    """The price list's no."""
    body = json.dumps({"__type": code, "message": "no"})
    return Reply(400, body.encode(), {"Content-Type": "application/x-amz-json-1.1"})


@dataclass
class Call:
    """One call as it came."""

    action: str
    region: str
    asked: Mapping[str, Any] = field(repr=False)


def product(name: str, usd: str, region: str = "us-east-1", **attributes: str) -> dict[str, Any]:
    """A product of the price list: a Linux instance on demand, unless the attributes say otherwise."""
    fields = {
        "instanceType": name,
        "regionCode": region,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "licenseModel": "No License required",
        "marketoption": "OnDemand",
        "operation": "RunInstances",
    } | attributes
    dimension = {"unit": "Hrs", "beginRange": "0", "endRange": "Inf", "pricePerUnit": {"USD": usd}}
    return {
        "product": {"productFamily": "Compute Instance", "sku": "SKU", "attributes": fields},
        "serviceCode": "AmazonEC2",
        "terms": {"OnDemand": {"SKU.TERM": {"priceDimensions": {"SKU.TERM.RATE": dimension}}}},
    }


def spot(name: str, usd: str, zone: str = "us-east-1a", at: str = "2026-11-24T11:00:00.000Z") -> dict[str, str]:
    """An entry of the spot price history."""
    return {
        "instanceType": name,
        "availabilityZone": zone,
        "spotPrice": usd,
        "timestamp": at,
        "productDescription": "Linux/UNIX",
    }


def meter(name: str, usd: float, region: str = "eastus", **reported: Any) -> dict[str, Any]:
    """A meter of the retail price list: a Linux instance by the hour, unless `told` otherwise."""
    short = name.removeprefix("Standard_").replace("_", " ")
    return {
        "currencyCode": "USD",
        "tierMinimumUnits": 0.0,
        "retailPrice": usd,
        "unitPrice": usd,
        "armRegionName": region,
        "meterName": short,
        "productName": "Virtual Machines N Series",
        "skuName": short,
        "serviceName": "Virtual Machines",
        "unitOfMeasure": "1 Hour",
        "type": "Consumption",
        "isPrimaryMeterRegion": True,
        "armSkuName": name,
    } | reported


class PriceApis(Server):
    """Both clouds' price APIs at one address.

    `arm` says what the next calls of an action get instead of the answer; None lets one through. `sent` is every call
    that came; a page holds `page_size` entries.
    """

    def __init__(self) -> None:
        self.reset()
        super().__init__(lambda request: (self._retail if request.command == "GET" else self._aws)(request))

    def reset(self) -> None:
        """Nothing is priced, and nothing was asked."""
        self.products: list[dict[str, Any]] = []
        self.offerings: dict[str, list[str]] = {}
        self.spots: list[dict[str, str]] = []
        self.meters: list[dict[str, Any]] = []
        self.page_size = 2
        self.sent: list[Call] = []
        self._armed: dict[str, deque[Reply | None]] = {}

    def arm(self, action: str, *replies: Reply | None) -> None:
        self._armed.setdefault(action, deque()).extend(replies)

    def calls(self, action: str) -> list[Call]:
        return [call for call in self.sent if call.action == action]

    def _retail(self, handler: Request) -> None:
        query = {key: values[0] for key, values in parse_qs(urlsplit(handler.path).query).items()}
        wanted = query.get("$filter", "")
        (region,) = re.findall(r"armRegionName eq '([^']*)'", wanted) or [""]
        if self._answered(handler, Call(RETAIL, region, query)):
            return
        prefix = (re.findall(r"startswith\(armSkuName, '([^']*)'\)", wanted) or [""])[0]
        problems = [
            meter
            for meter in self.meters
            if meter["armRegionName"] == region and meter["armSkuName"].startswith(prefix)
        ]
        skip = int(query.get("$skip", 0))
        page, rest = problems[skip : skip + self.page_size], problems[skip + self.page_size :]
        link = f"https://prices.azure.com:443/api/retail/prices?$filter={quote(wanted)}&$skip={skip + self.page_size}"
        body = {"BillingCurrency": "USD", "Items": page, "NextPageLink": link if rest else None, "Count": len(page)}
        _send(handler, Reply(body=json.dumps(body).encode(), headers={"Content-Type": "application/json"}))

    def _aws(self, handler: Request) -> None:
        body = body_of(handler).decode()
        (region,) = re.findall(r"Credential=[^/]+/\d+/([^/]+)/", handler.headers["Authorization"])
        is_list = handler.headers.get("X-Amz-Target", "").endswith(f".{PRODUCTS}")
        sent = {} if is_list else {key: values[0] for key, values in parse_qs(body).items()}
        service, action = ("pricing", PRODUCTS) if is_list else ("ec2", sent["Action"])
        refusal = refused_request(AwsCall(service, region, action, sent, body.encode()))
        if refusal is not None:
            _send(handler, Reply(refusal.status_code, refusal.get_data(), {"Content-Type": refusal.content_type}))
            return
        if is_list:
            request = json.loads(body)
            if not self._answered(handler, Call(PRODUCTS, region, request)):
                _send(handler, self._list(request))
            return
        form = sent
        if not self._answered(handler, Call(form["Action"], region, form)):
            _send(handler, self._offered(form, region) if form["Action"] == OFFERINGS else self._history(form, region))

    def _answered(self, handler: Request, call: Call) -> bool:
        self.sent.append(call)
        armed = self._armed.get(call.action)
        reply = armed.popleft() if armed else None
        if reply is None:
            return False
        _send(handler, reply)
        return True

    def _list(self, requested: Mapping[str, Any]) -> Reply:
        assert requested["ServiceCode"] == "AmazonEC2" and {item["Type"] for item in requested["Filters"]} == {
            "TERM_MATCH"
        }
        wanted = {item["Field"]: item["Value"] for item in requested["Filters"]}
        # A product without the attribute is not told apart, so that what is asked for has to be checked by the reader.
        problems = [
            product
            for product in self.products
            if product["product"]["attributes"]["regionCode"] == wanted["regionCode"]
        ]
        page, token = self._page(problems, requested.get("NextToken"))
        body = {"FormatVersion": "aws_v1", "PriceList": [json.dumps(item) for item in page]} | (
            {"NextToken": token} if token else {}
        )
        return Reply(body=json.dumps(body).encode(), headers={"Content-Type": "application/x-amz-json-1.1"})

    def _offered(self, form: Mapping[str, str], region: str) -> Reply:
        page, token = self._page(self.offerings.get(region, []), form.get("NextToken"))
        items = [{"instanceType": item, "locationType": "region", "location": region} for item in page]
        return _xml("DescribeInstanceTypeOfferingsResponse", "instanceTypeOfferingSet", items, token)

    def _history(self, form: Mapping[str, str], region: str) -> Reply:
        assert form["ProductDescription.1"] == "Linux/UNIX" and form["StartTime"]
        wanted = {value for key, value in form.items() if key.startswith("InstanceType.")}
        problems = [
            spot
            for spot in self.spots
            if spot["instanceType"] in wanted and spot["availabilityZone"].startswith(region)
        ]
        page, token = self._page(problems, form.get("NextToken"))
        return _xml("DescribeSpotPriceHistoryResponse", "spotPriceHistorySet", page, token)

    def _page(self, actual: list[Any], token: str | None) -> tuple[list[Any], str]:
        begin = int(token.removeprefix("page-")) if token else 0
        end = begin + self.page_size
        return actual[begin:end], f"page-{end}" if actual[end:] else ""


def _xml(root: str, member: str, items: list[Mapping[str, str]], token: str) -> Reply:
    rows = "".join(
        f"<item>{''.join(f'<{key}>{escape(value)}</{key}>' for key, value in item.items())}</item>" for item in items
    )
    text = f"<{root}><requestId>r</requestId><{member}>{rows}</{member}><nextToken>{token}</nextToken></{root}>"
    return Reply(body=text.encode(), headers={"Content-Type": "text/xml"})


def _send(handler: Request, reply: Reply) -> None:
    if reply.status:
        send(handler, reply.status, reply.body, reply.headers)
    else:
        hang_up(handler)
