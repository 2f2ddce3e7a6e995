"""Which regions a run of the reaper lists."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime, timedelta

from gpuctl.domain.instance import Instance, ProviderName, Status
from gpuctl.services.reap.restore import ConfiguredRegion
from gpuctl.services.sessions import Login
from gpuctl.store.reaper import ReapTimes

SWEEP_EVERY = timedelta(minutes=5)


def regions_to_list(
    records: Sequence[Instance],
    times: ReapTimes,
    configured: Iterable[ConfiguredRegion],
    now: datetime,
    over: Collection[str],
    *,
    sweep: bool,
) -> dict[Login, list[str]]:
    """The regions to list, by login: where something is expired or over budget, and where the last sweep is old.

    With `sweep`, all of them.
    """
    swept: dict[tuple[ProviderName, str, str], datetime] = {}
    places: dict[Login, dict[str, bool]] = {}
    for last in times.sweeps:
        scope = last.scope
        swept[scope.provider, scope.account, scope.region] = last.at
        places.setdefault(Login(scope.provider, last.profile, scope.account), {})[scope.region] = False
    for record in records:
        regions = places.setdefault(Login(record.provider, record.profile, record.account), {})
        regions[record.region] = regions.get(record.region, False) or record.id in over or _needs_listing(record, now)
        regions.update(dict.fromkeys((left.region for left in record.leftover_attempts), True))
    for provider, profile, region in configured:
        places.setdefault(Login(provider, profile, None), {}).setdefault(region, False)
    return {
        login: chosen
        for login, regions in places.items()
        if (
            chosen := [
                region
                for region, urgent in regions.items()
                if urgent or sweep or _is_stale(_last_sweep(swept, login, region), now)
            ]
        )
    }


def _needs_listing(record: Instance, now: datetime) -> bool:
    return record.is_active and (
        record.is_due(now) or record.status is Status.STOPPING or record.absent_since is not None
    )


def _last_sweep(swept: dict[tuple[ProviderName, str, str], datetime], login: Login, region: str) -> datetime | None:
    if login.account is not None:
        return swept.get((login.provider, login.account, region))
    ambient = [at for (provider, _, where), at in swept.items() if (provider, where) == (login.provider, region)]
    return max(ambient, default=None)


def _is_stale(at: datetime | None, now: datetime) -> bool:
    # A sweep in the future means that some clock was wrong: look now.
    return at is None or not timedelta(0) <= now - at < SWEEP_EVERY
