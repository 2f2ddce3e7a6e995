"""Whether a failure of urllib3, on which the SDKs rest, shows that no byte of a request arrived."""

import ssl

from urllib3 import exceptions as urllib3

_NO_CONNECTION = (urllib3.NewConnectionError, urllib3.ConnectTimeoutError, ssl.SSLCertVerificationError)
# http.client's words where a proxy refused to connect to the host.
_NO_TUNNEL = "Tunnel connection failed"


def is_no_connection(cause: object) -> bool:
    """Whether no connection to the host came about."""
    # A ProxyError alone proves nothing: urllib3 2 makes one also of a connection that broke while the answer was
    # awaited, because http.client closes it first and urllib3 then takes the proxy for one that was never reached.
    if isinstance(cause, urllib3.ProxyError):
        cause = cause.original_error
    is_refused = isinstance(cause, OSError) and str(cause).startswith(_NO_TUNNEL)
    return is_refused or isinstance(cause, _NO_CONNECTION)
