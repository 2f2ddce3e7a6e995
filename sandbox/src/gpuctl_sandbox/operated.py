"""What clouds whose calls begin operations have in common: one call at a time, a log of calls, and control requests."""

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Callable, Iterable
from datetime import datetime
from threading import RLock
from typing import Any, ClassVar

from werkzeug.wrappers import Request, Response

from gpuctl_sandbox.setup import Conditions, Json

_CALLS_KEPT = 10_000


class Refused(Exception, ABC):
    """A cloud refuses a call; a subclass writes the refusal as that cloud does."""

    @abstractmethod
    def reply(self) -> Response:
        """The refusal as a reply."""


class OperatedCloud(ABC):
    """An emulated cloud as one WSGI application; empty at birth, held in memory only."""

    _world: Any
    incidents: ClassVar[tuple[str, ...]] = ("power-off",)
    """What may happen to an instance: the control paths, and the methods of the same names."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now
        self._lock = RLock()
        self.reset()

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        try:
            call = self._read(environ)
            with self._lock:
                reply = self._answer(call)
        except Refused as refusal:
            reply = refusal.reply()
        return reply(environ, start_response)

    def calls(self) -> list[Json]:
        """The calls served since the last reset, oldest first; of very many, the last ten thousand."""
        with self._lock:
            return list(self._calls)

    def reset(self) -> None:
        """An empty cloud under the usual conditions."""
        with self._lock:
            self._calls: deque[Json] = deque(maxlen=_CALLS_KEPT)
            self._forget()

    def set_up(self, what: str, settings: Json) -> bool:
        """Change the `settings`, arm one of `faults`, or `finish` all operations. False if it is none of these.

        Raises ValueError, and changes nothing then, for a name or value that is unknown.
        """
        with self._lock:
            conditions: Conditions = self._world.conditions
            match what:
                case "settings":
                    conditions.change(settings)
                case "faults":
                    conditions.add_fault(settings)
                case "finish":
                    self._world.operations.finish_all(self._now())
                case _:
                    return False
            return True

    @abstractmethod
    def resources(self) -> list[Json]:
        """Everything that exists now, and whether it bills."""

    @abstractmethod
    def _forget(self) -> None:
        """Make an empty `_world`."""

    @abstractmethod
    def _read(self, environ: dict[str, Any]) -> Any:
        """The call in a request. Raises Refused."""

    @abstractmethod
    def _answer(self, call: Any) -> Response:
        """Serve one call. Raises Refused."""


def control(cloud: OperatedCloud, method: str, action: str, request: Request) -> tuple[object, int] | None:
    """See `Row`: GET `resources`, POST one of the `incidents` with `?id=` of an instance, and POST of JSON to
    `settings`, `faults` or `finish` (see `conditions.py` of the cloud)."""
    if (method, action) == ("GET", "resources"):
        return cloud.resources(), 200
    if method != "POST":
        return None
    if action in cloud.incidents:
        is_done = getattr(cloud, action.replace("-", "_"))(request.args.get("id", ""))
        return {"done": is_done}, 200 if is_done else 404
    try:
        is_known = cloud.set_up(action, request.get_json(force=True))
    except ValueError as error:
        return {"error": str(error)}, 400
    return ({"done": action}, 200) if is_known else None
