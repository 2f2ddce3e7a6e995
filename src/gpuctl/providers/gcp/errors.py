"""Google's errors as gpuctl's. The reason decides, never the HTTP status alone: 403 means six things."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gpuctl.domain.instance import LaunchRefusal
from gpuctl.errors import CredentialsError, GpuctlError, OutcomeUnknown, UnreachableError
from gpuctl.providers.codes import HINTS, NETWORK_HINT, Meaning, create_error, error_of
from gpuctl.providers.gcp.codes import ABSENT, TABLE
from gpuctl.providers.gcp.failures import ApiError, LoginError, OperationFailed, PartialList
from gpuctl.providers.http import causes
from gpuctl.providers.unsent import is_no_connection
from gpuctl.providers.wording import one_line

# What a call raises: an answer of Google's, no answer, or a part of one. `requests` makes its errors OSErrors.
CALL_ERRORS = (ApiError, PartialList, LoginError, OSError)
# What reading an answer raises where a field is missing or of another kind than Google's.
ODD_SHAPE = (KeyError, IndexError, TypeError, ValueError, AttributeError)

_HINTS = HINTS | {
    Meaning.CREDENTIALS: "gpuctl doctor gcp; docs/gcp-role.yaml has the permissions",
    Meaning.QUOTA: "request more: https://console.cloud.google.com/iam-admin/quotas",
}
# What to do where an organization policy forbids something that every instance of gpuctl has.
_POLICY_HINTS = {
    "compute.requireOsLogin": "ask for an exception for this project: gpuctl's SSH keys need OS Login to be off",
    "compute.vmExternalIpAccess": "ask for an exception for this project: every instance has a public IP",
}


def is_absent(error: Exception) -> bool:
    """Whether Google reports that the resource does not exist."""
    # A 404 without a reason may come from a gateway or a wrong address.
    if not isinstance(error, ApiError) or error.is_unsupported:
        return False
    return error.status == 404 and error.reason == ABSENT


def code_of(error: Exception) -> str:
    """Google's own word for this failure; empty where it gave none."""
    if isinstance(error, OperationFailed):
        return error.code
    if isinstance(error, ApiError):
        # `forbidden` with a detail (billing, scopes) means that detail.
        return error.info if error.info in TABLE.hints else error.reason or error.info
    return ""


@contextmanager
def translated(doing: str) -> Iterator[None]:
    """Raise Google's errors as gpuctl's; an answer of an odd shape is no answer."""
    try:
        yield
    except (*CALL_ERRORS, OperationFailed) as error:
        raise translate(error, doing) from error
    except ODD_SHAPE as error:
        raise UnreachableError(f"{doing}: Google's answer could not be read ({type(error).__name__})") from error


def translate(error: Exception, doing: str) -> GpuctlError:
    """The failure in our words; `doing` begins the sentence: `could not list instances in `us-east1``."""
    if isinstance(error, LoginError):
        return error.kind(f"{doing}: {error.sentence}", hint=error.hint)
    if isinstance(error, PartialList):
        return UnreachableError(f"{doing}: Google's list is not complete ({one_line(str(error))})", hint="retry later")
    if not isinstance(error, (ApiError, OperationFailed)):
        return _no_reply_error(error, doing)
    code = code_of(error)
    if not code:
        return UnreachableError(f"{doing}: Google answered {error.status} without a reason", hint=NETWORK_HINT)
    return _of_code(error, code, doing)


def translate_create(error: Exception, doing: str) -> GpuctlError:
    """The failure of an insert: Google's refusal where it created nothing, else OutcomeUnknown."""
    refusal = translate(error, doing)
    if was_never_sent(error):
        return refusal
    if isinstance(error, (ApiError, OperationFailed)) and code_of(error):
        meaning = _meaning(error, code_of(error))
        return create_error(meaning, refusal, doing, "Google", _error_text(error))
    return OutcomeUnknown(f"{doing}: no reply shows whether it was created ({type(error).__name__})")


def was_never_sent(error: Exception) -> bool:
    """Whether it is sure that no byte of the request arrived: no token, or no connection."""
    return isinstance(error, LoginError) or any(map(is_no_connection, causes(error)))


def refusal_of(error: OperationFailed) -> LaunchRefusal:
    """Why an instance never came up, where its insert failed only later."""
    translated = translate(error, "the instance could not be started")
    return LaunchRefusal(code=translated.code, text=translated.message, hint=translated.hint)


def _of_code(error: ApiError | OperationFailed, code: str, doing: str) -> GpuctlError:
    meaning = _meaning(error, code)
    hint = _policy_hint(error.message) or TABLE.hint(code) or _HINTS.get(meaning)
    translated = error_of(meaning, f"{doing}: {_error_text(error)}", code=code, hint=hint, extent=TABLE.extent(code))
    if isinstance(translated, CredentialsError) and isinstance(error, ApiError):
        translated.cloud_time = error.cloud_time
    return translated


def _meaning(error: ApiError | OperationFailed, code: str) -> Meaning:
    if isinstance(error, ApiError) and error.reason == "forbidden" and "quota" in error.message.casefold():
        return Meaning.QUOTA
    # `conditionNotMet` is also what a stale fingerprint gets.
    if "constraint constraints/" in error.message.casefold():
        return Meaning.CREDENTIALS
    # An operation that has ended with an error made nothing, whatever HTTP status Google puts beside it.
    status = error.status if isinstance(error, ApiError) else 400
    return TABLE.meaning(code, status)


def _policy_hint(message: str) -> str | None:
    return next((hint for constraint, hint in _POLICY_HINTS.items() if constraint in message), None)


def _error_text(error: ApiError | OperationFailed) -> str:
    return f"`{code_of(error)}`{f' ({one_line(error.message)})' if error.message else ''}"


def _no_reply_error(error: Exception, doing: str) -> GpuctlError:
    reason = next((one_line(cause.verify_message) for cause in causes(error) if _is_certificate(cause)), "")
    text = f" ({reason})" if reason else ""
    return UnreachableError(f"{doing}: Google could not be reached{text}", hint=NETWORK_HINT)


def _is_certificate(cause: Any) -> bool:
    return isinstance(cause, ssl.SSLCertVerificationError)
