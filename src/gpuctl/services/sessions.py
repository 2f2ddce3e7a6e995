"""One verified session per account: whose credentials these are, and the provider's time."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from gpuctl.clock import Clock
from gpuctl.domain.duration import exact
from gpuctl.domain.instance import Instance, ProviderName
from gpuctl.errors import CredentialsError, GpuctlError
from gpuctl.platform import Platform, read_platform
from gpuctl.services.progress import Progress

if TYPE_CHECKING:
    from gpuctl.providers.base import Provider

# Below the first the computer's clock is used; above it the provider's, and above the second that is reported.
TRUSTED_SKEW = timedelta(seconds=10)
MAX_SKEW = timedelta(seconds=120)
SIGNED_WITHIN = timedelta(minutes=5)

OpenProvider = Callable[[ProviderName, str | None], "Provider"]


@dataclass(frozen=True, slots=True)
class Login:
    """The login some places need. `account` is None where it is whatever the ambient login turns out to be."""

    provider: ProviderName
    profile: str | None
    account: str | None

    @property
    def label(self) -> str:
        """Provider and account, for messages."""
        return f"{self.provider} {self.account}" if self.account else str(self.provider)


@dataclass(frozen=True, slots=True)
class Session:
    """Credentials whose account was verified.

    `_anchor` is the provider's time at that moment, None if the reply carried no date; since then time is counted by a
    monotonic clock, so that a jump of the computer's clock terminates nothing.
    """

    provider: "Provider"
    account: str
    profile: str | None
    clock: Clock
    _anchor: datetime | None
    _asked_at: timedelta

    @property
    def checked_now(self) -> datetime | None:
        """The present instant, if the cloud's own clock confirmed ours or replaced it; None where it could not."""
        return None if self._anchor is None else self._anchor + (self.clock.elapsed() - self._asked_at)

    @property
    def now(self) -> datetime:
        """The present instant as well as it is known."""
        return self.checked_now or self.clock.now()


class Sessions:
    """Opens logins when they are first needed and asks each once whose it is."""

    def __init__(
        self,
        open_provider: OpenProvider,
        clock: Clock,
        progress: Progress,
        read_platform: Callable[[], Platform] = read_platform,
    ) -> None:
        self._read_platform = read_platform
        self._open_provider = open_provider
        self._clock = clock
        self._progress = progress
        self._providers: dict[tuple[ProviderName, str | None], Provider] = {}
        self._open: dict[tuple[ProviderName, str | None], Session] = {}
        self._skew_reported = False

    def provider(self, name: ProviderName, profile: str | None) -> "Provider":
        """The cloud by that profile, without asking it anything. Raises UsageError where it is not supported."""
        key = (name, profile)
        if key not in self._providers:
            self._providers[key] = self._open_provider(name, profile)
        return self._providers[key]

    def open(self, name: ProviderName, profile: str | None) -> Session:
        """The login by that profile, or the ambient one. Raises what opening it or asking whose it is raises."""
        key = (name, profile)
        if key not in self._open:
            self._open[key] = self._checked(self.provider(name, profile))
        return self._open[key]

    def of_account(self, name: ProviderName, account: str, profile: str | None) -> Session:
        """A session for that account: with the profile the record was created with, else with the ambient credentials.

        CredentialsError if neither belongs to it; the query's own error, if that is the reason.
        """
        failure: GpuctlError | None = None
        accounts = []
        for candidate in dict.fromkeys((profile, None)):
            try:
                session = self.open(name, candidate)
            except GpuctlError as error:
                failure = failure or error
                continue
            if session.account == account:
                return session
            accounts.append(session.account)
        if not accounts and failure:
            raise failure
        raise CredentialsError(
            f"these credentials belong to {name} account `{accounts[0]}`, not `{account}`",
            hint=f"use credentials of `{account}`" + (f", or fix the profile `{profile}`" if profile else ""),
        )

    def of(self, record: Instance) -> Session:
        """A login for the account the record names; raises as `of_account` does."""
        return self.of_account(record.provider, record.account, record.profile)

    def by(self, login: Login) -> Session:
        """The session for that login; raises as `open` and `of_account` do."""
        if login.account is None:
            return self.open(login.provider, login.profile)
        return self.of_account(login.provider, login.account, login.profile)

    def now_of(self, record: Instance) -> datetime:
        """The present instant by the session of the record's account if one is open, else by the computer's clock."""
        sessions = (session for session in self._open.values() if session.account == record.account)
        return next((session.now for session in sessions), self._clock.now())

    def _checked(self, provider: "Provider") -> Session:
        try:
            identity = provider.identity()
        except CredentialsError as error:
            wrong_clock = self._wrong_clock(error)
            if wrong_clock is None:
                raise
            raise wrong_clock from error
        here, elapsed = self._clock.now(), self._clock.elapsed()
        anchor = identity.cloud_time
        if anchor is not None and abs(anchor - here) <= TRUSTED_SKEW:
            anchor = here
        elif anchor is not None and abs(anchor - here) > MAX_SKEW and not self._skew_reported:
            self._skew_reported = True
            way = "ahead of" if here > anchor else "behind"
            self._progress.warn(
                f"the clock of this computer is {exact(abs(anchor - here))} {way} the provider's; using "
                "the provider's time"
            )
        return Session(provider, identity.account, provider.login, self._clock, anchor, elapsed)

    def _wrong_clock(self, error: CredentialsError) -> CredentialsError | None:
        """What is behind the refusal where our clock is minutes off: clouds refuse what was signed by such a one."""
        here, instant = self._clock.now(), error.cloud_time
        if instant is None or abs(instant - here) <= SIGNED_WITHIN:
            return None
        way = "ahead of" if here > instant else "behind"
        return CredentialsError(
            (
                f"the clock of this computer is {exact(abs(instant - here))} {way} the provider's, which "
                "rejects its signatures"
            ),
            hint=f"set the clock: {self._read_platform().set_clock}",
            cloud_time=instant,
        )
