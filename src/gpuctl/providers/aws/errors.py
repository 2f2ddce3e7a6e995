"""AWS's errors as gpuctl's: the code decides what they mean, whatever the HTTP status."""

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from gpuctl.distribution import install_package
from gpuctl.domain.instance import LaunchRefusal
from gpuctl.errors import CredentialsError, Extent, GpuctlError, OutcomeUnknown, UnreachableError, UsageError
from gpuctl.providers.aws.codes import CLOSED_REGION, TABLE
from gpuctl.providers.codes import HINTS, NETWORK_HINT, Meaning, create_error, error_of
from gpuctl.providers.http import parse_date
from gpuctl.providers.unsent import is_no_connection
from gpuctl.providers.wording import local_problem, one_line

# Everything the SDK raises for what a cloud or a network did; the last is no BotoCoreError.
SDK_ERRORS = (sdk.ClientError, sdk.BotoCoreError, ResponseParserError)
NOT_FOUND = frozenset({"InvalidInstanceID.NotFound"})
NO_SUCH_GROUP = frozenset({"InvalidGroup.NotFound", "InvalidSecurityGroupID.NotFound"})

# An older SDK does not have all of these.
_NEWER = ("LoginError", "MissingDependencyException", "NoAuthTokenError", "RefreshWithMFAUnsupportedError")
_LOGIN = (
    *(getattr(sdk, name) for name in _NEWER if hasattr(sdk, name)),
    sdk.UnknownCredentialError,
    sdk.NoCredentialsError,
    sdk.PartialCredentialsError,
    sdk.CredentialRetrievalError,
    sdk.ProfileNotFound,
    sdk.ConfigNotFound,
    sdk.ConfigParseError,
    sdk.TokenRetrievalError,
    sdk.SSOError,
    sdk.UnauthorizedSSOTokenError,
    sdk.InvalidConfigError,
    sdk.MetadataRetrievalError,
)
# Raised before a byte of the request left: nothing was asked, so nothing was done.
_NEVER_SENT = (sdk.EndpointConnectionError, sdk.ConnectTimeoutError)
# What the SDK raises after a request was sent, or may have been. Everything else it raises without an answer is about
# settings: it never came so far.
_MAYBE_SENT = (
    sdk.HTTPClientError,
    sdk.ConnectionError,
    sdk.PaginationError,
    sdk.ChecksumError,
    sdk.IncompleteReadError,
    ResponseParserError,
)

_HINTS = HINTS | {
    Meaning.CREDENTIALS: "aws sts get-caller-identity",
    Meaning.QUOTA: "ask AWS for more under Service Quotas",
}
_KEY_HINT = "the key that encrypts EBS volumes by default may not be usable: aws ec2 get-ebs-default-kms-key-id"
_STATE_REASON = re.compile(r"(Client|Server)(\.\w+)+")
# EC2 has one code for several matters; how far these reach is only in its sentence. Whether a create was refused never
# depends on that.
_SENTENCES = (
    ("InvalidInput", "availability zone", Extent.ZONE, "add another `--region`, or `--subnet subnet-...`"),
    ("MissingInput", "no subnets found", Extent.REGION, "add `--subnet subnet-...`, or another `--region`"),
    ("UnauthorizedOperation", "service control policy", Extent.REGION, "your organization's policy forbids it there"),
)


def code_of(error: Exception) -> str:
    """AWS's own code for this failure; empty where it gave none."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, sdk.ClientError) else ""


def translate(error: Exception, doing: str, *, region: str | None = None) -> GpuctlError:
    """The failure in our words; `doing` begins the sentence: `could not list instances in `us-east-1``.

    `region` is the region that was asked, given only where the same credentials have just worked in another one.
    """
    if isinstance(error, _LOGIN):
        return CredentialsError(f"{doing}: {one_line(str(error))}", hint=_login_hint(error))
    if _is_unsendable(error):
        return CredentialsError(
            f"{doing}: a key or token of these credentials has a line break, so nothing was sent",
            hint="take the line break out of the AWS keys and tokens",
        )
    if isinstance(error, sdk.SSLError):
        return _tls_problem(error, doing)
    if _was_never_sent(error):
        return UnreachableError(f"{doing}: AWS could not be reached", hint=NETWORK_HINT)
    if region is not None and _is_closed(error):
        return CredentialsError(
            f"{doing}: `{region}` is not enabled in this account ({_error_text(error)})",
            hint=f"aws account enable-region --region-name {region}, or take another `--region`",
            extent=Extent.REGION,
        )
    if not code_of(error):
        if isinstance(error, (sdk.ClientError, *_MAYBE_SENT)):
            return UnreachableError(f"{doing}: AWS returned no readable answer ({type(error).__name__})")
        return UsageError(f"{doing}: {one_line(str(error))}", hint="check the AWS settings: aws configure list")
    return _of_answer(error, doing)


def translate_create(error: Exception, doing: str) -> GpuctlError:
    """The failure of a create: AWS's refusal where it follows that nothing was created, else OutcomeUnknown."""
    refusal = translate(error, doing)
    is_unsent = isinstance(error, _LOGIN) or _was_never_sent(error) or _is_unsendable(error)
    if is_unsent or isinstance(refusal, UsageError):
        return refusal
    if not isinstance(error, sdk.ClientError):
        return OutcomeUnknown(f"{doing}: AWS did not confirm whether the instance was created ({type(error).__name__})")
    return create_error(TABLE.meaning(code_of(error), _status(error)), refusal, doing, "AWS", _error_text(error))


