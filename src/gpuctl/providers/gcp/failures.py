"""The failures of calls to Google Cloud, as they were received; `errors` translates them."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from gpuctl.errors import GpuctlError

_TRANSIENT = frozenset({"rateLimitExceeded", "userRateLimitExceeded"})
# The reason where Google's newer front ends give only `status`, the canonical code of google.rpc.Code.
_REASONS = {
    "INVALID_ARGUMENT": "invalid",
    "UNAUTHENTICATED": "authError",
    "PERMISSION_DENIED": "forbidden",
    "NOT_FOUND": "notFound",
    "ALREADY_EXISTS": "alreadyExists",
    "FAILED_PRECONDITION": "conditionNotMet",
    "RESOURCE_EXHAUSTED": "rateLimitExceeded",
    "INTERNAL": "internalError",
    "UNAVAILABLE": "backendError",
    "DEADLINE_EXCEEDED": "backendError",
}


class ApiError(Exception):
    """An answer of status 400 or more: Google's reason and message, and its time (None where it gave none)."""

    def __init__(self, status: int, body: Any, cloud_time: datetime | None = None) -> None:
        error = body.get("error") if isinstance(body, dict) else None
        error = error if isinstance(error, dict) else {}
        first = next(iter(_objects(error.get("errors"))), {})
        infos = _objects(error.get("details"))
        self.status = status
        self.reason = str(first.get("reason") or _REASONS.get(str(error.get("status")), ""))
        self.message = str(error.get("message") or "")
        self.info = next((str(item["reason"]) for item in infos if item.get("reason")), "")
        self.cloud_time = cloud_time
        super().__init__(f"{status} {self.reason or self.info}: {self.message}")

    @property
    def is_transient(self) -> bool:
        """Whether the same call may succeed a moment later."""
        return self.status == 429 or (self.status >= 500 and self.status != 501) or self.reason in _TRANSIENT

    @property
    def is_unsupported(self) -> bool:
        """Whether that address has no such method at all: the answer of an endpoint that offers a part of the API."""
        is_unknown_path = self.status == 404 and (not self.reason or self.message.startswith("Method not found"))
        return self.status in (405, 501) or is_unknown_path


class OperationFailed(Exception):
    """An operation that Google ended with an error: its code, message and details."""

    def __init__(self, operation: Mapping[str, Any]) -> None:
        entries = (operation.get("error") or {}).get("errors") or [{}]
        self.code = str(entries[0].get("code") or "UNKNOWN")
        self.message = str(entries[0].get("message") or operation.get("httpErrorMessage") or "")
        self.details: list[Any] = list(entries[0].get("errorDetails") or ())
        self.status = int(operation.get("httpErrorStatusCode") or 400)
        super().__init__(f"{self.code}: {self.message}")

    @property
    def advised_zones(self) -> list[str]:
        """The zones that a stockout names as having room."""
        infos = [item.get("errorInfo") or item for item in self.details if isinstance(item, dict)]
        text = next((item["metadatas"].get("zonesAvailable") for item in infos if item.get("metadatas")), None)
        return [zone.strip() for zone in str(text or "").split(",") if zone.strip()]


def _objects(value: Any) -> list[dict[str, Any]]:
    # A gateway may answer with JSON of any shape.
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []


class PartialList(Exception):
    """Google answered with a list of which a part is missing."""


class LoginError(Exception):
    """No token could be had: nothing was sent to the cloud. `kind`, `sentence` and `hint` are what to tell."""

    def __init__(self, kind: type[GpuctlError], sentence: str, hint: str) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.sentence = sentence
        self.hint = hint
