"""The checks of one provider: credentials, clock, and whether an instance could be started and terminated."""

from collections.abc import Iterator
from datetime import datetime

from gpuctl.domain.diagnosis import Finding, Verdict
from gpuctl.domain.duration import exact
from gpuctl.domain.instance import Market
from gpuctl.domain.market.offers import Availability, InstanceType, Requirements, ranked
from gpuctl.domain.market.request import DEFAULT_TTL, MIN_DISK_GB
from gpuctl.errors import GpuctlError, NotPreparedError, UsageError
from gpuctl.providers.base import DiagnosedInstance, Image, Order
from gpuctl.services.doctor.setup import CheckedCloud, CheckedSetup
from gpuctl.services.record_id import new_record_id
from gpuctl.services.sessions import MAX_SKEW

_DISK_GB = 100


def login(setup: CheckedSetup, cloud: CheckedCloud) -> Iterator[Finding]:
    """Whether there is a login, and whose it is."""
    session = cloud.session(setup)
    by = f", by `{cloud.profile}`" if cloud.profile else ""
    yield Finding("credentials", Verdict.OK, f"{cloud.name} account {session.account}{by}")


def clock(setup: CheckedSetup, cloud: CheckedCloud) -> Iterator[Finding]:
    """How far this computer's clock is from the cloud's: what is signed by a wrong one is refused."""
    instant = cloud.session(setup).provider.identity().cloud_time
    if instant is None:
        yield Finding("clock", Verdict.UNKNOWN, f"{cloud.name} did not report its time")
        return
    here = setup.runtime.clock.now()
    skew = abs(instant - here)
    if skew > MAX_SKEW:
        way = "ahead of" if here > instant else "behind"
        text = f"the clock of this computer is {exact(skew)} {way} the provider's"
        yield Finding("clock", Verdict.FAIL, text, setup.platform.set_clock)
    else:
        yield Finding("clock", Verdict.OK, f"within {max(1, round(skew.total_seconds()))} s of the provider's")


def type_(setup: CheckedSetup, cloud: CheckedCloud) -> Iterator[Finding]:
    """Whether the type is one that the cloud still starts, there."""
    region = _region(setup, cloud)
    if region is None:
        text = f"no region is set, so {cloud.name} was not checked in a region"
        yield Finding("region", Verdict.WARN, text, f"gpuctl doctor --provider {cloud.name} --region REGION")
        return
    setup.catalog.check_region(cloud.name, region)
    kind = _kind(setup, cloud, region)
    if kind.availability is Availability.RETIRED:
        since = f" on {kind.retired_on}" if kind.retired_on else ""
        instead = f"gpuctl doctor --type {kind.successor}" if kind.successor else "gpuctl types"
        yield Finding("type", Verdict.FAIL, f"`{kind.name}` was retired{since}", instead)
    elif not setup.catalog.is_listed(kind, region):
        text = f"`{kind.name}` is not in the catalog for `{region}`"
        yield Finding("type", Verdict.WARN, text, f"gpuctl types --region {region}")
    else:
        price = setup.catalog.offer(kind, region).price
        cost = f"${price.usd_per_hour:f}/h, as of {price.as_of}" if price else "at an unknown price"
        yield Finding("type", Verdict.OK, f"`{kind.name}` ({kind.gpu_label}) is available in {region}, {cost}")


def image(setup: CheckedSetup, cloud: CheckedCloud) -> Iterator[Finding]:
    """Whether there is an image to boot."""
    region = _known_region(setup, cloud)
    if region is None:
        return
    try:
        image = _image(setup, cloud, region)
    except NotPreparedError as error:
        yield Finding("image", Verdict.UNKNOWN, error.message)
    else:
        yield Finding("image", Verdict.OK, f"{image.id} in {region}, for a disk of {image.min_disk_gb} GB or more")


