"""A connection to PostgreSQL that does not wait for ever for a server that no longer answers."""

from collections.abc import Generator
from datetime import timedelta
from typing import Any, TypeVar

import psycopg

_T = TypeVar("_T")
# The library resumes its generator so often while nothing arrives.
_INTERVAL_S = 0.1


class NoReplyError(psycopg.OperationalError):
    """Nothing arrived in time. It has no code, as for a connection that was lost: the outcome is unknown."""


class LimitedConnection(psycopg.Connection[Any]):
    """Waits for a reply as long as `longest_silence`, counted anew with whatever arrives. Then NoReplyError.

    A server that was stopped, and a proxy that drops packets, keep the connection open: neither the system's limits
    for a connection nor the server's own limits for a statement end the wait.
    """

    longest_silence = timedelta(seconds=30)

    def wait(self, gen: Generator[Any, Any, _T], *_: Any, **options: Any) -> _T:
        return super().wait(_limited(gen, self.longest_silence), **options | {"interval": _INTERVAL_S})


def _limited(steps: Generator[Any, Any, _T], longest: timedelta) -> Generator[Any, Any, _T]:
    """The same steps, until nothing has arrived for so long."""
    left = most = max(1, int(longest.total_seconds() / _INTERVAL_S))
    try:
        wanted = next(steps)
        while True:
            ready = yield wanted
            left = most if ready else left - 1
            if left <= 0:
                raise NoReplyError(f"no reply for {longest.total_seconds():g} s")
            wanted = steps.send(ready)
    except StopIteration as end:
        result: _T = end.value
        return result
    finally:
        steps.close()
