"""Finds where an instance can be tried first, and everything its launch needs, before anything is written or made."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import TypeVar

from gpuctl.domain.duration import exact
from gpuctl.domain.instance import Instance, Status
from gpuctl.domain.market.candidates import Placement, placements
from gpuctl.domain.market.offers import Mismatch, Offer
from gpuctl.domain.market.request import Request, differences
from gpuctl.domain.money.cost import Cost
from gpuctl.errors import CapacityError, GpuctlError, NotReadyError, UsageError
from gpuctl.services.launch.cooldown import Refusals, is_elsewhere
from gpuctl.services.launch.launchable import Agree, Launchable, Logins, unpriced
from gpuctl.services.launch.messages import attempt_message
from gpuctl.services.launch.offers import Choice, Skipped
from gpuctl.services.launch.retry import Retries
from gpuctl.services.progress import Progress
from gpuctl.services.runtime import Runtime
from gpuctl.services.sessions import Session
from gpuctl.store.base import Guard

_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Prepared:
    """A request that can be launched: checked, priced, in an account, with an image.

    `offers` are those that may be tried, in order, and `skipped` counts the others by why; `first` is where to begin.
    `admit` gets all records, the new ones last, in the transaction that adds those, and refuses them by raising.
    """

    choice: Choice
    offers: tuple[Offer, ...]
    skipped: Skipped
    first: Launchable
    max_ttl: timedelta
    logins: Logins
    refusals: Refusals
    retries: Retries = field(default_factory=Retries)
    admit: Guard = lambda present: None

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

    @property
    def unchecked(self) -> str | None:
        """What could not be checked before the account is prepared; None if everything was."""
        return self.logins.unchecked

    def cost_of(self, offer: Offer) -> Cost:
        """Dollars for all of the instances by that offer until their deadlines, by component."""
        return self.logins.hourly(offer).for_span(self.request.ttl * self.request.count)

    def placements(self) -> Iterator[Placement]:
        """Every place there is to try, in order; the zones of a region are asked for when it is their turn."""
        return _places(self.offers, self.logins, self.refusals)


def active_records(choice: Choice, records: Sequence[Instance]) -> list[Instance]:
    """The active records with the names of the request, if they match it; empty if there are none.

    UsageError if they differ, or if only some of several names are active; NotReadyError if one is terminating.
    """
    request = choice.request
    if request.name is None:
        return []
    names = [request.named(number + 1).name for number in range(request.count)]
    matching = [record for record in records if record.is_active and record.name in names]
    for record in matching:
        if record.status is Status.STOPPING:
            raise NotReadyError(f"`{record.name}` is still terminating", hint=f"gpuctl get {record.name} --refresh")
        bid = choice.bids.get(record.provider)
        differing = differences(bid.request, record, choice.types) if bid else ["provider"]
        if differing:
            is_short = differing == ["ttl"] and request.ttl > record.ttl
            extend = f"gpuctl extend {record.name} --ttl {exact(request.ttl)}, " if is_short else ""
            raise UsageError(
                f"`{record.name}` is already active, with another {', '.join(differing)}",
                hint=f"{extend}use another `--name`, or gpuctl terminate {record.name}",
            )
    if matching and len(matching) < len(names):
        raise UsageError(
            f"{len(matching)} of the {len(names)} instances named `{request.name}-…` are active already",
            hint="use another `--name`",
        )
    return matching


def prepare(choice: Choice, runtime: Runtime, retries: Retries | None = None) -> Prepared:
    """Find accounts, usable regions, and the image of the placement that is tried first. Changes nothing.

    If an account must be prepared before its images can be looked up, `unchecked` says so; `prepare_account` does that.
    A provider that cannot be used is skipped if another one matches; else its error is raised. CapacityError if every
    placement is in cooldown: then no request is sent.
    """
    retries = retries or Retries()
    return _retried(lambda: _prepared(choice, runtime, retries), runtime, retries)


def prepare_account(prepared: Prepared, runtime: Runtime, agree: Agree) -> Prepared:
    """The same after the user has confirmed: the account is prepared for its first instance, and this is reported.

    Images that could not be looked up before are looked up now. If that changes the image, the price or the placement,
    `agree` is called, with UsageError if it refuses. A second call does nothing. Raises what `prepare` raises.
    """
    logins, planned = prepared.logins, prepared.first.placement
    is_checked = logins.unchecked is None
    logins.agree()

    def first() -> Launchable:
        if is_checked:
            return logins.launchable(planned)
        return _first_launchable(prepared.offers, logins, prepared.refusals, runtime.progress)

    launchable = _retried(first, runtime, prepared.retries)
    if launchable != prepared.first and not agree(
        launchable, attempt_message(launchable, prepared.first, prepared.request.ttl)
    ):
        raise UsageError("no instance was started")
    return replace(prepared, first=launchable)


def _retried(attempt: Callable[[], _T], runtime: Runtime, retries: Retries) -> _T:
    while True:
        try:
            return attempt()
        except GpuctlError as error:
            if not retries.wait(error, runtime.clock, runtime.progress):
                raise


def _prepared(choice: Choice, runtime: Runtime, retries: Retries) -> Prepared:
    logins, refusals = Logins(choice, runtime), Refusals(runtime, choice)
    offers, skipped = list(choice.offers), Counter(choice.skipped)
    for name in dict.fromkeys(offer.type.provider for offer in choice.offers):
        try:
            usable = logins.usable(name, [offer for offer in offers if offer.type.provider is name])
        except GpuctlError as error:
            if all(offer.type.provider is name for offer in offers):
                raise
            runtime.progress.info(f"{name} is skipped: {error.message}")
            usable, lack = [], Mismatch.PROVIDER_UNAVAILABLE
        else:
            lack = Mismatch.REGION_NOT_ENABLED
        remaining = [offer for offer in offers if offer.type.provider is not name or offer in usable]
        skipped[lack] += len(offers) - len(remaining)
        offers = remaining
    skipped[Mismatch.NO_RECENT_CAPACITY] += sum(refusals.of(Placement(offer)) is not None for offer in offers)
    first = _first_launchable(offers, logins, refusals, runtime.progress)
    if first.image.license is not None:
        # One image was named for that cloud: all of its offers are with that license.
        cloud = first.offer.type.provider
        offers = [unpriced(offer) if offer.type.provider is cloud else offer for offer in offers]
    return Prepared(choice, tuple(offers), +skipped, first, runtime.max_ttl, logins, refusals, retries)


def _first_launchable(offers: Sequence[Offer], logins: Logins, refusals: Refusals, progress: Progress) -> Launchable:
    """The first place that can be tried. Raises why there is none."""
    cooldown: GpuctlError | None = None
    unfit: GpuctlError | None = None
    for placement in _places(offers, logins, refusals):
        known = refusals.of(placement)
        if known is not None:
            cooldown = cooldown or known
            continue
        try:
            return logins.launchable(placement)
        except GpuctlError as error:
            if not isinstance(error, UsageError) and not is_elsewhere(error):
                raise
            if len(offers) > 1:
                progress.info(f"{placement.location} is skipped: {error.message}")
            unfit = unfit or error
    raise (
        cooldown
        or unfit
        or logins.zone_failure
        or CapacityError("there is no placement to try", hint="add `--region any`")
    )


def _places(offers: Sequence[Offer], logins: Logins, refusals: Refusals) -> Iterator[Placement]:
    def zones_of(offer: Offer) -> Sequence[str]:
        is_needed = not logins.picks_zone(offer.type.provider) or refusals.needs_zones(offer)
        return logins.zones_of(offer) if is_needed else ()

    return placements(offers, zones_of, logins.picks_zone)
