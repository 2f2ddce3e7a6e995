"""Which path means what: patterns with names in braces, matched without regard to case as ARM does."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

from werkzeug.wrappers import Response

from gpuctl_sandbox.azure.wire import Call, Refusal

_ACTIONS = {"GET": "read", "HEAD": "read", "PUT": "write", "PATCH": "write", "DELETE": "delete"}


@dataclass(frozen=True)
class Route:
    """One method on one pattern: who answers, and of which type the resource is (`{kind}` is filled in)."""

    method: str
    pattern: str
    answer: Callable[[Call], Response]
    type: str
    regex: re.Pattern[str] = field(init=False)

    def __post_init__(self) -> None:
        source = re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", self.pattern)
        object.__setattr__(self, "regex", re.compile(source, re.IGNORECASE))

    def action(self, call: Call) -> str:
        """What it is called in a role: `Microsoft.Compute/virtualMachines/write`."""
        verb = _ACTIONS.get(call.method) or f"{call.path.rpartition('/')[2]}/action"
        return f"{self.kind(call)}/{verb}"

    def kind(self, call: Call) -> str:
        """The type of the resource that a call of this route is about."""
        return self.type.format(**call.names) if "{" in self.type else self.type


class Routes:
    """All of them."""

    def __init__(self, routes: Iterable[Route]) -> None:
        self._routes = list(routes)

    def find(self, call: Call) -> tuple[Route, Call]:
        """The route of a call, and the call with its names. Refused if no route has that path, or that method there."""
        methods = []
        for route in self._routes:
            match = route.regex.fullmatch(call.path)
            if match is not None and route.method == call.method:
                return route, replace(call, names=match.groupdict())
            if match is not None:
                methods.append(route.method)
        if methods:
            raise Refusal(405, "MethodNotAllowed", f"The method '{call.method}' is not allowed on '{call.path}'.")
        raise Refusal(404, "InvalidResourceType", f"The resource type of '{call.path}' could not be found.")
