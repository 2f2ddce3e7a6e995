"""Waiting for operations: they run on in the cloud whether anybody looks or not."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from gpuctl.domain.instance import Reason
from gpuctl.providers.gcp.client import Api, Json
from gpuctl.providers.gcp.failures import ApiError, OperationFailed

_PAUSES = (timedelta(milliseconds=500), timedelta(seconds=1), timedelta(seconds=2))
# What Compute Engine itself does to an instance, by the type of its operation.
_TERMINATING = {
    "compute.instances.preempted": Reason.INTERRUPTED,
    "compute.instances.deferredDelete": Reason.EXPIRED,
    "compute.instances.deferredStop": Reason.EXPIRED,
}


def is_done(operation: Json) -> bool:
    """Whether it has ended, well or not."""
    return operation.get("status") == "DONE"


def check(operation: Json) -> None:
    """Raise OperationFailed for one that ended with an error: HTTP 200 says nothing about that."""
    if operation.get("error"):
        raise OperationFailed(operation)


def wait(api: Api, operation: Json, scope: str, within: timedelta) -> Json:
    """The operation when it is done, or its present state after that time. Raises what the last request raised.

    `scope` is `zones/ZONE` or `global`.
    """
    path, until = f"{scope}/operations/{operation['name']}", api.elapsed() + within
    polls = 0
    while not is_done(operation) and api.elapsed() < until:
        if polls:
            api.pause(_PAUSES[min(polls, len(_PAUSES)) - 1])
        operation = api.get(path)
        polls += 1
    return operation


def finished(api: Api, operation: Json, scope: str, within: timedelta) -> Json:
    """The operation, ended without an error. OperationFailed or TimeoutError otherwise."""
    operation = wait(api, operation, scope, within)
    check(operation)
    if not is_done(operation):
        raise TimeoutError(f"the operation {operation['name']} has not ended yet")
    return operation


def of_instance(api: Api, zone: str, name: str) -> list[Json]:
    """What happened to the instance of that name in the last two weeks, the newest first."""
    target = f"https://www.googleapis.com/compute/v1/projects/{api.project}/zones/{zone}/instances/{name}"
    matching = []
    try:
        matching = list(_matching(api, zone, name, filter=f'targetLink="{target}"'))
    except ApiError as error:
        if error.status != 400:
            raise
    # An address may be written in another way, so nothing found by it is looked for in the whole list.
    matching = matching or list(_matching(api, zone, name))
    return sorted(matching, key=_begun_at, reverse=True)


def end_reason(operations: list[Json]) -> tuple[Reason | None, datetime | None]:
    """Why and when an instance that is gone ended, from its operations; None for what they do not tell."""
    for operation in operations:
        kind = str(operation.get("operationType"))
        if kind in _TERMINATING or (kind == "delete" and is_done(operation) and not operation.get("error")):
            ended_at = operation.get("endTime")
            return _TERMINATING.get(kind), None if ended_at is None else datetime.fromisoformat(str(ended_at))
    return None, None


def failed_insert(operations: list[Json]) -> OperationFailed | None:
    """How the insert of an instance that is gone failed; None where it did not."""
    inserts = [operation for operation in operations if operation.get("operationType") == "insert"]
    # A repeat of an insert that succeeded fails because the name is taken.
    return OperationFailed(inserts[0]) if inserts and all(each.get("error") for each in inserts) else None


def _matching(api: Api, zone: str, name: str, **query: str) -> Iterator[Json]:
    for page in api.pages(f"zones/{zone}/operations", **query):
        for operation in page.get("items") or ():
            if str(operation.get("targetLink")).endswith(f"/zones/{zone}/instances/{name}"):
                yield operation


def _begun_at(operation: Json) -> datetime:
    begun_at = operation.get("insertTime") or operation.get("startTime") or operation.get("endTime")
    return datetime.fromisoformat(str(begun_at)) if begun_at else datetime.min.replace(tzinfo=UTC)
