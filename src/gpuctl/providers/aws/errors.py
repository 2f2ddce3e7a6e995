"""AWS's errors as gpuctl's: the code decides what they mean, whatever the HTTP status."""

import re
from typing import Any

from botocore import exceptions as sdk
from botocore.parsers import ResponseParserError

from gpuctl.domain.instance import Refusal
from gpuctl.errors import CredentialsError, Extent, GpuctlError, OutcomeUnknown, UnreachableError
from gpuctl.providers.aws.codes import CLOSED_REGION, TABLE
from gpuctl.providers.aws.replies import reply_date
from gpuctl.providers.codes import Meaning, create_error, error_of
from gpuctl.providers.wording import one_line

# Everything the SDK raises for what a cloud or a network did; the last is no BotoCoreError.
SDK_ERRORS = (sdk.ClientError, sdk.BotoCoreError, ResponseParserError)
NOT_FOUND = frozenset({"InvalidInstanceID.NotFound"})
NO_SUCH_GROUP = frozenset({"InvalidGroup.NotFound", "InvalidSecurityGroupID.NotFound"})

_LOGIN = (
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
_NEVER_SENT = (sdk.EndpointConnectionError, sdk.ConnectTimeoutError, sdk.ProxyConnectionError)

_HINTS = {
    Meaning.CREDENTIALS: "aws sts get-caller-identity",
    Meaning.THROTTLED: "run it again in a minute",
    Meaning.CAPACITY: "add another `--region`, or take another type: gpuctl types",
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
    """The failure in our words; `doing` begins the sentence: `could not list machines in `us-east-1``.

    `region` is the region that was asked, given only where the same credentials have just worked in another one.
    """
    if isinstance(error, _LOGIN):
        return CredentialsError(f"{doing}: {one_line(str(error))}", hint="aws configure, or set AWS_PROFILE")
    if isinstance(error, _NEVER_SENT):
        return UnreachableError(f"{doing}: AWS could not be reached", hint="check the network, then run it again")
    if region is not None and _is_closed(error):
        return CredentialsError(
            f"{doing}: `{region}` is not enabled in this account ({_said(error)})",
            hint=f"aws account enable-region --region-name {region}, or take another `--region`",
            extent=Extent.REGION,
        )
    if not code_of(error):
        return UnreachableError(f"{doing}: AWS gave no answer that could be read ({type(error).__name__})")
    return _of_answer(error, doing)


def translate_create(error: Exception, doing: str) -> GpuctlError:
    """The failure of a create: AWS's refusal where it follows that nothing was created, else OutcomeUnknown."""
    refusal = translate(error, doing)
    if isinstance(error, (*_LOGIN, *_NEVER_SENT)):
        return refusal
    if not isinstance(error, sdk.ClientError):
        return OutcomeUnknown(f"{doing}: AWS's answer does not tell whether it was created ({type(error).__name__})")
    return create_error(TABLE.meaning(code_of(error), _status(error)), refusal, doing, "AWS", _said(error))


def refusal_of(code: str, message: str) -> Refusal | None:
    """Why AWS ended an instance that it was starting, from the StateReason of the instance; None without a reason.

    A StateReason's code begins with `Client.` or `Server.`, then has the words of an error code. Under
    `Server.InternalError` the message may begin with a code that says more.
    """
    if not code:
        return None
    told_code, _, told = message.partition(":")
    if not told or not _STATE_REASON.fullmatch(told_code):
        told_code, told = code, message
    side, words = told_code.split(".", 1) if _STATE_REASON.fullmatch(told_code) else ("", told_code)
    known = TABLE.meaning(words, 400)
    # AWS ended it and said so: whatever failed in there, the outcome is known.
    meaning = Meaning.REFUSED if known in (Meaning.FAILED, Meaning.TOKEN_USED) else known
    sentence = one_line(told.strip())
    text = f"AWS ended it while it was starting: `{told_code}`{f' ({sentence})' if sentence else ''}"
    # "Client error on launch" is what EC2 says where the caller may not use the key of an encrypted volume.
    is_key = words.startswith("InvalidKMSKey") or (side, words) == ("Client", "InternalError")
    hint = _KEY_HINT if is_key else TABLE.hint(words) or _HINTS.get(meaning)
    error = error_of(meaning, text, code=told_code, hint=hint, extent=Extent.EVERYWHERE)
    return Refusal(code=error.code, text=error.message, hint=error.hint)


def _is_closed(error: Exception) -> bool:
    # EC2 also answers AuthFailure about an image or an address of somebody else's.
    code = code_of(error)
    return code in CLOSED_REGION and (code != "AuthFailure" or "validate" in _said(error))


def _of_answer(error: Exception, doing: str) -> GpuctlError:
    code, said = code_of(error), _said(error)
    meaning = TABLE.meaning(code, _status(error))
    extent, hint = TABLE.extent(code), TABLE.hint(code) or _HINTS.get(meaning)
    for which, words, reach, advice in _SENTENCES:
        if code == which and words in said.casefold():
            extent, hint = reach, advice
    told = error_of(meaning, f"{doing}: {said}", code=code, hint=hint, extent=extent)
    if isinstance(told, CredentialsError):
        response: Any = getattr(error, "response", {})
        told.cloud_time = reply_date(response)
    return told


def _said(error: Exception) -> str:
    """AWS's code and its own sentence."""
    response: Any = getattr(error, "response", {})
    message = one_line(str(response.get("Error", {}).get("Message", "")))
    return f"`{code_of(error)}`{f' ({message})' if message else ''}"


def _status(error: Exception) -> int:
    response: Any = getattr(error, "response", {})
    return int(response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
