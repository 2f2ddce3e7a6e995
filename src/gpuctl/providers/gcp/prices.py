"""Google's published prices: the Cloud Billing Catalog, in which an instance type is the sum of its parts."""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from functools import partial
from typing import Any

import requests

from gpuctl import __version__
from gpuctl.domain.instance import Market, ProviderName
from gpuctl.domain.money.prices import PriceKey
from gpuctl.errors import CredentialsError, GpuctlError, ThrottledError, UnreachableError
from gpuctl.providers.base import Connection
from gpuctl.providers.gcp.errors import translate
from gpuctl.providers.gcp.facts import API_KEY_VARIABLE, FACTS, PRICES_VARIABLE
from gpuctl.providers.gcp.failures import ApiError, LoginError
from gpuctl.providers.gcp.names import machine_type
from gpuctl.providers.prices import RegionPrices, checked_address, is_loopback
from gpuctl.providers.retry import Retry, TransientFailure

ADDRESS = "https://cloudbilling.googleapis.com"
# The service Compute Engine.
PATH = "/v1/services/6F81-5844-456A/skus"
PAGE = "5000"
_TIMEOUT_S = 30.0
_MOST_PAGES = 200
_DOING = "could not read Google's prices"
_NANO = Decimal("0.000000001")
_HOURS_A_MONTH = 730
_LOCAL_SSD = "SSD backed Local Storage"

_SKU = re.compile(
    r"(?P<spot>Spot Preemptible )?(?P<what>[A-Za-z0-9 ]+?)(?P<attached> attached to Spot Preemptible VMs)?"
    r" running in .+"
)
_SSD_SKU = re.compile(rf"(?P<what>{_LOCAL_SSD})(?P<attached> attached to Spot Preemptible VMs)?(?: in .+)?")
_USAGE = {"OnDemand": Market.ON_DEMAND, "Preemptible": Market.SPOT}


@dataclass(frozen=True, slots=True)
class PriceComponents:
    """What an instance type is the sum of: SKUs by the words of their description, and how many of each.

    `gpus` below 1 is a share of one; `ssd_gib` is the size of the local SSDs that come with the type.
    """

    core: str
    ram: str
    gpu: str
    vcpus: int
    gib: int
    gpus: Fraction | int
    ssd_gib: int = 0


# GPUs by their words in the price list.
_ATTACHED = {
    "nvidia-tesla-t4": "Nvidia Tesla T4 GPU",
    "nvidia-tesla-p4": "Nvidia Tesla P4 GPU",
    "nvidia-tesla-p100": "Nvidia Tesla P100 GPU",
    "nvidia-tesla-v100": "Nvidia Tesla V100 GPU",
}
_N1 = re.compile(r"n1-standard-(\d+)")
_G2 = re.compile(r"g2-standard-(\d+)")
_G4 = re.compile(r"g4-standard-(\d+)")
_A2 = re.compile(r"a2-(?:high|mega)gpu-(\d+)g")
_A2_ULTRA = re.compile(r"a2-ultragpu-(\d+)g")
_A3_HIGH = re.compile(r"a3-highgpu-(\d+)g")
_L4S = {24: 2, 48: 4, 96: 8}
_MEGA = "a2-megagpu-16g"


