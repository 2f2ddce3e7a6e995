"""Chooses what to ask for: the offers that fit a request, in the order they are tried, and why the rest do not fit."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal

from gpuctl.catalog import Catalog
from gpuctl.domain.duration import as_typed
from gpuctl.domain.instance import Market, ProviderName
from gpuctl.domain.market.offers import InstanceType, Mismatch, Offer, ranked
from gpuctl.domain.market.request import Request, check
from gpuctl.errors import GpuctlError, UsageError
from gpuctl.services.runtime import EveryRegion, Runtime
from gpuctl.services.sessions import Sessions


@dataclass(frozen=True, slots=True)
class Defaults:
    """Settings of one provider that apply where no option is given, and the source of its region."""

    region: str | None = None
    region_source: str = "config"
    image: str | None = None
    subnet: str | None = None
    profile: str | None = None


DefaultsOf = Callable[[ProviderName], Defaults]
Skipped = Mapping[Mismatch, int]


@dataclass(frozen=True, slots=True)
class ProviderRequest:
    """The request as it is put to one cloud, with that cloud's own settings."""

    request: Request
    region_source: str


@dataclass(frozen=True, slots=True)
class Choice:
    """What matches a request: `offers` in the order of attempts, `skipped` counts the others by reason.

    `types` are the names of the types that match regardless of price. `unusable` has the providers that were left out,
    with the reason.
    """

    request: Request
    bids: Mapping[ProviderName, ProviderRequest]
    offers: tuple[Offer, ...]
    types: frozenset[str]
    skipped: Skipped = field(default_factory=dict)
    unusable: Mapping[ProviderName, GpuctlError] = field(default_factory=dict)
    elsewhere: Offer | None = None


def choose(request: Request, defaults_of: DefaultsOf, runtime: Runtime, catalog: Catalog) -> Choice:
    """What the catalog has for the request. Calls no cloud and writes nothing.

    UsageError for the first thing that is wrong with it, the fixed messages first, and where nothing fits.
    """
    kind, unknown_type = _type_of(request, catalog)
    unusable: dict[ProviderName, GpuctlError] = {}
    bids = dict(_bids(request, kind, defaults_of, runtime.sessions, runtime.every_region, unusable))
    region = next((bid.request.region for bid in bids.values() if bid.request.region), request.region)
    if unknown_type is not None and region is None:
        raise unknown_type
    checked = next((bid.request for bid in bids.values() if bid.request.region), replace(request, region=region))
    check(checked, runtime.max_ttl)
    if unknown_type is not None:
        raise unknown_type
    if kind is not None:
        _refuse_retired(kind, request)
    bids = {name: bid for name, bid in bids.items() if bid.request.region is not None}
    _check_regions(bids, catalog)
    for name, bid in bids.items():
        provider = runtime.sessions.provider(name, bid.request.profile)
        if bid.request.idle is not None and not provider.capabilities.idle_ends:
            raise UsageError(
                f"--idle is not available on {name}: an instance that powers itself off is still billed",
                hint="leave out `--idle`; the deadline still applies",
            )
        provider.check_request(bid.request)
    return _chosen(request, bids, kind, catalog, unusable)


def _bids(
    request: Request,
    kind: InstanceType | None,
    defaults_of: DefaultsOf,
    sessions: Sessions,
    every_region: EveryRegion,
    unusable: dict[ProviderName, GpuctlError],
) -> Iterator[tuple[ProviderName, ProviderRequest]]:
    named = kind.provider if kind else request.provider
    for name in [named] if named else every_region() if request.describes else ():
        bid = _bid(
            replace(request, provider=name, instance_type=kind.name if kind else request.instance_type),
            defaults_of(name),
        )
        if bid.request.region is None and (kind is not None or request.describes):
            try:
                matching = sessions.provider(name, bid.request.profile).default_region()
            except GpuctlError as error:
                if named:
                    raise
                unusable[name] = error
                continue
            if matching:
                bid = ProviderRequest(replace(bid.request, region=matching[0]), matching[1])
        yield name, bid


def _bid(request: Request, defaults: Defaults) -> ProviderRequest:
    filled = replace(
        request,
        region=request.region or defaults.region,
        image=request.image or defaults.image,
        subnet=request.subnet or defaults.subnet,
        profile=defaults.profile,
    )
    return ProviderRequest(filled, "--region" if request.region else defaults.region_source)


def _check_regions(bids: dict[ProviderName, ProviderRequest], catalog: Catalog) -> None:
    """Refuse a region that none of the clouds knows, and keep of each cloud's what that one knows."""
    for bid in list(bids.values()):
        for region in bid.request.regions:
            if not any(region in catalog.regions(name) for name in bids):
                catalog.check_region(next(iter(bids)), region)
    for name, bid in list(bids.items()):
        known = [region for region in bid.request.regions if region in catalog.regions(name)]
        if not bid.request.is_anywhere and not known:
            del bids[name]
        elif not bid.request.is_anywhere:
            bids[name] = replace(bid, request=replace(bid.request, region=",".join(known)))


