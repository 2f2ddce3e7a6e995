"""A place with everything that a create there needs, and the logins that it is found with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gpuctl.domain.duration import exact
from gpuctl.domain.instance import ProviderName
from gpuctl.domain.market.candidates import Placement
from gpuctl.domain.market.offers import Offer
from gpuctl.domain.market.request import Request
from gpuctl.domain.money.cost import Cost, Extras, rates
from gpuctl.errors import GpuctlError, NotPreparedError, UsageError
from gpuctl.providers.base import Image
from gpuctl.services.launch.offers import Choice
from gpuctl.services.runtime import Runtime
from gpuctl.services.sessions import Session

# The placeholder for an image that cannot be looked up yet.
_UNKNOWN = Image("", "", 0)


@dataclass(frozen=True, slots=True)
class Launchable:
    """A placement with everything a create needs: the provider's request, a session, an image."""

    placement: Placement
    request: Request
    session: Session
    image: Image
    extras: Extras

    @property
    def offer(self) -> Offer:
        """What is bought."""
        return self.placement.offer

    @property
    def hourly(self) -> Cost:
        """Dollars an hour for one instance, by component."""
        return rates(self.offer.price, self.extras.disk, self.extras.public_ip)

    @property
    def cost(self) -> Cost:
        """Dollars for all of the request's instances until their deadlines, by component."""
        return self.hourly.for_span(self.request.ttl * self.request.count)


# Gets the next placement and the line that announces it, and prints that line if it agrees.
Agree = Callable[[Launchable, str], bool]


def _with_license_price(placement: Placement, image: Image) -> Placement:
    """The place as its offer is with that image: an image with a license of its own makes the price unknown."""
    if image.license is None:
        return placement
    return replace(placement, offer=unpriced(placement.offer))


def unpriced(offer: Offer) -> Offer:
    """The offer at an unknown price."""
    return replace(offer, price=None, on_demand=None)


class Logins:
    """The clouds a choice is tried in, each asked once for each thing.

    Before `agree` was called no account is changed. An image that can only be looked up after such a change is then
    left open, and `unchecked` says so. `zone_failure` is why the zones of the first region could not be listed.
    """

    def __init__(self, choice: Choice, runtime: Runtime) -> None:
        self._is_agreed = False
        self._unchecked: str | None = None
        self._choice = choice
        self._runtime = runtime
        self._images: dict[tuple[ProviderName, str, str], Image] = {}
        self._zones: dict[tuple[ProviderName, str, str], Sequence[str]] = {}
        self.zone_failure: GpuctlError | None = None

    @property
    def unchecked(self) -> str | None:
        """Why an image could not be looked up; None if every image that was needed could."""
        return self._unchecked

    def agree(self) -> None:
        """From now on do, and say, what an account needs before its first instance."""
        self._is_agreed, self._unchecked = True, None

    def usable(self, name: ProviderName, offers: Sequence[Offer]) -> Sequence[Offer]:
        """Those of the offers whose region the account can use; asked only where any region will do."""
        session = self._session(name)
        if not self._choice.bids[name].request.is_anywhere:
            return offers
        enabled = session.provider.regions()
        return [offer for offer in offers if offer.region in enabled]

    def launchable(self, placement: Placement) -> Launchable:
        """The placement with everything a create needs. UsageError if the image does not fit; raises a provider's
        errors.
        """
        kind, region = placement.offer.type, placement.offer.region
        session, request = self._session(kind.provider), self._choice.bids[kind.provider].request
        key = (kind.provider, region, kind.name)
        if key not in self._images:
            session.provider.check_ttl(region, request.ttl)
        if self._is_agreed:
            session.provider.prepare(region, self._runtime.progress.info)
        image = self._images.get(key) or self._image(session, placement, request)
        if request.disk_gb < image.min_disk_gb:
            raise UsageError(
                f"the image `{image.id}` needs a disk of at least {image.min_disk_gb} GB, not {request.disk_gb}",
                hint=f"add `--disk-size {image.min_disk_gb}`",
            )
        present = replace(request, provider=kind.provider, instance_type=kind.name, region=region)
        return Launchable(_with_license_price(placement, image), present, session, image, self._extras(placement.offer))

    def _image(self, session: Session, placement: Placement, request: Request) -> Image:
        kind, region = placement.offer.type, placement.offer.region
        try:
            image = session.provider.find_image(region, kind, request.image)
        except NotPreparedError as error:
            if self._is_agreed:
                raise
            self._unchecked = error.message
            return _UNKNOWN
        self._images[(kind.provider, region, kind.name)] = image
        self._report_image(image, request)
        return image

    def hourly(self, offer: Offer) -> Cost:
        """Dollars an hour by that offer, by component."""
        extras = self._extras(offer)
        return rates(offer.price, extras.disk, extras.public_ip)

    def _extras(self, offer: Offer) -> Extras:
        """The prices of the disks (those of the image as well, where it is known) and of the public IP."""
        image = self._images.get((offer.type.provider, offer.region, offer.type.name))
        disks = image.disks if image else ()
        gb = self._choice.request.disk_gb + sum(disk.size_gb for disk in disks)
        extras = self._runtime.extras_of(offer.type.provider, offer.region, gb)
        return extras if all(disk.has_list_price for disk in disks) else replace(extras, disk=None)

    def _report_image(self, image: Image, request: Request) -> None:
        if image.disks:
            sizes = ", ".join(f"{disk.device} of {disk.size_gb} GB" for disk in image.disks)
            self._runtime.progress.info(
                f"the image `{image.id}` brings further disks, deleted with the instance: {sizes}"
            )
        if image.warning is not None:
            self._runtime.progress.warn(f"{image.warning} (`max_ttl` is {exact(self._runtime.max_ttl)})")
        if image.license is None:
            return
        if request.max_price is not None:
            raise UsageError(
                f"what `{image.id}` costs is unknown ({image.license}), so `--max-price` cannot be kept",
                hint="leave out `--max-price`, or add another `--image`",
            )
        self._runtime.progress.warn(f"the price is unknown: the image `{image.id}` is {image.license}")

    def picks_zone(self, name: ProviderName) -> bool:
        """Whether a create in that cloud may leave the zone to the cloud."""
        return self._session(name).provider.capabilities.picks_zone

    def zones_of(self, offer: Offer) -> Sequence[str]:
        """The zones to name in the offer's region; none where a subnet decides, or where they cannot be listed."""
        kind, region = offer.type, offer.region
        key = (kind.provider, region, kind.name)
        if self._choice.bids[kind.provider].request.subnet is not None and self.picks_zone(kind.provider):
            return ()
        if key not in self._zones:
            try:
                self._zones[key] = self._session(kind.provider).provider.zones(region, kind)
            except GpuctlError as error:
                self._runtime.progress.info(f"could not list the zones of {region}: {error.message}")
                self.zone_failure = self.zone_failure or error
                self._zones[key] = ()
        return self._zones[key]

    def _session(self, name: ProviderName) -> Session:
        return self._runtime.sessions.open(name, self._choice.bids[name].request.profile)
