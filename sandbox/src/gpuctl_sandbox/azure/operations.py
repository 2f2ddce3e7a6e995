"""Long-running operations: begun by one call, looked at by later ones, done after a settable number of looks."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from uuid import uuid4

from werkzeug.wrappers import Response

from gpuctl_sandbox.azure.books import rfc3339
from gpuctl_sandbox.azure.wire import Call, Json, Refusal, reply

KEPT = 5_000


@dataclass
class Operation:
    """One operation. `left` is how many later calls still find it under way; None: it never ends by itself."""

    name: str
    started_at: datetime
    finish: Callable[[], None]
    left: int | None
    is_lost: bool = False
    status: str = "InProgress"
    ended_at: datetime | None = None
    error: Json | None = None
    error_status: int = 200
    is_over: bool = field(default=False)


class Operations:
    """Every operation there was, in the order they were begun."""

    def __init__(self) -> None:
        self._operations: dict[str, Operation] = {}
        self._open: list[Operation] = []

    def begin(self, at: datetime, polls: int | None, finish: Callable[[], None], *, is_lost: bool = False) -> Operation:
        """Start one. `finish` is called once when it is done; a Refusal it raises is how the operation failed."""
        operation = Operation(str(uuid4()), at, finish, polls, is_lost)
        self._operations[operation.name] = operation
        self._open.append(operation)
        while len(self._operations) > KEPT:
            self._operations.pop(next(iter(self._operations)))
        return operation

    def settle(self, at: datetime, *, is_look: bool) -> None:
        """Finish what is due; `is_look` brings everything still under way one call nearer."""
        for operation in list(self._open):
            if operation.left is not None and operation.left <= 0:
                self._finish(operation, at)
            elif operation.left is not None and is_look:
                operation.left -= 1

    def finish_all(self, at: datetime) -> None:
        """Finish everything, what would never end included."""
        for operation in list(self._open):
            self._finish(operation, at)

    def cancel(self, operation: Operation | None, code: str, message: str, at: datetime) -> None:
        """End one that something else has overtaken."""
        if operation is not None and not operation.is_over:
            self._end(operation, at, Refusal(409, code, message))

    def find(self, name: str) -> Operation:
        """That operation. Refused as ARM does if it knows none."""
        operation = self._operations.get(name)
        if operation is None or operation.is_lost:
            raise Refusal(404, "NotFound", f"The operation '{name}' was not found.")
        return operation

    def _finish(self, operation: Operation, at: datetime) -> None:
        try:
            operation.finish()
        except Refusal as refusal:
            self._end(operation, at, refusal)
        else:
            self._end(operation, at, None)

    def _end(self, operation: Operation, at: datetime, refusal: Refusal | None) -> None:
        operation.is_over = True
        operation.ended_at = at
        operation.status = "Failed" if refusal else "Succeeded"
        if refusal is not None:
            operation.error, operation.error_status = refusal.error, refusal.status
        if operation in self._open:
            self._open.remove(operation)


def accepted(
    call: Call, operation: Operation, place: str, retry_after: int, shown: Json | None, status: int, *, location: bool
) -> Response:
    """The reply that begins an operation: its status address, and with `location` the one of its result."""
    headers = {"Azure-AsyncOperation": call.url(f"{place}/operations/{operation.name}"), **_patience(retry_after)}
    if location:
        results = "operations" if "Microsoft.Compute" in place else "operationResults"
        headers["Location"] = call.url(f"{place}/{results}/{operation.name}", monitor="true")
    return reply(shown, status, headers)


def told(operation: Operation, retry_after: int) -> Response:
    """What an Azure-AsyncOperation address answers."""
    body: Json = {
        "name": operation.name,
        "status": operation.status,
        "startTime": rfc3339(operation.started_at),
    }
    if operation.ended_at is not None:
        body["endTime"] = rfc3339(operation.ended_at)
    if operation.error is not None:
        body["error"] = operation.error
    return reply(body, 200, {} if operation.is_over else _patience(retry_after))


def result(call: Call, operation: Operation, retry_after: int) -> Response:
    """What a Location address answers: 202 while it is under way, then nothing, or how it failed."""
    if not operation.is_over:
        monitor = {"monitor": "true"} if "monitor" in call.query else {}
        return reply(None, 202, {"Location": call.url(call.path, **monitor), **_patience(retry_after)})
    if operation.error is not None:
        return reply({"error": operation.error}, operation.error_status)
    return reply(None, 200)


def _patience(retry_after: int) -> dict[str, str]:
    return {"Retry-After": str(retry_after)}
