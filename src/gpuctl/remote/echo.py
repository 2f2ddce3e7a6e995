"""The caller's public address, as a service on the internet sees it."""

from http.client import HTTPConnection, HTTPException, HTTPSConnection
from urllib.parse import urlsplit

from gpuctl.domain.market.ssh_source import HINT, own_range
from gpuctl.errors import UnreachableError, UsageError

DEFAULT_ECHO = "https://checkip.amazonaws.com/"
_HINT = f"unset GPUCTL_PUBLIC_IP_URL to query {DEFAULT_ECHO}"
_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_MOST_BYTES = 64
_TIMEOUT_S = 4.0


def own_address(url: str = DEFAULT_ECHO) -> str:
    """The CIDR range of this computer's public address, such as `203.0.113.7/32`.

    UnreachableError for every failure and unexpected reply; there is no fallback. UsageError for a service that is
    neither https nor on loopback. No proxy is used, because SSH does not come from the proxy's address.
    """
    parts = urlsplit(url)
    host = parts.hostname
    if not host or not (parts.scheme == "https" or (parts.scheme == "http" and host in _LOOPBACK)):
        raise UsageError("GPUCTL_PUBLIC_IP_URL must be an https URL", hint=_HINT)
    try:
        port = parts.port
    except ValueError:
        raise UsageError("GPUCTL_PUBLIC_IP_URL has an invalid port", hint=_HINT) from None
    kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    connection = kind(host, port, timeout=_TIMEOUT_S)
    try:
        connection.request("GET", parts.path or "/", headers={"Accept": "text/plain", "Connection": "close"})
        reply = connection.getresponse()
        content = reply.read(_MOST_BYTES + 1)
    except (OSError, HTTPException) as error:
        raise UnreachableError(
            f"{host} did not return your public IP address ({type(error).__name__})", hint=HINT
        ) from error
    finally:
        connection.close()
    text = (
        own_range(content.decode("ascii", "replace")) if reply.status == 200 and len(content) <= _MOST_BYTES else None
    )
    if text is None:
        raise UnreachableError(f"{host} did not return your public IP address: its reply is not readable", hint=HINT)
    return text
