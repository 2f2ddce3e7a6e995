"""Reads the URL of a state on PostgreSQL: what libpq gets, what may be shown of it, and whether TLS is required."""

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from urllib.parse import quote, urlencode

import psycopg
from psycopg import conninfo, pq

from gpuctl.errors import UsageError

_SECRET = frozenset({"password", "sslpassword", "oauth_client_secret", "scram_client_key", "scram_server_key"})
_FORM = "--state postgresql://USER@HOST/DATABASE, password in PGPASSFILE"
_IN_PATH = ("user", "host", "port", "dbname")
# A computer that vanished is noticed within a minute, and not after the two hours of the operating system.
_DEFAULTS = {
    "application_name": "gpuctl",
    "connect_timeout": "10",
    "keepalives_idle": "15",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "30000",
}


@dataclass(frozen=True, slots=True)
class Address:
    """The parameters of a connection. `location` is the URL without secrets, `host` the computer's name for messages.

    `may_be_plain`: the connection may be without TLS although it leads to another computer.
    """

    parameters: Mapping[str, str]
    location: str
    host: str
    may_be_plain: bool


def read_address(url: str, *, may_be_plain: bool) -> Address:
    """The address in that URL, with what libpq's variables add.

    UsageError where it cannot be read, and where it leads to another computer without TLS, unless that was requested
    twice: by `sslmode=disable` and by the setting.
    """
    try:
        from_url = {key: str(value) for key, value in conninfo.conninfo_to_dict(url).items() if value is not None}
        int(from_url.get("connect_timeout", "0"))
    except (psycopg.ProgrammingError, ValueError):
        # The reason that libpq gives quotes the URL, and with it the password.
        raise UsageError("the URL of the state cannot be read", hint=_FORM) from None
    if any("@" in host[1:] for host in from_url.get("host", "").split(",") if not host.startswith("/")):
        # libpq takes what follows the first `@` for the host, and so would every message.
        raise UsageError("the URL of the state has more than one `@`; write `%40` in a password", hint=_FORM)
    known = {
        option.keyword.decode(): option.val.decode() for option in pq.Conninfo.get_defaults() if option.val is not None
    }
    hosts = [host for key in ("hostaddr", "host") for host in from_url.get(key, known.get(key, "")).split(",") if host]
    is_elsewhere = any(not is_local(host) for host in hosts)
    has_service = "service" in from_url or "service" in known
    mode = from_url.get("sslmode", known.get("sslmode", "prefer"))
    parameters = {**{key: value for key, value in _DEFAULTS.items() if key not in known}, **from_url}
    if is_elsewhere and mode == "disable" and not may_be_plain:
        raise UsageError(
            f"`sslmode=disable` would send the state and the password to `{hosts[0]}` in plain text",
            hint="leave out `sslmode`, or set GPUCTL_STATE_PLAINTEXT=1",
        )
    if is_elsewhere and mode in ("allow", "prefer") and not has_service:
        # libpq would fall back to plain text without a word.
        parameters["sslmode"] = "require"
    allowed = not is_elsewhere and not has_service
    return Address(parameters, _location(from_url), ", ".join(hosts) or "the local server", allowed or may_be_plain)


def is_local(host: str) -> bool:
    """Whether that host is this computer: a socket, `localhost`, or a loopback address."""
    if host.startswith(("/", "@")) or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _location(from_url: Mapping[str, str]) -> str:
    host, port = from_url.get("host", ""), from_url.get("port", "")
    shown = {key: value for key, value in from_url.items() if key not in _SECRET and key not in _IN_PATH}
    is_name = bool(host) and not host.startswith(("/", "@")) and "," not in host
    if not is_name:
        # A socket and several hosts are legal in the query only.
        shown = {key: from_url[key] for key in ("host", "port") if key in from_url} | shown
    user = f"{quote(from_url['user'], safe='')}@" if "user" in from_url else ""
    place = (f"[{host}]" if ":" in host else host) + (f":{port}" if port else "") if is_name else ""
    query = f"?{urlencode(shown, safe='/', quote_via=quote)}" if shown else ""
    return f"postgresql://{user}{place}/{quote(from_url.get('dbname', ''), safe='')}{query}"
