"""Operations: begun by a call or by Compute Engine itself, looked at by later calls, listed for two weeks."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from uuid import uuid4

from gpuctl_sandbox.gcp.wire import Json, Refusal, link, not_found, rfc3339

KEPT = timedelta(days=14)
SYSTEM = "system"


class OperationError(Exception):
    """How an operation failed: code, message, the HTTP status inside, and details of the error."""

    def __init__(self, code: str, message: str, status: int = 400, details: list[Json] | None = None) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status
        self.details = details


@dataclass
class Target:
    """What an operation is about: its numeric id and its path below `compute/v1/`."""

    id: str
    path: str


@dataclass
class Operation:
    """One operation. `left` is how many later calls still find it under way; None: it never ends by itself."""

    scope: str
    kind: str
    target: Target
    started_at: datetime
    finish: Callable[[], None]
    left: int | None
    user: str = "sandbox@example.com"
    is_lost: bool = False
    name: str = field(default_factory=lambda: f"operation-{uuid4().hex[:13]}-{uuid4().hex[:13]}")
    id: str = field(default_factory=lambda: str(uuid4().int >> 66))
    ended_at: datetime | None = None
    error: OperationError | None = None
    warnings: list[Json] = field(default_factory=list)
    looks: int = 0

    @property
    def status(self) -> str:
        if self.ended_at is not None:
            return "DONE"
        return "PENDING" if self.looks == 0 and self.left != 0 else "RUNNING"

    def shown(self, project: str) -> Json:
        """The operation as a reply has it. A failed one is no HTTP error: its error is inside."""
        path = f"projects/{project}/{self.scope}/operations/{self.name}"
        entry: Json = {
            "kind": "compute#operation",
            "id": self.id,
            "name": self.name,
            "operationType": self.kind,
            "targetLink": link(self.target.path),
            "targetId": self.target.id,
            "status": self.status,
            "user": self.user,
            "progress": 100 if self.ended_at else 0,
            "insertTime": rfc3339(self.started_at),
            "startTime": rfc3339(self.started_at),
            "selfLink": link(path),
        }
        if self.scope != "global":
            entry["zone"] = link(f"projects/{project}/{self.scope}")
        if self.ended_at is not None:
            entry["endTime"] = rfc3339(self.ended_at)
        if self.error is not None:
            item: Json = {"code": self.error.code, "message": self.error.message}
            if self.error.details is not None:
                item["errorDetails"] = self.error.details
            entry["error"] = {"errors": [item]}
            entry["httpErrorStatusCode"] = self.error.status
            entry["httpErrorMessage"] = _WORDS.get(self.error.status, "BAD REQUEST")
        if self.warnings:
            entry["warnings"] = self.warnings
        return entry


class Operations:
    """Every operation there was in the last two weeks, in the order they were begun."""

    def __init__(self) -> None:
        self._all: list[Operation] = []

    def begin(self, operation: Operation) -> Operation:
        """Start one. `finish` is called once when it is done; an OperationError that it raises is how it failed."""
        self._all.append(operation)
        return operation

    def note(self, scope: str, kind: str, target: Target, at: datetime, user: str = SYSTEM) -> Operation:
        """Write down what happened at an instant, as an operation that is done."""
        return self.begin(Operation(scope, kind, target, at, _nothing, None, user, ended_at=at))

    def settle(self, at: datetime, *, is_look: bool) -> None:
        """Finish what is due; `is_look` brings everything still under way one call nearer."""
        self._all = [operation for operation in self._all if at - operation.started_at < KEPT or not operation.ended_at]
        for operation in self._open():
            if operation.left is not None and operation.looks >= operation.left:
                self._finish(operation, at)
            elif is_look:
                operation.looks += 1

    def finish_all(self, at: datetime) -> None:
        """Finish everything, what would never end included."""
        for operation in self._open():
            self._finish(operation, at)

    def cancel(self, operation: Operation | None, error: OperationError, at: datetime) -> None:
        """End one that something else has overtaken."""
        if operation is not None and operation.ended_at is None:
            operation.ended_at, operation.error = at, error

    def find(self, project: str, scope: str, name: str) -> Operation:
        """That operation, by name or numeric id. Refused as Google does if it knows none."""
        for operation in self._all:
            if operation.scope == scope and name in (operation.name, operation.id) and not operation.is_lost:
                return operation
        raise not_found(f"projects/{project}/{scope}/operations/{name}")

    def of_scope(self, scope: str) -> list[Operation]:
        """Those of a zone (`zones/Z`) or `global`, the newest first as Google lists them."""
        return [operation for operation in reversed(self._all) if operation.scope == scope]

    def _open(self) -> list[Operation]:
        return [operation for operation in self._all if operation.ended_at is None]

    def _finish(self, operation: Operation, at: datetime) -> None:
        try:
            operation.finish()
        except OperationError as error:
            operation.error = error
        except Refusal as refusal:
            operation.error = OperationError(refusal.reason, refusal.message, refusal.status)
        operation.ended_at = at


_WORDS = {
    400: "BAD REQUEST",
    403: "FORBIDDEN",
    404: "NOT FOUND",
    409: "CONFLICT",
    412: "PRECONDITION FAILED",
    503: "SERVICE UNAVAILABLE",
}


def _nothing(*_: Any) -> None:
    return None
