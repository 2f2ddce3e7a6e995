"""Azure's errors as gpuctl's. The code decides, never the class: all 409s look alike."""

import re
import ssl
from collections.abc import Callable, Mapping
from typing import Any

from azure.core import exceptions as sdk
from urllib3 import exceptions as urllib3

from gpuctl.domain.instance import LaunchRefusal
from gpuctl.errors import CredentialsError, GpuctlError, UnreachableError, UsageError
from gpuctl.providers.azure.codes import NOT_FOUND, TABLE
from gpuctl.providers.azure.login import LoginError, setting_problem
from gpuctl.providers.codes import HINTS, NETWORK_HINT, Meaning, create_error, error_of
from gpuctl.providers.http import causes
from gpuctl.providers.unsent import is_no_connection
from gpuctl.providers.wording import local_problem, one_line

# An OSError is a file of the user's settings that a request needs and that cannot be read.
SDK_ERRORS = (sdk.AzureError, OSError)

_ABSENT = frozenset({"ResourceGroupNotFound", "ResourceNotFound", "NotFound"})
# `Resource /subscriptions/.../resourceGroups/NAME/... referenced by ... was not found`, or `Resource group 'NAME'`.
_GROUP_NOT_FOUND = re.compile(r"resource ?groups?(?:/| ')(?P<name>[^/']+)", re.IGNORECASE)
# The lines after the first are the ID of the request and the time.
_XML_SENTENCE = re.compile(r"<Message>([^<\n]*)")
_NAMESPACE = re.compile(r"namespace '(?P<name>[\w.]+)'")

_HINTS = HINTS | {
    Meaning.CREDENTIALS: "az account show",
    Meaning.QUOTA: "ask Azure for more: az vm list-usage, then its Quotas page",
}

# Of an end that fails only the sentence is kept in the record, not the hint.
_SAID_WITH_HINT = frozenset({"ScopeLocked"})


def code_of(error: Exception) -> str:
    """Azure's own code for this failure; empty where it gave none that could be read."""
    text = getattr(error, "error", None)
    return str(getattr(text, "code", "") or "")


def is_absent(error: Exception) -> bool:
    """Whether Azure reports that the resource does not exist."""
    return isinstance(error, sdk.HttpResponseError) and error.status_code == 404 and code_of(error) in _ABSENT


def translate(error: Exception, doing: str) -> GpuctlError:
    """The failure in our words; `doing` begins the sentence: `could not list instances in `eastus``."""
    if isinstance(error, LoginError):
        return error.kind(f"{doing}: {error.sentence}", hint=error.hint)
    problem = setting_problem(str(error)) if not code_of(error) else None
    if problem is not None:
        return UsageError(f"{doing}: {problem[0]}", hint=problem[1])
    if isinstance(error, sdk.ClientAuthenticationError) and not code_of(error):
        return CredentialsError(f"{doing}: {one_line(str(error))}", hint="az login")
    if was_never_sent(error) or isinstance(error, sdk.ServiceRequestError):
        return UnreachableError(f"{doing}: Azure could not be reached{_cause(error)}", hint=NETWORK_HINT)
    code = code_of(error)
    if not code:
        return UnreachableError(f"{doing}: Azure returned no readable answer ({type(error).__name__})")
    return _of_code(code, _message(error), _status(error), doing)


def translate_storage(error: Exception, doing: str) -> GpuctlError:
    """The same of a request to Azure Storage, which names the code in a header and replies in XML."""
    response = getattr(error, "response", None)
    if response is None:
        return translate(error, doing)
    code, sentence = response.headers.get("x-ms-error-code", ""), _XML_SENTENCE.search(response.text())
    if not code:
        return UnreachableError(f"{doing}: Azure replied with status {response.status_code}")
    return _of_code(code, sentence[1] if sentence else "", response.status_code, doing)


