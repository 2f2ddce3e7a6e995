"""The credentials behind Azure's clients: found when first needed; what keeps them from working, in a sentence."""

import re
from collections.abc import Iterator
from typing import Any, cast

from azure.core import exceptions as sdk
from azure.core.pipeline import PipelineRequest, PipelineResponse
from azure.mgmt.core.policies import ARMChallengeAuthenticationPolicy

from gpuctl.distribution import install_package
from gpuctl.errors import CredentialsError, GpuctlError, UnreachableError, UsageError
from gpuctl.providers.wording import one_line

NO_LOGIN = "there is no Azure login"
_HINT = "az login, or set AZURE_TENANT_ID, AZURE_CLIENT_ID and AZURE_CLIENT_SECRET"
_UNAUTHORIZED = 401
# Entra's own number and sentence; what follows it is for its support.
_AADSTS = re.compile(r"AADSTS\d+: .*?(?=\s*(?:Trace ID|Correlation ID|Timestamp|To re-authenticate|$|[\r\n]))")
# What each kind of credentials says where nobody set it up. https://aka.ms/azsdk/python/identity/
_NOT_SET_UP = re.compile(
    r"not fully configured|authentication unavailable|No managed identity endpoint|Shared token cache unavailable"
    r"|not found on path|could not be found|run 'az login'|run 'azd auth login'|is not installed|Connect-AzAccount"
    r"|azure-identity-broker|requires the .* package|VisualStudioCode.*unavailable",
    re.IGNORECASE,
)
_ENTRY = re.compile(r"\n\t(?=\w+Credential\b)")
_OFFLINE = re.compile(
    r"Failed to establish a new connection|Failed to resolve|Name or service not known|ConnectTimeout|ProxyError"
    r"|Connection aborted|Connection refused|timed out",
    re.IGNORECASE,
)
_VARIABLES = (
    (re.compile(r"tenant", re.IGNORECASE), "AZURE_TENANT_ID"),
    (re.compile(r"authority", re.IGNORECASE), "AZURE_AUTHORITY_HOST"),
    (re.compile(r"client.?id", re.IGNORECASE), "AZURE_CLIENT_ID"),
    (re.compile(r"AZURE_TOKEN_CREDENTIALS|Valid values are"), "AZURE_TOKEN_CREDENTIALS"),
)
_TENANT = re.compile(r"login\.(?:windows\.net|microsoftonline\.\w+)/([0-9a-f-]{36})", re.IGNORECASE)


class LoginError(sdk.ClientAuthenticationError):
    """No token could be had: nothing was sent to the cloud. `kind`, `sentence` and `hint` are what to tell."""

    def __init__(self, kind: type[GpuctlError], sentence: str, hint: str) -> None:
        super().__init__(sentence)
        self.kind = kind
        self.sentence = sentence
        self.hint = hint


class Login:
    """Credentials of whatever kind the environment holds, for one tenant where that is known.

    `subscription` is the one they are for, None where that is not known without asking the cloud. Every failure is a
    LoginError. Nothing is looked up before the first token is needed.
    """

    def __init__(self, subscription: str | None) -> None:
        self._subscription = subscription
        self._chain: Any = None
        self._tenant: str | None = None

    def get_token_info(self, *scopes: str, options: Any = None) -> Any:
        """A token, as the SDK asks for one."""
        wanted = dict(options or {})
        if self._tenant is not None:
            wanted.setdefault("tenant_id", self._tenant)
        try:
            if self._chain is None:
                self._chain = _credential_chain()
            return self._chain.get_token_info(*scopes, options=wanted)
        except (sdk.AzureError, OSError, ValueError) as error:
            token = self._of_the_cli(*scopes)
            if token is None:
                raise login_error(error) from error
            return token

    def _of_the_cli(self, *scopes: str) -> Any:
        """A token of the account that `az` has for the subscription, of which another tenant's default knows nothing.

        None where it is not asked for or cannot be had.
        """
        if self._tenant is None or self._subscription is None:
            return None
        from azure.identity import AzureCliCredential

        try:
            return AzureCliCredential(subscription=self._subscription).get_token_info(*scopes)
        except (sdk.AzureError, ValueError):
            return None

    def switch_to(self, tenant: str) -> bool:
        """Take tokens of that tenant from now on; whether that is news."""
        is_new = tenant != self._tenant
        self._tenant = tenant
        return is_new


