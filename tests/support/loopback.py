"""What the emulated clouds beside AWS have in common for a test: the clock, the books, and the control requests."""

import json
from datetime import datetime, timedelta
from http.client import HTTPConnection
from typing import Any, ClassVar
from urllib.parse import quote, urlsplit

from support.clouds import LoopbackAws


class LoopbackCloud:
    """An emulated cloud that `cloud` serves, on the port and clock of its AWS; empty after each `reset` of that."""

    name: ClassVar[str]

    def __init__(self, cloud: LoopbackAws) -> None:
        self._cloud = cloud

    @property
    def url(self) -> str:
        return self._cloud.url

    @property
    def now(self) -> datetime:
        """The time of the cloud's clock; set it as `LoopbackAws.now`."""
        return self._cloud.now

    @now.setter
    def now(self, clock: Any) -> None:
        self._cloud.now = clock

    def later(self, **span: float) -> None:
        """Let time pass in the cloud."""
        self._cloud.now = self._cloud.now + timedelta(**span)

    def instances(self) -> list[dict[str, Any]]:
        """Every instance since the last reset, oldest first, terminated ones too, as the sandbox lists them."""
        return [instance for instance in self._cloud.instances() if instance["cloud"] == self.name]

    def set(self, **settings: Any) -> None:
        """Change the conditions of the cloud: the fields of `conditions.py` of that cloud in the sandbox."""
        self._set_up("settings", settings)

    def break_next(self, code: str, **fault: Any) -> None:
        """Arm a fault for the next call that fits: the fields of `Fault` in that `conditions.py`."""
        self._set_up("faults", {"code": code, **fault})

    def finish(self) -> None:
        """End every operation that is under way, those too that would never end."""
        self._set_up("finish", {})

    def shut_down(self, instance_id: str) -> None:
        """Power an instance off from inside."""
        self._cloud.ask("POST", f"/gpuctl-sandbox/{self.name}/power-off?id={quote(instance_id)}")

    def interrupt(self, instance_id: str) -> None:
        """Take one spot instance back as its termination action says."""
        self._cloud.ask("POST", f"/gpuctl-sandbox/interrupt?id={quote(instance_id)}")

    def request(self, method: str, path: str, body: Any = None) -> tuple[int, dict[str, str], Any]:
        """One plain request: status, headers (names in lower case) and JSON (None if there is none)."""
        connection = HTTPConnection(str(urlsplit(self.url).netloc), timeout=30)
        try:
            content = None if body is None else json.dumps(body)
            connection.request(method, path, content, {"Content-Type": "application/json"})
            answer = connection.getresponse()
            text = answer.read()
            headers = {name.lower(): value for name, value in answer.getheaders()}
        finally:
            connection.close()
        return answer.status, headers, json.loads(text) if text else None

    def _set_up(self, what: str, settings: dict[str, Any]) -> None:
        status, _, reply = self.request("POST", f"/gpuctl-sandbox/{self.name}/{what}", settings)
        assert status == 200, reply
