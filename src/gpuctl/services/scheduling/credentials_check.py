"""Proves that the credentials which the reaper needs can be used in the environment that a schedule gives it."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from gpuctl.domain.instance import Instance, ProviderName
from gpuctl.errors import GpuctlError
from gpuctl.services.scheduling.process import ProcessResult
from gpuctl.services.sessions import Login, Sessions


@dataclass(frozen=True, slots=True)
class CredentialsCheck:
    """The result of using one set of credentials: their account, or the error.

    `warning` says what keeps them from working for long without a person.
    """

    provider: ProviderName
    account: str | None
    error: str | None = None
    warning: str | None = None

    @property
    def label(self) -> str:
        """Provider and account, for messages."""
        return f"{self.provider} {self.account}" if self.account else str(self.provider)

    @property
    def shape(self) -> dict[str, Any]:
        """The proof as plain values."""
        return {
            "provider": str(self.provider),
            "account": self.account,
            "error": self.error,
            "warning": self.warning,
        }


def logins_to_prove(records: Iterable[Instance], ambient: Iterable[tuple[ProviderName, str | None]]) -> list[Login]:
    """The credentials of every active record, and those that `ambient` names by provider and profile."""
    recorded = [Login(record.provider, record.profile, record.account) for record in records if record.is_active]
    known = {(login.provider, login.profile) for login in recorded}
    named = [Login(provider, profile, None) for provider, profile in ambient if (provider, profile) not in known]
    return list(dict.fromkeys((*recorded, *named)))


def prove(sessions: Sessions, logins: Sequence[Login]) -> list[CredentialsCheck]:
    """Query each provider for the account of these credentials. One failure does not affect the others."""
    proofs = []
    for login in logins:
        try:
            session = sessions.by(login)
        except GpuctlError as error:
            proofs.append(CredentialsCheck(login.provider, login.account, error.message))
        else:
            warning = session.provider.unattended_warning()
            proofs.append(CredentialsCheck(login.provider, session.account, warning=warning))
    return proofs


def proofs_from(result: ProcessResult) -> list[CredentialsCheck]:
    """The proofs that `gpuctl schedule prove` printed. ValueError where it printed none."""
    try:
        document = json.loads(result.out)
        return [
            CredentialsCheck(ProviderName(proof["provider"]), proof["account"], proof["error"], proof["warning"])
            for proof in document["proofs"]
        ]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(result.failure) from error