class TenantPolicy(ARMChallengeAuthenticationPolicy):
    """Puts a token on each request, and takes one of another tenant where ARM says that the subscription is there.

    Credentials belong to one tenant by default, which need not be the recorded subscription's.
    """

    def __init__(self, login: Login, *scopes: str) -> None:
        super().__init__(cast(Any, login), *scopes)
        self._login = login

    def send(self, request: PipelineRequest[Any]) -> PipelineResponse[Any, Any]:
        response: PipelineResponse[Any, Any] = super().send(request)
        tenant = _tenant_of(response.http_response)
        if tenant is None or not self._login.switch_to(tenant):
            return response
        self.authorize_request(request, *self._scopes)
        return self.next.send(request)


def login_error(error: Exception) -> LoginError:
    """Why there is no token: a setting, a file, the network, Entra's refusal, or that nothing is set up."""
    text = str(error)
    refusal = _AADSTS.search(text)
    if refusal is not None:
        return LoginError(CredentialsError, one_line(refusal[0]), _hint_of(refusal[0]))
    reason = next(_reasons(text), None)
    if reason is None:
        return LoginError(CredentialsError, NO_LOGIN, _HINT)
    problem = setting_problem(reason)
    if problem is not None:
        return LoginError(UsageError, *problem)
    if isinstance(error, ValueError):
        variable = next((name for pattern, name in _VARIABLES if pattern.search(reason)), "the AZURE_* variables")
        return LoginError(UsageError, one_line(reason), f"check {variable}")
    if _OFFLINE.search(reason):
        sentence = f"Azure's login service could not be reached ({one_line(reason)})"
        return LoginError(UnreachableError, sentence, "check the network and HTTPS_PROXY, then run it again")
    return LoginError(CredentialsError, one_line(reason), _HINT)


def setting_problem(text: str) -> tuple[str, str] | None:
    """The sentence and hint for a setting of the network that lets no request out; None where it is something else."""
    if "TLS CA certificate bundle" in text:
        return one_line(text[text.index("Could not find") :] if "Could not find" in text else text), (
            "check REQUESTS_CA_BUNDLE and CURL_CA_BUNDLE"
        )
    if "SOCKS" in text:
        return (
            "a SOCKS proxy needs `PySocks`, which is not installed",
            f"{install_package('PySocks')}, or unset ALL_PROXY",
        )
    if "Proxy URL" in text or "proxy URL" in text:
        return one_line(text), "check HTTPS_PROXY"
    return None


def _credential_chain() -> Any:
    from azure.identity import DefaultAzureCredential

    return DefaultAzureCredential(exclude_interactive_browser_credential=True, additionally_allowed_tenants=["*"])


def _reasons(text: str) -> Iterator[str]:
    """The failure of each configured kind of credentials, the first one first."""
    chain, *entries = _ENTRY.split(text)
    for entry in entries or [chain]:
        reply = entry.partition("\nTo mitigate this issue")[0]
        if not _NOT_SET_UP.search(reply):
            yield reply.partition(": ")[2] if entries and ": " in reply else reply


def _hint_of(refusal: str) -> str:
    if "client secret" in refusal.casefold() or "AADSTS700027" in refusal:
        return "give the application a new secret or certificate, and set AZURE_CLIENT_SECRET again"
    return "az login"


def _tenant_of(response: Any) -> str | None:
    """The tenant that ARM names where a token was of another one."""
    if response.status_code != _UNAUTHORIZED:
        return None
    text = f"{response.headers.get('WWW-Authenticate', '')} {response.text()}"
    match = _TENANT.search(text)
    return match[1].lower() if match else None
