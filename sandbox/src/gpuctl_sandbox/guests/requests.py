"""Whose request it is: instances execute what requests carry, as the user who started the sandbox."""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

# In both files, each connection with its two ends and the user ID of the local one.
_TABLES = (Path("/proc/net/tcp"), Path("/proc/net/tcp6"))
_LOOPBACK = ("0100007F", "0000000000000000FFFF00000100007F")


def is_own_request(environ: Mapping[str, Any]) -> bool:
    """Whether a request comes from a process of this user, and not from a web page.

    Browsers name the origin of what a page sends, and its host name if a page had one resolve to loopback. On systems
    without /proc the user is not known: there no boot script is executed, and a login needs a key of this user.
    """
    if "HTTP_ORIGIN" in environ or environ.get("HTTP_SEC_FETCH_SITE", "none") != "none":
        return False
    if environ.get("HTTP_HOST", "").partition(":")[0] not in ("127.0.0.1", "localhost"):
        return False
    if not _TABLES[0].exists():
        return True
    user = _user_of(int(environ["REMOTE_PORT"]), int(environ["SERVER_PORT"]))
    return user == os.getuid()


def _user_of(port: int, server_port: int) -> int | None:
    """The user who has the connection from that port of loopback to the server; None if there is none."""
    ends = [(f"{address}:{port:04X}", f"{address}:{server_port:04X}") for address in _LOOPBACK]
    for table in _TABLES:
        if table.exists():
            for line in table.read_text("ascii").splitlines()[1:]:
                fields = line.split()
                if (fields[1], fields[2]) in ends:
                    return int(fields[7])
    return None