def parts_of(instance_type: str) -> PriceComponents | None:
    """The parts of a type; None for a family whose parts the price list does not name beyond doubt."""
    machine = machine_type(instance_type)
    if (match := _N1.fullmatch(machine.name)) and machine.gpu in _ATTACHED:
        vcpus = int(match[1])
        return _parts("N1 Predefined", _ATTACHED[machine.gpu], vcpus, vcpus * 15 // 4, machine.gpus)
    if match := _G2.fullmatch(machine.name):
        vcpus = int(match[1])
        return _parts("G2", "Nvidia L4 GPU", vcpus, vcpus * 4, _L4S.get(vcpus, 1))
    if match := _G4.fullmatch(machine.name):
        vcpus = int(match[1])
        return _parts("G4", "RTX 6000 96GB", vcpus, vcpus * 15 // 4, Fraction(vcpus, 48))
    if match := _A2.fullmatch(machine.name):
        gpus = int(match[1])
        vcpus, gib = (96, 1360) if machine.name == _MEGA else (12 * gpus, 85 * gpus)
        return _parts("A2", "Nvidia Tesla A100 GPU", vcpus, gib, gpus)
    if match := _A2_ULTRA.fullmatch(machine.name):
        gpus = int(match[1])
        return _parts("A2", "Nvidia Tesla A100 80GB GPU", 12 * gpus, 170 * gpus, gpus, ssd_gib=375 * gpus)
    if match := _A3_HIGH.fullmatch(machine.name):
        gpus = int(match[1])
        return _parts("A3", "Nvidia H100 80GB GPU", 26 * gpus, 234 * gpus, gpus, ssd_gib=750 * gpus)
    return None


def _parts(family: str, gpu: str, vcpus: int, gib: int, gpus: Fraction | int, *, ssd_gib: int = 0) -> PriceComponents:
    return PriceComponents(f"{family} Instance Core", f"{family} Instance Ram", gpu, vcpus, gib, gpus, ssd_gib)


def open_list(connection: Connection, retry: Retry) -> "GcpPriceList":
    """The list at its public address, or where the environment says, by an API key or by the login."""
    address = checked_address(connection.environ.get(PRICES_VARIABLE) or ADDRESS, setting=PRICES_VARIABLE)
    key = connection.environ.get(API_KEY_VARIABLE)
    connection.hide(key)
    return GcpPriceList(address, retry, key, connection.environ)


class GcpPriceList:
    """Reads the whole list once: it cannot be asked for one region."""

    name = ProviderName.GCP
    sources: Mapping[Market, str] = FACTS.price_sources

    def __init__(self, address: str, retry: Retry, key: str | None, environ: Mapping[str, str]) -> None:
        self._address = address.rstrip("/") + PATH
        self._retry = retry
        self._key = key
        self._environ = environ
        self._rates: dict[tuple[str, str, Market], Decimal] | None = None
        self._session: requests.Session | None = None

    def regions(self, known: Collection[str]) -> Sequence[str]:
        return sorted(known)

    def read(self, region: str, types: Collection[str]) -> RegionPrices:
        if self._rates is None:
            self._rates = dict(self._every_rate())
        prices = {}
        for name in types:
            for market in Market:
                usd = self._price(name, region, market)
                if usd is not None:
                    prices[PriceKey(name, region, market)] = usd
        return RegionPrices(prices)

    def _price(self, name: str, region: str, market: Market) -> Decimal | None:
        parts, rates = parts_of(name), self._rates or {}
        if parts is None:
            return None
        counts = (
            (parts.core, parts.vcpus),
            (parts.ram, parts.gib),
            (parts.gpu, parts.gpus),
            (_LOCAL_SSD, parts.ssd_gib),
        )
        total = Decimal(0)
        for sku, count in counts:
            if not count:
                continue
            rate = rates.get((sku, region, market))
            if rate is None:
                return None
            total += rate * count.numerator / count.denominator
        return total

    def _every_rate(self) -> Iterator[tuple[tuple[str, str, Market], Decimal]]:
        """The highest rate of each part (vCPU, memory, GPU, SSD), region and market: budgets never count too little."""
        rates: dict[tuple[str, str, Market], Decimal] = {}
        for sku in self._skus():
            for key, usd in _rates(sku):
                rates[key] = max(usd, rates.get(key, usd))
        yield from rates.items()

    def _skus(self) -> Iterator[Mapping[str, Any]]:
        token, tokens = "", set()
        for _ in range(_MOST_PAGES):
            page = self._retry.call(partial(self._page, token))
            yield from page["skus"]
            token = page.get("nextPageToken") or ""
            if not token:
                return
            if token in tokens:
                break
            tokens.add(token)
        raise UnreachableError(f"{_DOING}: the list of its pages has no end")

    def _page(self, token: str) -> dict[str, Any]:
        query = {"pageSize": PAGE, "currencyCode": "USD"} | ({"pageToken": token} if token else {})
        headers = {"Accept": "application/json", "User-Agent": f"gpuctl/{__version__}"}
        # In a header and not in the address, which errors show.
        headers |= {"X-Goog-Api-Key": self._key} if self._key else {}
        try:
            reply = self._opened().get(
                self._address, params=query, headers=headers, timeout=_TIMEOUT_S, allow_redirects=False
            )
            body = reply.json() if reply.status_code == 200 else None
        except LoginError as error:
            raise translate(error, _DOING) from error
        except requests.RequestException as error:
            raise TransientFailure(
                UnreachableError(f"{_DOING}: {type(error).__name__}", hint="check the network")
            ) from error
        if reply.status_code != 200:
            raise self._refused(reply)
        if not isinstance(body, dict) or not isinstance(body.get("skus"), list):
            raise TransientFailure(UnreachableError(f"{_DOING}: a page of it has an unexpected format"))
        return body

    def _refused(self, reply: requests.Response) -> GpuctlError | TransientFailure:
        try:
            body = reply.json()
        except ValueError:
            body = None
        error = ApiError(reply.status_code, body)
        if reply.status_code == 429:
            return TransientFailure(ThrottledError(f"{_DOING}: Google throttles requests (429)"))
        if reply.status_code >= 500:
            return TransientFailure(UnreachableError(f"{_DOING}: Google answered {reply.status_code}"))
        failure = translate(error, _DOING)
        if isinstance(failure, CredentialsError):
            failure.hint = f"gcloud services enable cloudbilling.googleapis.com, or set {API_KEY_VARIABLE}"
        return failure

    def _opened(self) -> requests.Session:
        if self._session is None:
            if self._key or is_loopback(self._address):
                self._session = requests.Session()
                self._session.trust_env = not is_loopback(self._address)
            else:
                from gpuctl.providers.gcp.login import Login

                self._session = Login(self._environ).session()
        return self._session


def _rates(sku: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str, Market], Decimal]]:
    """The rate per hour of one SKU in each of its regions; nothing for one that is no plain part."""
    category, text = sku.get("category") or {}, str(sku.get("description") or "")
    is_ssd = category.get("resourceFamily") == "Storage"
    market, match = _USAGE.get(str(category.get("usageType"))), (_SSD_SKU if is_ssd else _SKU).fullmatch(text)
    usd = _usd(sku, ("GiBy.mo",) if is_ssd else ("h", "GiBy.h"))
    if category.get("resourceFamily") not in ("Compute", "Storage") or market is None or match is None or usd is None:
        return
    if (market is Market.SPOT) != bool(match["attached"] or match.groupdict().get("spot")):
        return
    for region in sku.get("serviceRegions") or ():
        yield (match["what"], str(region), market), usd / _HOURS_A_MONTH if is_ssd else usd


def _usd(sku: Mapping[str, Any], units: Collection[str]) -> Decimal | None:
    """Dollars per unit, by the last tier; None where it is in another currency or by another unit."""
    try:
        expression = sku["pricingInfo"][-1]["pricingExpression"]
        price = expression["tieredRates"][-1]["unitPrice"]
        if price["currencyCode"] != "USD" or expression["usageUnit"] not in units:
            return None
        usd = Decimal(str(price.get("units") or 0)) + Decimal(int(price.get("nanos") or 0)) * _NANO
    except (KeyError, IndexError, TypeError, ValueError, InvalidOperation):
        return None
    return usd if usd > 0 else None
