"""A hook that is an address: the event is posted to it as JSON."""

import ssl
from base64 import b64encode
from datetime import timedelta
from email.message import Message as Headers
from http.client import HTTPException
from threading import Thread
from typing import IO
from urllib.error import HTTPError, URLError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import HTTPRedirectHandler, ProxyHandler, Request, build_opener

from gpuctl import __version__
from gpuctl.domain.duration import exact
from gpuctl.hooks.base import HookMessage

_LOOPBACK = ("127.0.0.1", "localhost", "::1")


class Webhook:
    """Posts to one address, whose answer must be a 2xx. No redirect is followed: it would take the event elsewhere."""

    def __init__(self, url: str) -> None:
        self._url = url

    def send(self, message: HookMessage, patience: timedelta) -> str | None:
        reply: list[str | None] = []
        # In a thread, because neither the look-up of a name nor an answer in drops knows of any total time.
        thread = Thread(target=lambda: reply.append(self._post(message, patience)), daemon=True)
        thread.start()
        thread.join(patience.total_seconds())
        return reply[0] if reply else f"timed out after {exact(patience)}"

    def _post(self, message: HookMessage, patience: timedelta) -> str | None:
        try:
            request, is_loopback = self._request(message)
            opener = build_opener(_NoRedirect, ProxyHandler({} if is_loopback else None))
            with opener.open(request, timeout=patience.total_seconds()):
                return None
        except HTTPError as error:
            error.close()
            return f"answered {error.code}"
        except TimeoutError:
            return f"timed out after {exact(patience)}"
        except (OSError, HTTPException) as error:
            return _cause(error, patience)
        except ValueError:
            return "its URL is not valid"

    def _request(self, message: HookMessage) -> tuple[Request, bool]:
        parts = urlsplit(self._url)
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"gpuctl/{__version__}",
            "X-Gpuctl-Event": message.name,
            "X-Gpuctl-Delivery": f"{message.instance_id}-{message.number}",
        }
        login, at, place = parts.netloc.rpartition("@")
        if at:
            headers["Authorization"] = f"Basic {b64encode(unquote(login).encode()).decode()}"
        url = urlunsplit(parts._replace(netloc=place))
        return Request(url, message.document.encode(), headers, method="POST"), parts.hostname in _LOOPBACK


class _NoRedirect(HTTPRedirectHandler):
    def redirect_request(self, req: Request, fp: IO[bytes], code: int, msg: str, headers: Headers, newurl: str) -> None:
        return None


def _cause(error: OSError | HTTPException, patience: timedelta) -> str:
    reason = error.reason if isinstance(error, URLError) else error
    if isinstance(reason, TimeoutError):
        return f"timed out after {exact(patience)}"
    if isinstance(reason, ssl.SSLError):
        return f"could not be trusted: {reason.reason or 'TLS failed'}"
    if isinstance(reason, OSError) and reason.strerror:
        return f"could not be reached: {reason.strerror}"
    return "returned no readable answer"
