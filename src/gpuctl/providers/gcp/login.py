"""The credentials behind Google's calls: found when first needed; what keeps them from working, in a sentence."""

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import google.auth
import requests
from google.auth import exceptions as sdk
from google.auth.transport.requests import AuthorizedSession, Request

from gpuctl.errors import CredentialsError, UnreachableError
from gpuctl.providers.gcp.failures import LoginError
from gpuctl.providers.wording import one_line

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_LOG_IN = "gcloud auth application-default login"
_HINT = f"{_LOG_IN}, or set GOOGLE_APPLICATION_CREDENTIALS"
_BRIEF_S = 1
_KEY_FILE = "GOOGLE_APPLICATION_CREDENTIALS"


class _MetadataRequest(Request):
    """Asks the metadata server, which is near where there is one."""

    def __call__(self, url: str, *arguments: Any, **options: Any) -> Any:
        return super().__call__(url, *arguments, **(options | {"timeout": _BRIEF_S}))  # type: ignore[no-untyped-call]


class _Session(AuthorizedSession):
    """Puts a token on every call. A token that cannot be had is a LoginError: the call did nothing."""

    def request(self, *arguments: Any, **options: Any) -> Any:
        try:
            return super().request(*arguments, **options)  # type: ignore[no-untyped-call]
        except sdk.GoogleAuthError as error:
            raise login_error(error) from error


class Login:
    """Application Default Credentials, of whatever kind the environment holds. Every failure is a LoginError."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        # Without a file nothing but the metadata server is left, which a computer elsewhere would wait for ten seconds.
        request = None if _has_file(environ) else _MetadataRequest()
        try:
            with warnings.catch_warnings():
                # A user login without a quota project is fine: the calls of gpuctl are counted for their own project.
                warnings.simplefilter("ignore", UserWarning)
                self._credentials, self.project = google.auth.default(scopes=[_SCOPE], request=request)
        except (sdk.GoogleAuthError, OSError, ValueError) as error:
            raise login_error(error) from error

    def session(self) -> requests.Session:
        """A session that puts a token on every call."""
        session: requests.Session = _Session(self._credentials)  # type: ignore[no-untyped-call]
        return session


def login_error(error: Exception) -> LoginError:
    """Why there is no token: nothing is set up, it was revoked, or the login service could not be reached."""
    # The second argument of a RefreshError is the whole answer of the login service.
    text = one_line(str(error.args[0] if error.args else error))
    if isinstance(error, sdk.TransportError) or (isinstance(error, sdk.RefreshError) and error.retryable):
        return LoginError(
            UnreachableError,
            f"Google's login service could not be reached ({text})",
            "check the network and HTTPS_PROXY, then run it again",
        )
    if isinstance(error, sdk.RefreshError):
        return LoginError(CredentialsError, f"Google rejects these credentials ({text})", _LOG_IN)
    if isinstance(error, sdk.DefaultCredentialsError) and "not found" in text and "File" not in text:
        return LoginError(CredentialsError, "there are no Google Cloud credentials", _HINT)
    return LoginError(CredentialsError, text or type(error).__name__, _HINT)


def _has_file(environ: Mapping[str, str]) -> bool:
    if environ.get(_KEY_FILE):
        return True
    try:
        folder = Path(environ.get("CLOUDSDK_CONFIG") or Path.home() / ".config" / "gcloud")
        return (folder / "application_default_credentials.json").exists()
    except (OSError, RuntimeError):
        return False
