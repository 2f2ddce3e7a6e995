"""Moving the deadline that an instance carries: in its metadata, which the guard reads, and in its labels."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from gpuctl.domain.tags import EXPIRES_AT, deadline_tag
from gpuctl.errors import CloudError, UnresolvedError, UsageError
from gpuctl.providers.gcp.client import Api, Json
from gpuctl.providers.gcp.failures import ApiError
from gpuctl.providers.gcp.guard import GRACE
from gpuctl.providers.gcp.names import parts
from gpuctl.providers.gcp.observe import limit_of, metadata_of
from gpuctl.providers.gcp.operations import finished

_WITHIN = timedelta(seconds=60)
_TRIES = 2


def set_deadline(api: Api, cloud_id: str, expires_at: datetime) -> None:
    """Write the deadline into labels and metadata, and read both back.

    UsageError where Google's run limit comes first: it cannot be moved while the instance runs. Raises what a call
    raises, OperationFailed, UnresolvedError for a change that has not ended in a minute, and CloudError where another
    value is read back.
    """
    zone, name = parts(cloud_id)
    path, moved = f"zones/{zone}/instances/{name}", deadline_tag(expires_at)
    instance = api.get(path)
    limit = limit_of(instance)
    if limit is not None and expires_at.replace(microsecond=0) + GRACE > limit:
        raise UsageError(
            f"Google deletes {cloud_id} at {limit:%Y-%m-%dT%H:%M:%SZ}, which cannot be moved while it runs: the "
            f"deadline can be at most {limit - GRACE:%Y-%m-%dT%H:%M:%SZ}",
            hint="gpuctl provision ... with a longer `max_ttl` in the config",
        )
    # The labels first: after a failure they alone are read, to find out what has to be put back.
    _change(api, cloud_id, instance, "setLabels", lambda shown: _labels(shown, moved))
    _change(api, cloud_id, instance, "setMetadata", lambda shown: _metadata(shown, moved))
    instance = api.get(path)
    if _metadata(instance, moved) is not None or _labels(instance, moved) is not None:
        raise CloudError(f"{cloud_id}: the provider shows another deadline than the one set")


def _change(api: Api, cloud_id: str, instance: Json, what: str, body_of: Any) -> None:
    """Send one change with the fingerprint of what it replaces; read again once where that was stale."""
    zone, name = parts(cloud_id)
    path = f"zones/{zone}/instances/{name}"
    for tries_left in reversed(range(_TRIES)):
        body = body_of(instance)
        if body is None:
            return
        try:
            finished(api, api.post(f"{path}/{what}", body), f"zones/{zone}", _WITHIN)
            return
        except TimeoutError as error:
            raise UnresolvedError(f"{what} of {cloud_id}: {error}", hint="retry in a minute") from error
        except ApiError as error:
            if error.status != 412 or not tries_left:
                raise
            instance = api.get(path)


def _metadata(instance: Mapping[str, Any], moved: str) -> Json | None:
    """The metadata with the deadline; None if it already has it."""
    entries = metadata_of(instance)
    if entries.get(EXPIRES_AT) == moved:
        return None
    items = [{"key": key, "value": value} for key, value in (entries | {EXPIRES_AT: moved}).items()]
    return _with_fingerprint("fingerprint", instance.get("metadata") or {}) | {"items": items}


def _labels(instance: Mapping[str, Any], moved: str) -> Json | None:
    """The labels with the deadline; None if they already have it."""
    labels = dict(instance.get("labels") or {})
    if labels.get(EXPIRES_AT) == moved:
        return None
    return _with_fingerprint("labelFingerprint", instance) | {"labels": labels | {EXPIRES_AT: moved}}


def _with_fingerprint(name: str, shown: Mapping[str, Any]) -> Json:
    return {name: shown[name]} if shown.get(name) else {}
