"""Turns a request into everything that is needed to launch it, before anything is written or made."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from gpuctl.catalog import Catalog
from gpuctl.domain.cost import Cost, Extras, rates
from gpuctl.domain.instance import Instance, ProviderName, Status
from gpuctl.domain.offers import Availability, InstanceType, Offer
from gpuctl.domain.request import Request, check, differences
from gpuctl.errors import NotReadyError, UsageError
from gpuctl.providers.base import Image
from gpuctl.services.parts import Parts
from gpuctl.services.sessions import Session


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that can be launched: checked, priced, in an account, with an image."""

    request: Request
    offer: Offer
    region_source: str
    session: Session
    image: Image
    max_ttl: timedelta
    extras: Extras

    @property
    def hourly(self) -> Cost:
        """Dollars an hour for one of its machines, in parts."""
        return rates(self.offer.price, self.extras.disk, self.extras.address)

    @property
    def cost(self) -> Cost:
        """Dollars for all of its machines until their deadlines, in parts."""
        return self.hourly.over(self.request.ttl * self.request.count)


def checked(request: Request, region_source: str, parts: Parts, catalog: Catalog) -> tuple[Request, Offer, str]:
    """The request with provider, type and region filled in, the offer it means, and where the region came from.

    Calls no cloud and writes nothing. UsageError for the first thing that is wrong; the fixed messages come first.
    """
    kind, unknown_type = _type_of(request, catalog)
    provider = request.provider or (kind.provider if kind else None)
    region = request.region
    if region is None and provider is not None and kind is not None:
        found = parts.sessions.provider(provider, request.profile).default_region()
        region, region_source = found or (None, region_source)
    if unknown_type is not None and region is None:
        raise unknown_type
    request = replace(request, region=region)
    check(request, parts.max_ttl)
    if unknown_type is not None:
        raise unknown_type
    if kind is None or region is None:
        raise UsageError("Instance type is required")
    _refuse_retired(kind, request)
    catalog.check_region(kind.provider, region)
    request = replace(request, provider=kind.provider, instance_type=kind.name)
    parts.sessions.provider(kind.provider, request.profile).check_request(request)
    return request, catalog.offer(kind, region, request.market), region_source


def standing(request: Request, records: Sequence[Instance]) -> list[Instance]:
    """The machines that live under the request's names already, if they are what is asked for; none if none lives.

    UsageError if they differ, or if only some of several names live; NotReadyError if one is still ending.
    """
    if request.name is None:
        return []
    names = [request.named(number + 1).name for number in range(request.count)]
    found = [one for one in records if one.is_live and one.name in names]
    for one in found:
        if one.status is Status.STOPPING:
            raise NotReadyError(f"`{one.name}` is still ending", hint=f"gpuctl get {one.name} --refresh")
        differing = differences(request, one)
        if differing:
            raise UsageError(
                f"`{one.name}` lives already, with another {', '.join(differing)}",
                hint=f"use another `--name`, or gpuctl terminate {one.name}",
            )
    if found and len(found) < len(names):
        raise UsageError(
            f"{len(found)} of the {len(names)} machines named `{request.name}-…` live already",
            hint="use another `--name`",
        )
    return found


def prepare(request: Request, offer: Offer, region_source: str, parts: Parts) -> Prepared:
    """Find the account and the image. Asks the cloud and makes nothing; raises what the cloud answers."""
    provider, region = offer.type.provider, offer.region
    session = parts.sessions.open(provider, request.profile)
    session.provider.check_life(region, request.ttl)
    image = session.provider.find_image(region, offer.type, request.image)
    if request.disk_gb < image.min_disk_gb:
        raise UsageError(
            f"the image `{image.id}` needs a disk of at least {image.min_disk_gb} GB, not {request.disk_gb}",
            hint=f"add `--disk-size {image.min_disk_gb}`",
        )
    extras = parts.extras_of(provider, region, request.disk_gb)
    return Prepared(request, offer, region_source, session, image, parts.max_ttl, extras)


def _type_of(request: Request, catalog: Catalog) -> tuple[InstanceType | None, UsageError | None]:
    if request.instance_type is None:
        return None, None
    try:
        return catalog.find(request.instance_type, request.provider), None
    except UsageError as error:
        return None, error


def _refuse_retired(kind: InstanceType, request: Request) -> None:
    if kind.availability is not Availability.RETIRED or request.allow_retired:
        return
    since = f" on {kind.retired_on}" if kind.retired_on else ""
    instead = f"use `{kind.successor}`, or add `--allow-retired`" if kind.successor else "add `--allow-retired`"
    raise UsageError(f"`{kind.name}` was retired by {_cloud(kind.provider)}{since}", hint=instead)


def _cloud(provider: ProviderName) -> str:
    return {ProviderName.AWS: "AWS", ProviderName.AZURE: "Azure", ProviderName.GCP: "Google Cloud"}[provider]