def _was_never_sent(error: Exception) -> bool:
    if isinstance(error, sdk.ProxyConnectionError):
        return is_no_connection(error.kwargs.get("error"))
    return isinstance(error, _NEVER_SENT)


def unreadable_credentials(error: Exception, doing: str) -> GpuctlError:
    """The failure of what the SDK reads or runs on this computer to get credentials; nothing was sent."""
    return CredentialsError(
        f"{doing}: AWS credentials could not be read: {local_problem(error)}", hint="aws configure list"
    )


def refusal_of(code: str, message: str) -> LaunchRefusal | None:
    """Why AWS ended an instance that it was starting, from the StateReason of the instance; None without a reason.

    A StateReason's code begins with `Client.` or `Server.`, then has the words of an error code. Under
    `Server.InternalError` the message may begin with a code that says more.
    """
    if not code:
        return None
    reported_code, _, result = message.partition(":")
    if not result or not _STATE_REASON.fullmatch(reported_code):
        reported_code, result = code, message
    side, words = reported_code.split(".", 1) if _STATE_REASON.fullmatch(reported_code) else ("", reported_code)
    known = TABLE.meaning(words, 400)
    # AWS ended it and said so: whatever failed in there, the outcome is known.
    meaning = Meaning.REFUSED if known in (Meaning.FAILED, Meaning.TOKEN_USED) else known
    sentence = one_line(result.strip())
    text = f"AWS terminated the instance while it was starting: `{reported_code}`{f' ({sentence})' if sentence else ''}"
    # "Client error on launch" is what EC2 says where the caller may not use the key of an encrypted volume.
    is_key = words.startswith("InvalidKMSKey") or (side, words) == ("Client", "InternalError")
    hint = _KEY_HINT if is_key else TABLE.hint(words) or _HINTS.get(meaning)
    error = error_of(meaning, text, code=reported_code, hint=hint, extent=Extent.EVERYWHERE)
    return LaunchRefusal(code=error.code, text=error.message, hint=error.hint)


def _login_hint(error: Exception) -> str:
    if isinstance(error, getattr(sdk, "MissingDependencyException", ())):
        return install_package("botocore[crt]")
    if isinstance(error, getattr(sdk, "LoginError", ())):
        return "aws login"
    if isinstance(error, (sdk.SSOError, sdk.TokenRetrievalError)):
        return "aws sso login"
    return "aws configure, or set AWS_PROFILE"


def _is_unsendable(error: Exception) -> bool:
    # HTTP takes no line break in a header: the SDK's message would quote the whole key.
    cause = getattr(error, "kwargs", {}).get("error")
    return isinstance(error, sdk.HTTPClientError) and isinstance(cause, ValueError) and "header value" in str(cause)


def _tls_problem(error: Exception, doing: str) -> GpuctlError:
    text = one_line(str(error))
    if "No such file" in text or "invalid path" in text:
        return UsageError(
            f"{doing}: the file of trusted certificates cannot be read: {text}",
            hint="correct or unset AWS_CA_BUNDLE, REQUESTS_CA_BUNDLE, or `ca_bundle` in ~/.aws/config",
        )
    return UnreachableError(f"{doing}: AWS could not be reached: {text}", hint="check the proxy and its certificate")


def _is_closed(error: Exception) -> bool:
    # EC2 also answers AuthFailure about an image or an address of somebody else's.
    code = code_of(error)
    return code in CLOSED_REGION and (code != "AuthFailure" or "validate" in _error_text(error))


def _of_answer(error: Exception, doing: str) -> GpuctlError:
    code, text = code_of(error), _error_text(error)
    meaning = TABLE.meaning(code, _status(error))
    if meaning is Meaning.FAILED and 400 <= _status(error) < 500:
        # Its body could not be read. That matters to a create alone; whatever else was asked was not done.
        meaning = Meaning.REFUSED
    extent, hint = TABLE.extent(code), TABLE.hint(code) or _HINTS.get(meaning)
    for which, words, reach, advice in _SENTENCES:
        if code == which and words in text.casefold():
            extent, hint = reach, advice
    translated = error_of(meaning, f"{doing}: {text}", code=code, hint=hint, extent=extent)
    if isinstance(translated, CredentialsError):
        response: Any = getattr(error, "response", {})
        translated.cloud_time = reply_date(response)
    return translated


def _error_text(error: Exception) -> str:
    """AWS's code and its own sentence."""
    response: Any = getattr(error, "response", {})
    message = one_line(str(response.get("Error", {}).get("Message", "")))
    return f"`{code_of(error)}`{f' ({message})' if message else ''}"


def _status(error: Exception) -> int:
    response: Any = getattr(error, "response", {})
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))


def reply_date(reply: Mapping[str, Any]) -> datetime | None:
    """The time at which AWS sent that reply; None where it has no readable date."""
    return parse_date(reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date"))
