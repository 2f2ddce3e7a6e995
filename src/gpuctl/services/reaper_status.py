"""Whether the reaper terminates an instance at its deadline, judged by what its last run did."""

from datetime import datetime, timedelta

from gpuctl.domain.duration import approximate
from gpuctl.domain.instance import Instance
from gpuctl.domain.reconcile.actions import scope_of
from gpuctl.domain.safeguards import SafeguardStatus
from gpuctl.store.reaper import ReapTimes

_RAN_LATELY = timedelta(minutes=5)
_SWEPT_LATELY = timedelta(minutes=10)
_DID_ITS_WORK = (0, 8)  # 8: some matter stays unresolved, of this account or of another


def reaper_status(times: ReapTimes, record: Instance, now: datetime) -> tuple[SafeguardStatus, str]:
    """How sure it is that the reaper terminates that instance, and in a few words why; empty where it is sure."""
    last, scope = times.last_reap_at, scope_of(record)
    if last is None:
        return SafeguardStatus.MISSING, "it has not run yet: gpuctl schedule install"
    if now < last:
        return SafeguardStatus.MISSING, "the time of its last run is in the future: gpuctl reap"
    if now - last >= _RAN_LATELY:
        return SafeguardStatus.MISSING, f"it last ran {approximate(now - last)} ago: gpuctl schedule status"
    failure = times.failure(scope)
    if failure is not None:
        return SafeguardStatus.MISSING, f"it could not query {failure.label}: {failure.message}"
    if times.last_reap_exit not in _DID_ITS_WORK:
        return SafeguardStatus.MISSING, f"it failed with exit code {times.last_reap_exit}"
    swept_at = [sweep.at for sweep in times.sweeps if sweep.scope == scope]
    if not any(timedelta(0) <= now - at < _SWEPT_LATELY for at in swept_at):
        return SafeguardStatus.CONFIGURED, f"it has not queried {scope.label} yet"
    return SafeguardStatus.VERIFIED, ""
