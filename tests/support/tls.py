"""ARM behind TLS, on loopback: what stands before a cloud's plain HTTP, and what can go wrong with a connection."""

import json
import os
import ssl
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from ipaddress import ip_address
from pathlib import Path
from urllib.parse import urlsplit

from support.serving import Request, Server, body_of, send

Answer = tuple[int, dict[str, str], bytes]
# Reads the token of a request; None lets it through.
Gate = Callable[[str], Answer | None]


class TlsFront(Server):
    """Carries each request to the cloud at that address, on `url`, with a certificate of its own at `ca`.

    `gate` answers in its place by the token. Of the requests whose `METHOD path` holds `broken`, as many as `breaks`
    are performed and then answered with bytes that are no TLS record.
    """

    def __init__(self, cloud: str, folder: Path) -> None:
        self.ca, key = folder / "ca.pem", folder / "key.pem"
        _write_certificate(self.ca, key)
        self.gate: Gate = lambda _: None
        self.broken, self.breaks = "", 0
        self.tokens: list[str] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.ca, key)
        super().__init__(lambda request: self.carry(request, urlsplit(cloud).netloc), tls=context)

    def carry(self, request: Request, cloud: str) -> None:
        body = body_of(request)
        token = str(request.headers.get("Authorization") or "").removeprefix("Bearer ")
        self.tokens.append(token)
        status, headers, answer = self.gate(token) or _asked(request, cloud, body)
        if self.breaks > 0 and self.broken in f"{request.command} {request.path}":
            self.breaks -= 1
            os.write(request.connection.fileno(), b"these bytes are no TLS record, whatever they are")
            request.close_connection = True
            return
        send(request, status, answer, headers)


def of_another_tenant(tenant: str) -> Gate:
    """ARM's answer to a token of any other tenant: it names the one that the subscription belongs to."""
    authority = f"https://login.windows.net/{tenant}"
    message = (
        f"The access token is from the wrong issuer. It must match the tenant 'https://sts.windows.net/{tenant}/' "
        f"associated with this subscription. Please use the authority (URL) '{authority}' to get the token."
    )
    body = json.dumps({"error": {"code": "InvalidAuthenticationTokenTenant", "message": message}}).encode()
    headers = {
        "Content-Type": "application/json",
        "WWW-Authenticate": f'Bearer authorization_uri="{authority}", error="invalid_token"',
    }
    return lambda token: None if token.endswith(tenant) else (401, headers, body)


def fake_az(folder: Path, failure: str = "", *, other_account: str = "") -> Path:
    """An `az` whose tokens name the tenant they were asked for, or that fails with this on stderr; its folder.

    With `other_account` its default account knows no other tenant, and another one gives that token by subscription.
    """
    program = folder / "az"
    program.parent.mkdir(exist_ok=True)
    if other_account:
        program.write_text(
            "#!/bin/sh\ntoken=of-home\nwhile [ $# -gt 0 ]; do\n"
            "[ $1 = --tenant ] && { echo 'AADSTS50020: User account does not exist in tenant' >&2; exit 1; }\n"
            f"[ $1 = --subscription ] && token=of-{other_account}; shift; done\n"
            'printf \'{"accessToken": "%s", "expires_on": 4000000000}\' "$token"\n'
        )
    elif failure:
        program.write_text(f"#!/bin/sh\ncat >&2 <<'END'\n{failure}\nEND\nexit 1\n")
    else:
        program.write_text(
            "#!/bin/sh\ntenant=home\nwhile [ $# -gt 0 ]; do [ $1 = --tenant ] && tenant=$2; shift; done\n"
            'printf \'{"accessToken": "of-%s", "expires_on": 4000000000}\' "$tenant"\n'
        )
    program.chmod(0o755)
    return folder


def _asked(request: Request, cloud: str, body: bytes) -> Answer:
    host = str(request.headers["Host"])
    connection = HTTPConnection(cloud, timeout=30)
    try:
        sent = {"Host": host} | ({"Content-Type": "application/json"} if body else {})
        connection.request(request.command, request.path, body or None, sent)
        answer = connection.getresponse()
        text, secure = answer.read().replace(f"http://{host}".encode(), f"https://{host}".encode()), f"https://{host}"
        headers = {
            name: value.replace(f"http://{host}", secure)
            for name, value in answer.getheaders()
            if name.lower() not in ("content-length", "connection", "server", "transfer-encoding")
        }
    finally:
        connection.close()
    return answer.status, headers, text


def _write_certificate(ca: Path, key: Path) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    private = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "loopback")])
    names = x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, private.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(private, hashes.SHA256())
    )
    ca.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        private.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )
