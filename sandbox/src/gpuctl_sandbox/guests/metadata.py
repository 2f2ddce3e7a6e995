"""The metadata service of an instance, as its processes reach it."""

from werkzeug.wrappers import Request, Response

from gpuctl_sandbox.guests.guest import Guest

_TOKEN = "sandbox-session-token"


def answer(guest: Guest | None, path: str, request: Request) -> Response:
    """The reply to a request for that path, without a leading slash. 404 for an instance that does not run."""
    if guest is None:
        return Response("", 404)
    if path == "latest/api/token" and request.method == "PUT":
        has_lifetime = "X-aws-ec2-metadata-token-ttl-seconds" in request.headers
        return Response(_TOKEN, 200) if has_lifetime else Response("", 400)
    if path.startswith("latest/") and request.headers.get("X-aws-ec2-metadata-token") != _TOKEN:
        return Response("", 401)
    if path.startswith("computeMetadata/") and request.headers.get("Metadata-Flavor") != "Google":
        return Response("", 403)
    value = guest.metadata.get(path.rstrip("/"))
    return Response("", 404) if value is None or request.method != "GET" else Response(value, 200)
