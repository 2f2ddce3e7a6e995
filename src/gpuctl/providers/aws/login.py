"""The credentials of the AWS SDK as gpuctl uses them: asked for at a terminal only, cached where the AWS CLI caches
them, and every failure before a request is sent reported as a failure of settings or credentials."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import botocore.session
from botocore import exceptions as sdk
from botocore.credentials import Credentials, create_credential_resolver
from botocore.utils import JSONFileCache

from gpuctl.errors import CredentialsError, UsageError
from gpuctl.providers.base import Connection
from gpuctl.providers.wording import local_problem, one_line

_CACHE = "~/.aws/cli/cache"
_KEYS = {
    "access_key": ("AWS_ACCESS_KEY_ID", "aws_access_key_id"),
    "secret_key": ("AWS_SECRET_ACCESS_KEY", "aws_secret_access_key"),
    "token": ("AWS_SESSION_TOKEN", "aws_session_token"),
}
_SECRET_VARIABLES = frozenset({"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"})


def core_session(connection: Connection) -> Any:
    """A session of the SDK for that profile, or for what the environment names."""
    return botocore.session.Session(profile=connection.profile)


def prepare_roles(core: Any, connection: Connection, region: str) -> None:
    """Let the session ask for codes and cache role credentials as gpuctl does; `region` is where STS is asked for them.

    Before the first client is made, and once. Raises the SDK's ProfileNotFound.
    """
    resolver = create_credential_resolver(core, region_name=region)
    role = resolver.get_provider("assume-role")
    # Unlike pathlib, it leaves the `~` where there is no home directory.
    folder = Path(os.path.expanduser(_CACHE))
    if folder.is_absolute():
        role.cache = _RoleCache(str(folder))
    # The SDK has no other way to say how a code is asked for.
    role._prompter = _prompter(connection)
    core.register_component("credential_provider", resolver)


def deciding_profile(core: Any) -> str | None:
    """The profile that supplies the credentials, selected by name or AWS_PROFILE; None for keys in variables."""
    name: str | None = core.get_config_variable("profile")
    if name is None or core.instance_variables().get("profile") is not None:
        return name
    credentials = core.get_credentials()
    return None if credentials is None or credentials.method == "env" else name


def check_keys(core: Any, connection: Connection) -> None:
    """Tell the connection the values that must never be shown, and raise CredentialsError for one that cannot be sent.

    Credentials that are fetched at the first request are not known yet.
    """
    credentials = core.get_credentials()
    if type(credentials) is not Credentials:
        return
    for field, (variable, setting) in _KEYS.items():
        value: str | None = getattr(credentials, field)
        connection.hide(value)
        if value and (value != value.strip() or not value.isprintable()):
            name = variable if credentials.method == "env" else setting
            raise CredentialsError(
                f"`{name}` has a line break or a space at its beginning or end",
                hint="take it out: a key from a file or a secret often ends in a line break",
            )


def hide_sent_headers(connection: Connection) -> Any:
    """A handler of the SDK's event before a request is sent: what the request proves itself with is never shown."""

    def handler(request: Any, **_: Any) -> None:
        for name in ("X-Amz-Security-Token", "Authorization"):
            value = request.headers.get(name)
            text = value.decode("latin-1") if isinstance(value, bytes) else str(value or "")
            if name == "Authorization":
                text = text.partition("Credential=")[2].partition("/")[0]
            connection.hide(text)

    return handler


@contextmanager
def settings_of(environ: Mapping[str, str]) -> Iterator[None]:
    """Whatever fails in here failed before anything was sent: by the user's settings, or by what gets credentials."""
    try:
        yield
    except (OSError, EOFError) as error:
        raise CredentialsError(
            f"AWS credentials could not be read: {local_problem(error)}", hint="aws configure list"
        ) from error
    except (ValueError, TypeError, KeyError, sdk.ValidationError, sdk.InvalidRetryConfigurationError) as error:
        raise UsageError(
            f"{_quoted_setting(environ, str(error))} cannot be used: {one_line(str(error)) or type(error).__name__}",
            hint="aws configure list",
        ) from error


def _quoted_setting(environ: Mapping[str, str], sentence: str) -> str:
    """The AWS variable whose value the SDK's sentence quotes, for a message; `an AWS setting` where it quotes none."""
    quoted = [
        (len(value), name)
        for name, value in environ.items()
        if name.startswith("AWS_") and name not in _SECRET_VARIABLES and value and value in sentence
    ]
    return f"`{max(quoted)[1]}`" if quoted else "an AWS setting"


def _prompter(connection: Connection) -> Any:
    def prompt(question: str) -> str:
        if connection.ask is None:
            profile = f" --profile {connection.profile}" if connection.profile else ""
            raise CredentialsError(
                "these AWS credentials need an MFA code, and gpuctl cannot ask for it here",
                hint=f"at a terminal: aws sts get-caller-identity{profile}; gpuctl then uses that session for an hour",
            )
        return connection.ask(question)

    return prompt


class _RoleCache(JSONFileCache):  # type: ignore[misc]  # the SDK has no types
    """The AWS CLI's own cache of role credentials, readable by the user alone. One that takes nothing is no failure."""

    def __setitem__(self, cache_key: str, value: Any) -> None:
        with suppress(OSError):
            os.makedirs(self._working_dir, mode=0o700, exist_ok=True)
            super().__setitem__(cache_key, value)