def ingress(setup: CheckedSetup, cloud: CheckedCloud) -> Iterator[Finding]:
    """Whether the network lets ssh in from more than an instance's own range. No finding where it does not."""
    region = _known_region(setup, cloud)
    if region is None:
        return
    sources = cloud.session(setup).provider.other_ssh_sources(region, cloud.subnet, cloud.ssh_from)
    if sources:
        text = f"the network in {region} also allows SSH from {'; '.join(sources)}"
        yield Finding(
            "ingress",
            Verdict.WARN,
            text,
            "use a range (`--ssh-from 203.0.113.7/32`) and no `--subnet`, or see docs/ssh.md",
        )


def permissions(setup: CheckedSetup, cloud: CheckedCloud) -> Iterator[Finding]:
    """What only the provider itself can answer: permissions, quota, zones, and the expiry of the credentials."""
    region = _known_region(setup, cloud)
    if region is None:
        return
    session, kind = cloud.session(setup), _kind(setup, cloud, region)
    records = [
        record
        for record in setup.records
        if record.is_active and record.account == session.account and record.provider is cloud.name
    ]
    records = [record for record in records if record.region == region and record.cloud_id is not None]
    yield from session.provider.diagnose(
        DiagnosedInstance(
            region=region,
            kind=kind,
            order=_order(setup, cloud, kind, region, session.now),
            until=max([session.now + DEFAULT_TTL, *(record.expires_at for record in records)]),
            now=session.now,
            machine=records[0].cloud_id if records else None,
            opens_ssh=cloud.ssh_from is not None,
        )
    )


def _region(setup: CheckedSetup, cloud: CheckedCloud) -> str | None:
    if cloud.region is not None:
        return cloud.region
    matching = cloud.session(setup).provider.default_region()
    return matching[0] if matching else None


def _known_region(setup: CheckedSetup, cloud: CheckedCloud) -> str | None:
    """The same, None for one that the provider does not have: the check of the type has reported that."""
    region = _region(setup, cloud)
    return region if region in setup.catalog.regions(cloud.name) else None


def _kind(setup: CheckedSetup, cloud: CheckedCloud, region: str) -> InstanceType:
    """The type that was named, else the cheapest common one with a whole GPU and an image for it there."""
    if cloud.instance_type is not None:
        return setup.catalog.find(cloud.instance_type, cloud.name)
    offers = ranked(setup.catalog.offers(cloud.name), Requirements(region=region))
    whole = [offer.type for offer in offers if offer.type.gpu_count >= 1 and offer.type.arch == "x86_64"]
    if cloud.image is None and setup.catalog.lists_images(cloud.name):
        whole = [kind for kind in whole if kind.image is not None] or whole
    if not whole:
        raise UsageError(
            f"no common type with a whole GPU is sold in `{region}`", hint=f"gpuctl types --region {region}"
        )
    return whole[0]


def _image(setup: CheckedSetup, cloud: CheckedCloud, region: str) -> Image:
    provider = cloud.session(setup).provider
    return provider.find_image(region, _kind(setup, cloud, region), cloud.image)


def _order(setup: CheckedSetup, cloud: CheckedCloud, kind: InstanceType, region: str, now: datetime) -> Order | None:
    """What would be asked for, of which nothing is ever made; None where the image or the zones cannot be looked up."""
    provider = cloud.session(setup).provider
    try:
        image = _image(setup, cloud, region)
        zones = () if provider.capabilities.picks_zone else provider.zones(region, kind)
    except GpuctlError:
        return None
    record_id = new_record_id()
    return Order(
        token=record_id,
        record_id=record_id,
        state_id=setup.runtime.store.snapshot().state_id or "not-yet-born",
        owner=setup.user,
        name=None,
        expires_at=now + DEFAULT_TTL,
        max_ttl=setup.runtime.max_ttl,
        region=region,
        zone=next(iter(zones), None),
        subnet=cloud.subnet,
        instance_type=kind.name,
        market=Market.ON_DEMAND,
        image=image,
        disk_gb=max(_DISK_GB, MIN_DISK_GB, image.min_disk_gb),
        created_at=now,
    )
