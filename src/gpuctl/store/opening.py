"""What stores other than a file need of this computer."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, unquote, urlsplit

from gpuctl.errors import UsageError
from gpuctl.store.known_states import KnownStates, NoKnownStates


@dataclass(frozen=True, slots=True)
class Surroundings:
    """`known` is what this computer remembers of states on engines, `environ` the environment of this process.

    `may_be_plain`: a connection to another computer may be without TLS, if the URL says so too.
    """

    known: KnownStates = field(default_factory=NoKnownStates)
    environ: Mapping[str, str] = field(default_factory=dict)
    may_be_plain: bool = False


def require_library(module: str, *, extra: str, engine: str) -> None:
    """UsageError with the command that installs it, if the client library of that engine is missing."""
    from importlib.util import find_spec

    from gpuctl.distribution import install_extra

    if find_spec(module) is None:
        raise UsageError(f"a state on {engine} needs the extra `{extra}`", hint=install_extra(extra))


def secrets_of(url: str) -> list[str]:
    """The secrets in the URL of a state, as they are written there and as they are meant."""
    try:
        parts = urlsplit(url)
    except ValueError:
        # It cannot be opened either.
        return []
    user = parts.netloc.rpartition("@")[0]
    written = [user.partition(":")[2]]
    written += [value for name, value in parse_qsl(parts.query) if "password" in name or "secret" in name]
    return [text for secret in written if secret for text in (secret, unquote(secret))]
