"""Finds where a machine can be tried first, and everything its launch needs, before anything is written or made."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

from gpuctl.domain.instance import Instance, ProviderName, Status
from gpuctl.domain.market.candidates import Place, in_order
from gpuctl.domain.market.offers import Lack, Offer
from gpuctl.domain.market.request import Request, differences
from gpuctl.domain.money.cost import Cost, Extras, rates
from gpuctl.errors import CapacityError, GpuctlError, NotReadyError, UsageError
from gpuctl.providers.base import Image
from gpuctl.services.launch.cooldown import Refused, is_elsewhere
from gpuctl.services.launch.offers import Choice, Passed
from gpuctl.services.launch.retry import Retrying
from gpuctl.services.runtime import Parts
from gpuctl.services.sessions import Session


@dataclass(frozen=True, slots=True)
class Launchable:
    """A place with what a create there needs: the request as that cloud is asked, a login, an image."""

    place: Place
    request: Request
    session: Session
    image: Image
    extras: Extras

    @property
    def offer(self) -> Offer:
        """What is bought."""
        return self.place.offer

    @property
    def hourly(self) -> Cost:
        """Dollars an hour for one machine, in parts."""
        return rates(self.offer.price, self.extras.disk, self.extras.address)

    @property
    def cost(self) -> Cost:
        """Dollars for all of the request's machines until their deadlines, in parts."""
        return self.hourly.over(self.request.ttl * self.request.count)


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that can be launched: checked, priced, in an account, with an image.

    `offers` are those that may be tried, in order, and `passed` counts the others by why; `first` is where to begin.
    """

    choice: Choice
    offers: tuple[Offer, ...]
    passed: Passed
    first: Launchable
    max_ttl: timedelta
    logins: "Logins"
    doors: Refused
    retrying: Retrying = field(default_factory=Retrying)

    @property
    def request(self) -> Request:
        """The request as the first cloud is asked."""
        return self.first.request

    @property
    def offer(self) -> Offer:
        """What is tried first."""
        return self.first.offer

    @property
    def session(self) -> Session:
        """The login it is tried with."""
        return self.first.session

    @property
    def region_source(self) -> str:
        """Where the region came from."""
        return self.choice.bids[self.offer.type.provider].region_source

    @property
    def cost(self) -> Cost:
        """What it costs where it is tried first; see `Launchable.cost`."""
        return self.first.cost

    def cost_of(self, offer: Offer) -> Cost:
        """Dollars for all of the machines by that offer until their deadlines, in parts."""
        return self.logins.hourly(offer).over(self.request.ttl * self.request.count)

    def places(self) -> Iterator[Place]:
        """Every place there is to try, in order; the zones of a region are asked for when it is their turn."""
        return _places(self.offers, self.logins, self.doors)


def standing(choice: Choice, records: Sequence[Instance]) -> list[Instance]:
    """The machines that live under the request's names already, if they are what is asked for; none if none lives.

    UsageError if they differ, or if only some of several names live; NotReadyError if one is still ending.
    """
    request = choice.request
    if request.name is None:
        return []
    names = [request.named(number + 1).name for number in range(request.count)]
    found = [record for record in records if record.is_live and record.name in names]
    for record in found:
        if record.status is Status.STOPPING:
            raise NotReadyError(f"`{record.name}` is still terminating", hint=f"gpuctl get {record.name} --refresh")
        bid = choice.bids.get(record.provider)
        differing = differences(bid.request, record, choice.types) if bid else ["provider"]
        if differing:
            raise UsageError(
                f"`{record.name}` is already active, with another {', '.join(differing)}",
                hint=f"use another `--name`, or gpuctl terminate {record.name}",
            )
    if found and len(found) < len(names):
        raise UsageError(
            f"{len(found)} of the {len(names)} instances named `{request.name}-…` are active already",
            hint="use another `--name`",
        )
    return found


def prepare(choice: Choice, parts: Parts, retrying: Retrying | None = None, *, is_dry: bool = False) -> Prepared:
    """Find accounts, what they may use, and the image for the place that is tried first. Makes nothing that costs.

    What an account needs before its first instance is done, and said, unless `is_dry`. A cloud that cannot be used is
    left out if another one fits too; else what it answered is raised. CapacityError where every place was refused
    within the last minutes: then nothing is asked again.
    """
    retrying = retrying or Retrying()
    while True:
        try:
            return _prepared(choice, parts, retrying, is_dry=is_dry)
        except GpuctlError as error:
            if not retrying.waits_out(error, parts):
                raise


def _prepared(choice: Choice, parts: Parts, retrying: Retrying, *, is_dry: bool) -> Prepared:
    logins, doors = Logins(choice, parts, is_dry=is_dry), Refused(parts, choice)
    offers, passed = list(choice.offers), Counter(choice.passed)
    for name in dict.fromkeys(offer.type.provider for offer in choice.offers):
        try:
            usable = logins.usable(name, [offer for offer in offers if offer.type.provider is name])
        except GpuctlError as error:
            if all(offer.type.provider is name for offer in offers):
                raise
            parts.talk.say(f"{name} is skipped: {error.message}")
            usable, lack = [], Lack.NO_LOGIN
        else:
            lack = Lack.NOT_ENABLED
        kept = [offer for offer in offers if offer.type.provider is not name or offer in usable]
        passed[lack] += len(offers) - len(kept)
        offers = kept
    passed[Lack.REFUSED_LATELY] += sum(doors.against(Place(offer)) is not None for offer in offers)
    first = _first(offers, logins, doors, parts)
    if first.image.license is not None:
        # One image was named for that cloud: all of its offers are with that license.
        cloud = first.offer.type.provider
        offers = [_unpriced(offer) if offer.type.provider is cloud else offer for offer in offers]
    return Prepared(choice, tuple(offers), +passed, first, parts.max_ttl, logins, doors, retrying)


def _first(offers: Sequence[Offer], logins: "Logins", doors: Refused, parts: Parts) -> Launchable:
    """The first place that can be tried. Raises why there is none."""
    shut: GpuctlError | None = None
    unfit: GpuctlError | None = None
    for place in _places(offers, logins, doors):
        known = doors.against(place)
        if known is not None:
            shut = shut or known
            continue
        try:
            return logins.launchable(place)
        except GpuctlError as error:
            if not isinstance(error, UsageError) and not is_elsewhere(error):
                raise
            if len(offers) > 1:
                parts.talk.say(f"{place.where} is skipped: {error.message}")
            unfit = unfit or error
    raise shut or unfit or CapacityError("there is no placement to try", hint="add `--region any`")


def _priced(place: Place, image: Image) -> Place:
    """The place as its offer is with that image: an image with a license of its own makes the price unknown."""
    if image.license is None:
        return place
    return replace(place, offer=_unpriced(place.offer))


def _unpriced(offer: Offer) -> Offer:
    return replace(offer, price=None, on_demand=None)


def _places(offers: Sequence[Offer], logins: "Logins", doors: Refused) -> Iterator[Place]:
    return in_order(offers, lambda offer: logins.zones_of(offer) if doors.needs_zones(offer) else ())


class Logins:
    """The clouds a choice is tried in, each asked once for each thing."""

    def __init__(self, choice: Choice, parts: Parts, *, is_dry: bool) -> None:
        self._is_dry = is_dry
        self._choice = choice
        self._parts = parts
        self._images: dict[tuple[ProviderName, str, str], Image] = {}
        self._zones: dict[tuple[ProviderName, str, str], Sequence[str]] = {}

    def usable(self, name: ProviderName, offers: Sequence[Offer]) -> Sequence[Offer]:
        """Those of the offers whose region the account can use; asked only where any region will do."""
        session = self._session(name)
        if not self._choice.bids[name].request.is_anywhere:
            return offers
        enabled = session.provider.regions()
        return [offer for offer in offers if offer.region in enabled]

    def launchable(self, place: Place) -> Launchable:
        """The place with what a create there needs. UsageError if the image does not fit; raises what a cloud does."""
        kind, region = place.offer.type, place.offer.region
        session, request = self._session(kind.provider), self._choice.bids[kind.provider].request
        key = (kind.provider, region, kind.name)
        if key not in self._images:
            session.provider.check_life(region, request.ttl)
            if not self._is_dry:
                session.provider.prepare(region, self._parts.talk.say)
            self._images[key] = session.provider.find_image(region, kind, request.image)
            self._tell_of(self._images[key], request)
        image = self._images[key]
        if request.disk_gb < image.min_disk_gb:
            raise UsageError(
                f"the image `{image.id}` needs a disk of at least {image.min_disk_gb} GB, not {request.disk_gb}",
                hint=f"add `--disk-size {image.min_disk_gb}`",
            )
        there = replace(request, provider=kind.provider, instance_type=kind.name, region=region)
        return Launchable(_priced(place, image), there, session, image, self._extras(place.offer))

    def hourly(self, offer: Offer) -> Cost:
        """Dollars an hour by that offer, in parts."""
        extras = self._extras(offer)
        return rates(offer.price, extras.disk, extras.address)

    def _extras(self, offer: Offer) -> Extras:
        """The prices of the disks (those of the image as well, where it is known) and of the public IP."""
        image = self._images.get((offer.type.provider, offer.region, offer.type.name))
        disks = image.disks if image else ()
        gb = self._choice.request.disk_gb + sum(disk.size_gb for disk in disks)
        extras = self._parts.extras_of(offer.type.provider, offer.region, gb)
        return extras if all(disk.has_list_price for disk in disks) else replace(extras, disk=None)

    def _tell_of(self, image: Image, request: Request) -> None:
        if image.disks:
            sizes = ", ".join(f"{disk.device} of {disk.size_gb} GB" for disk in image.disks)
            self._parts.talk.say(f"the image `{image.id}` brings further disks, deleted with the instance: {sizes}")
        if image.license is None:
            return
        if request.max_price is not None:
            raise UsageError(
                f"what `{image.id}` costs is unknown ({image.license}), so `--max-price` cannot be kept",
                hint="leave out `--max-price`, or add another `--image`",
            )
        self._parts.talk.warn(f"the price is unknown: the image `{image.id}` is {image.license}")

    def zones_of(self, offer: Offer) -> Sequence[str]:
        """The zones to name in the offer's region; none where a subnet decides, or where they cannot be learnt."""
        kind, region = offer.type, offer.region
        key = (kind.provider, region, kind.name)
        if self._choice.bids[kind.provider].request.subnet is not None:
            return ()
        if key not in self._zones:
            try:
                self._zones[key] = self._session(kind.provider).provider.zones(region, kind)
            except GpuctlError as error:
                self._parts.talk.say(f"could not list the zones of {region}: {error.message}")
                self._zones[key] = ()
        return self._zones[key]

    def _session(self, name: ProviderName) -> Session:
        return self._parts.sessions.open(name, self._choice.bids[name].request.profile)