def _chosen(
    request: Request,
    bids: Mapping[ProviderName, ProviderRequest],
    kind: InstanceType | None,
    catalog: Catalog,
    unusable: Mapping[ProviderName, GpuctlError],
) -> Choice:
    need, skipped = request.need, Counter[Mismatch]()
    offers: list[Offer] = []
    too_expensive: list[Decimal] = []
    types = {kind.name} if kind else set[str]()
    for market in request.markets:
        present = [offer for name, bid in bids.items() for offer in _offers(bid, name, kind, market, catalog)]
        lacks = {id(offer): need.mismatch(offer) or _lack_of_image(offer, request, bids, catalog) for offer in present}
        too_expensive += [
            offer.price.usd_per_hour
            for offer in present
            if offer.price and lacks[id(offer)] is Mismatch.ABOVE_MAX_PRICE
        ]
        skipped.update(lack for lack in lacks.values() if lack is not None)
        fitting = [offer for offer in present if lacks[id(offer)] is None]
        types |= {offer.type.name for offer in present if replace(need, max_usd_per_hour=None).is_met_by(offer)}
        is_listed = kind is not None and not request.is_anywhere
        # Regions named together with a type are tried in that order; else the cheapest offer comes first.
        offers += fitting if is_listed else ranked(fitting, need)
    if not offers:
        raise _nothing_fits(request, skipped, unusable, catalog, bids, too_expensive)
    return Choice(
        request, bids, tuple(offers), frozenset(types), skipped, unusable, _cheapest_elsewhere(offers, request, catalog)
    )


def _lack_of_image(
    offer: Offer, request: Request, bids: Mapping[ProviderName, ProviderRequest], catalog: Catalog
) -> Mismatch | None:
    """Of the types that a description fits, one is not chosen for which no image with a driver is known."""
    provider, image = offer.type.provider, offer.type.image
    if request.instance_type is not None or bids[provider].request.image is not None:
        return None
    has_driver = image is not None and image.driver is not None
    return None if has_driver or not catalog.lists_images(provider) else Mismatch.IMAGE


def _cheapest_elsewhere(offers: Sequence[Offer], request: Request, catalog: Catalog) -> Offer | None:
    kind, requested = offers[0].type, {offer.region for offer in offers}
    others = [offer for offer in catalog.offers(kind.provider, request.market) if offer.type == kind]
    return next((offer for offer in ranked(others, request.need) if offer.region not in requested), None)


def _offers(
    bid: ProviderRequest, name: ProviderName, kind: InstanceType | None, market: Market, catalog: Catalog
) -> Iterator[Offer]:
    if kind is not None and not bid.request.is_anywhere:
        offers: Sequence[Offer] = [catalog.offer(kind, region, market) for region in bid.request.regions]
    else:
        offers = [
            offer
            for offer in catalog.offers(name, market)
            if (kind is None or offer.type == kind) and (bid.request.is_anywhere or offer.region in bid.request.regions)
        ]
    for offer in offers:
        yield replace(offer, on_demand=catalog.offer(offer.type, offer.region).price)


def _nothing_fits(
    request: Request,
    skipped: Skipped,
    unusable: Mapping[ProviderName, GpuctlError],
    catalog: Catalog,
    bids: Mapping[ProviderName, ProviderRequest],
    too_expensive: Sequence[Decimal],
) -> GpuctlError:
    """Why no offer matches; `too_expensive` are the prices of those that only cost too much."""
    if unusable and not skipped:
        return next(iter(unusable.values()))
    if request.gpu is not None and request.instance_type is None and set(skipped) == {Mismatch.GPU_MODEL}:
        models = sorted({kind.gpu_model for name in bids for kind in catalog.types(name)})
        return UsageError(
            f"no instance type there has the GPU {as_typed(request.gpu)}", hint=f"one of {', '.join(models)}"
        )
    reason = f": {skipped_summary(skipped)}" if skipped else ""
    wanted = f" --gpu '{request.gpu}'" if request.gpu else ""
    if too_expensive:
        cheapest = min(too_expensive)
        return UsageError(f"no offer matches{reason}", hint=f"the cheapest costs ${cheapest:f}/h: raise `--max-price`")
    if Mismatch.IMAGE in skipped:
        hint = f"add `--image` with an image that has a driver for it, or: gpuctl types{wanted}"
        return UsageError(f"no offer matches{reason}", hint=hint)
    elsewhere = "" if request.is_anywhere else ", or add `--region any`"
    return UsageError(f"no offer matches{reason}", hint=f"gpuctl types{wanted}{elsewhere}")


def skipped_summary(skipped: Skipped) -> str:
    """`12 with another GPU, 3 retired`, the most frequent first."""
    return ", ".join(f"{count} {lack}" for lack, count in sorted(skipped.items(), key=lambda row: -row[1]))


def _type_of(request: Request, catalog: Catalog) -> tuple[InstanceType | None, UsageError | None]:
    if request.instance_type is None:
        return None, None
    try:
        return catalog.find(request.instance_type, request.provider), None
    except UsageError as error:
        return None, error


def _refuse_retired(kind: InstanceType, request: Request) -> None:
    if kind.retirement is None or request.allow_retired:
        return
    instead = f"use `{kind.successor}`, or add `--allow-retired`" if kind.successor else "add `--allow-retired`"
    raise UsageError(kind.retirement, hint=instead)