def unless_absent(read: Callable[[], Any]) -> Mapping[str, Any] | None:
    """The result of the call; None if Azure reports that the resource does not exist. Raises other SDK errors."""
    try:
        reply: Mapping[str, Any] = read()
    except SDK_ERRORS as error:
        if is_absent(error):
            return None
        raise
    return reply


def is_not_visible_yet(error: Exception, group: str) -> bool:
    """Whether Azure does not find something in that group: what was created a moment ago is not known everywhere."""
    named = _GROUP_NOT_FOUND.search(_message(error))
    is_ours = named is None or named["name"].casefold() == group.casefold()
    return code_of(error) in NOT_FOUND and is_ours


def translate_create(error: Exception, doing: str) -> GpuctlError:
    """The failure of a create: Azure's refusal where it follows that nothing was created, else OutcomeUnknown."""
    refusal = translate(error, doing)
    if was_never_sent(error):
        return refusal
    code, message = code_of(error), _message(error)
    text = _error_text(code, message) if code else type(error).__name__
    return create_error(_meaning(code, message, _status(error)), refusal, doing, "Azure", text)


def was_never_sent(error: Exception) -> bool:
    """Whether it is sure that no byte of the request arrived: no token, a bad setting, or no connection."""
    if isinstance(error, (LoginError, sdk.ServiceRequestTimeoutError)):
        return True
    if not code_of(error) and setting_problem(str(error)) is not None:
        return True
    # ServiceRequestError, the SDK's own class for that, holds also connections that broke while the answer was awaited.
    return any(map(is_no_connection, causes(error)))


def _cause(error: Exception) -> str:
    """The innermost reason for which there was no connection, in brackets."""
    for cause in causes(error):
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f" ({one_line(cause.verify_message)})"
        if isinstance(cause, urllib3.ProxyError):
            return " (through the proxy)"
    return ""


def unreadable_credentials(error: Exception, doing: str) -> GpuctlError:
    """The failure of what is read or run on this computer to get credentials, before anything is sent.

    What fails on the line the SDK makes errors of its own of.
    """
    text = f"{doing}: Azure credentials could not be read: {local_problem(error)}"
    return CredentialsError(text, hint="az account show")


def refusal_of(code: str, message: str) -> LaunchRefusal:
    """Why an instance never became ready, from its instance view."""
    # No HTTP status comes with it, but it is Azure's last word on what was sent.
    error = _of_code(code, message, 400, "the instance could not be started")
    return LaunchRefusal(code=error.code, text=error.message)


def _of_code(code: str, message: str, status: int, doing: str) -> GpuctlError:
    meaning = _meaning(code, message, status)
    hint = TABLE.hint(code) or _HINTS.get(meaning)
    namespace = _NAMESPACE.search(message)
    if hint is not None and namespace is not None:
        hint = hint.replace("NAMESPACE", namespace["name"])
    text = f"{doing}: {_error_text(code, message)}"
    if code in _SAID_WITH_HINT and hint is not None:
        text = f"{text}; {hint}"
    return error_of(meaning, text, code=code, hint=hint, extent=TABLE.extent(code))


def _meaning(code: str, message: str, status: int) -> Meaning:
    meaning = TABLE.meaning(code, status)
    # Azure says that an operation is not allowed for many reasons; a quota is one only where it says so.
    if meaning is Meaning.REFUSED and code == "OperationNotAllowed" and "quota" in message.casefold():
        return Meaning.QUOTA
    return meaning


def _error_text(code: str, message: str) -> str:
    return f"`{code}`{f' ({one_line(message)})' if message else ''}"


def _message(error: Exception) -> str:
    text = getattr(error, "error", None)
    details: Any = getattr(text, "details", None) or ()
    deeper = next((str(detail.message) for detail in details if getattr(detail, "message", None)), "")
    return deeper or str(getattr(text, "message", "") or "")


def _status(error: Exception) -> int:
    return int(getattr(error, "status_code", 0) or 0)
