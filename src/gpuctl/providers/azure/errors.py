"""Azure's errors as gpuctl's. The code decides, never the class: all 409s look alike."""

from typing import Any

from azure.core import exceptions as sdk

from gpuctl.domain.instance import Refusal
from gpuctl.errors import CredentialsError, GpuctlError, UnreachableError
from gpuctl.providers.azure.codes import TABLE
from gpuctl.providers.codes import Meaning, create_error, error_of
from gpuctl.providers.wording import one_line

SDK_ERRORS = (sdk.AzureError,)

NOT_FOUND = frozenset({"ResourceGroupNotFound", "ResourceNotFound", "NotFound"})

_HINTS = {
    Meaning.CREDENTIALS: "az account show",
    Meaning.THROTTLED: "run it again in a minute",
    Meaning.CAPACITY: "add another `--region`, or take another type: gpuctl types",
    Meaning.QUOTA: "ask Azure for more: az vm list-usage, then its Quotas page",
}
_LOGIN_HINT = "az login, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
# Raised before a byte of the request left: nothing was asked, so nothing was done.
_NEVER_SENT = (sdk.ServiceRequestError,)


def code_of(error: Exception) -> str:
    """Azure's own code for this failure; empty where it gave none that could be read."""
    told = getattr(error, "error", None)
    return str(getattr(told, "code", "") or "")


def is_absent(error: Exception) -> bool:
    """Whether Azure says that there is no such thing."""
    return isinstance(error, sdk.HttpResponseError) and error.status_code == 404 and code_of(error) in NOT_FOUND


def translate(error: Exception, doing: str) -> GpuctlError:
    """The failure in our words; `doing` begins the sentence: `could not list machines in `eastus``."""
    if isinstance(error, sdk.ClientAuthenticationError) and not code_of(error):
        return CredentialsError(f"{doing}: {_login_problem(error)}", hint=_LOGIN_HINT)
    if isinstance(error, _NEVER_SENT):
        return UnreachableError(f"{doing}: Azure could not be reached", hint="check the network, then run it again")
    code = code_of(error)
    if not code:
        return UnreachableError(f"{doing}: Azure gave no answer that could be read ({type(error).__name__})")
    return _of_code(code, _message(error), _status(error), doing)


def translate_create(error: Exception, doing: str) -> GpuctlError:
    """The failure of a create: Azure's refusal where it follows that nothing was created, else OutcomeUnknown."""
    refusal = translate(error, doing)
    if isinstance(error, _NEVER_SENT) or (isinstance(error, sdk.ClientAuthenticationError) and not code_of(error)):
        return refusal
    code, message = code_of(error), _message(error)
    said = _said(code, message) if code else type(error).__name__
    return create_error(_meaning(code, message, _status(error)), refusal, doing, "Azure", said)


def refusal_of(code: str, message: str) -> Refusal:
    """Why a machine never came up, from what its own status says."""
    # No HTTP status comes with it, but it is Azure's last word on what was sent.
    error = _of_code(code, message, 400, "the machine could not be brought up")
    return Refusal(code=error.code, text=error.message)


def _of_code(code: str, message: str, status: int, doing: str) -> GpuctlError:
    meaning = _meaning(code, message, status)
    hint = TABLE.hint(code) or _HINTS.get(meaning)
    return error_of(meaning, f"{doing}: {_said(code, message)}", code=code, hint=hint, extent=TABLE.extent(code))


def _meaning(code: str, message: str, status: int) -> Meaning:
    meaning = TABLE.meaning(code, status)
    # Azure says that an operation is not allowed for many reasons; a quota is one only where it says so.
    if meaning is Meaning.REFUSED and code == "OperationNotAllowed" and "quota" in message.casefold():
        return Meaning.QUOTA
    return meaning


def _said(code: str, message: str) -> str:
    return f"`{code}`{f' ({one_line(message)})' if message else ''}"


def _login_problem(error: Exception) -> str:
    # The chain of logins tells the failure of each in many lines; which there are is in the hint.
    return "there is no Azure login" if "Default" in str(error) else one_line(str(error))


def _message(error: Exception) -> str:
    told = getattr(error, "error", None)
    details: Any = getattr(told, "details", None) or ()
    deeper = next((str(one.message) for one in details if getattr(one, "message", None)), "")
    return deeper or str(getattr(told, "message", "") or "")


def _status(error: Exception) -> int:
    return int(getattr(error, "status_code", 0) or 0)
