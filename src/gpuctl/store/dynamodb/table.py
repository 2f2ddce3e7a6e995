"""One table of DynamoDB: its address, its client, and what its failures mean for a state."""

import os
import re
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from threading import RLock
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit

import boto3
from botocore.config import Config
from botocore.exceptions import (
    BotoCoreError,
    ClientError,
    ConnectionError,
    ConnectTimeoutError,
    HTTPClientError,
    NoRegionError,
    ProfileNotFound,
    ReadTimeoutError,
)

from gpuctl.clock import Clock
from gpuctl.domain.duration import as_typed
from gpuctl.errors import GpuctlError, StateAccessError, StateUnreachableError, StateUnusableError, UsageError
from gpuctl.store.shared.lost_reply import LostReplyError

Item = dict[str, Any]
_NAME = re.compile(r"[A-Za-z0-9_.-]{3,255}", re.ASCII)
_FORM = "--state 'dynamodb://TABLE?region=REGION'"
_NO_ACCESS = re.compile(
    r"AccessDenied|UnrecognizedClient|InvalidSignature|ExpiredToken|MissingAuthentication|IncompleteSignature|OptInRequired"
)
_BUSY = re.compile(
    r"Throttl|ProvisionedThroughputExceeded|RequestLimitExceeded|InternalServer|ServiceUnavailable"
    r"|TransactionConflict|ReplicatedWriteConflict"
)
_KNOWN = frozenset({"ResourceNotFoundException", "ConditionalCheckFailedException", "ResourceInUseException"})
_LOST_RACE = frozenset({"None", "ConditionalCheckFailed", "TransactionConflict", "ThrottlingError"})
_LOST_RACE |= {"ProvisionedThroughputExceeded", "DuplicateItem"}
_FIRST_PAUSE, _LONGEST_PAUSE = timedelta(milliseconds=100), timedelta(seconds=3)
_CREATED_WITHIN = timedelta(minutes=2)


@dataclass(frozen=True, slots=True)
class TableAddress:
    """The name of a table, its region, and the profile with the credentials; None for the ambient ones."""

    name: str
    region: str | None
    profile: str | None

    @property
    def location(self) -> str:
        """The URL that leads there."""
        query = {key: value for key, value in (("region", self.region), ("profile", self.profile)) if value}
        return f"dynamodb://{self.name}{'?' if query else ''}{urlencode(query)}"


def read_address(url: str) -> TableAddress:
    """The address in `dynamodb://TABLE?region=R&profile=P`. UsageError for any other form."""
    try:
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, strict_parsing=bool(parts.query)))
    except ValueError:
        raise UsageError("the URL of the state cannot be read", hint=_FORM) from None
    for name in sorted(set(query) - {"region", "profile"}):
        raise UsageError(f"the URL of the state has an unknown parameter {as_typed(name)}", hint=_FORM)
    if parts.path.strip("/") or parts.fragment or not _NAME.fullmatch(parts.netloc):
        raise UsageError("the URL of the state names no table", hint=_FORM)
    return TableAddress(parts.netloc, query.get("region"), query.get("profile"))


class DynamoTable:
    """Sends requests to one table. Making one connects to nothing. Threads take turns."""

    def __init__(self, address: TableAddress, environ: Mapping[str, str], clock: Clock) -> None:
        self.address = address
        self.patience = timedelta(seconds=30)
        self._environ = environ
        self._clock = clock
        self._lock = RLock()
        self._opened: tuple[tuple[int, float, int], Any] | None = None
        self._is_silent = False
        self._read_at: datetime | None = None

    @property
    def location(self) -> str:
        """The URL that leads there."""
        return self.address.location

    @property
    def limits(self) -> tuple[float, int]:
        """How many seconds a request may take, and how often it is sent: less after one that got no answer."""
        longest, attempts = (2.0, 1) if self._is_silent else (10.0, 3)
        return max(1.0, min(longest, self.patience.total_seconds())), attempts

    @property
    def read_at(self) -> datetime:
        """The time of the newest reply, by the clock of the engine."""
        return self._read_at or self._clock.now()

    def call(self, operation: str, **arguments: Any) -> Item:
        """The reply to that request. Raises ClientError for a code that `refused_as` knows, else a GpuctlError."""
        with self._lock:
            try:
                reply: Item = getattr(self._client(), operation)(TableName=self.address.name, **arguments)
            except (ClientError, BotoCoreError) as error:
                self._note_time(getattr(error, "response", None) or {})
                if refused_as(error) in _KNOWN:
                    raise
                raise self._translated(error) from error
            self._note_time(reply)
            return reply

    def transact(self, actions: Sequence[Item], token: str) -> bool:
        """Do all of these, or none: whether it was done. LostReplyError where that is unknown.

        The last action is the one that notes the token.
        """
        for action in actions:
            next(iter(action.values()))["TableName"] = self.address.name
        with self._lock:
            try:
                reply = self._client().transact_write_items(TransactItems=list(actions), ClientRequestToken=token)
            except ClientError as error:
                self._note_time(error.response)
                return self._is_done(error)
            except (HTTPClientError, ConnectionError) as error:
                # Even where the last send did not get through: an earlier one may have.
                self._is_silent = _is_silence(error)
                raise LostReplyError(str(error)) from error
            except BotoCoreError as error:
                raise self._translated(error) from error
            self._note_time(reply)
            return True

    def pages(self, operation: str, **arguments: Any) -> Iterator[Item]:
        """The replies to a query, page by page."""
        start: Item = {}
        while True:
            reply = self.call(operation, **arguments, **start)
            yield reply
            if "LastEvaluatedKey" not in reply:
                return
            start = {"ExclusiveStartKey": reply["LastEvaluatedKey"]}

    def batch(self, requests: Sequence[Item]) -> None:
        """Put and delete these without conditions, as often as it takes.

        StateUnreachableError where the table is so busy that some are not done although they were repeated for as long
        as this process has patience. Some may have been done then; all of them can be repeated.
        """
        for first in range(0, len(requests), 25):
            pending, pause = list(requests[first : first + 25]), _FIRST_PAUSE
            until = self._clock.elapsed() + self.patience
            while True:
                with self._lock:
                    try:
                        reply = self._client().batch_write_item(RequestItems={self.address.name: pending})
                    except (ClientError, BotoCoreError) as error:
                        raise self._translated(error) from error
                pending = reply.get("UnprocessedItems", {}).get(self.address.name, [])
                if not pending:
                    break
                if self._clock.elapsed() >= until:
                    raise StateUnreachableError(
                        f"the state `{self.location}` is throttled: {len(pending)} items were not written",
                        hint="run it again later",
                    )
                self._clock.sleep(pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    def wait_until_created(self) -> None:
        """Return when the table can be used. StateUnreachableError where that takes longer than two minutes."""
        until = self._clock.elapsed() + _CREATED_WITHIN
        while (status := self.call("describe_table")["Table"]["TableStatus"]) not in ("ACTIVE", "UPDATING"):
            if self._clock.elapsed() >= until:
                raise StateUnreachableError(
                    f"the table of the state `{self.location}` is not ready: its status is {status}",
                    hint=f"gpuctl --state {shlex.quote(self.location)} state init",
                )
            self._clock.sleep(timedelta(seconds=1))

    def _is_done(self, error: ClientError) -> bool:
        code = refused_as(error)
        if code != "TransactionCanceledException" and error.response.get("ResponseMetadata", {}).get("RetryAttempts"):
            # The SDK got this for a repetition: an earlier send may have been carried out.
            raise LostReplyError(str(error)) from error
        if code == "TransactionCanceledException":
            reasons = [reason.get("Code", "None") for reason in error.response.get("CancellationReasons", [])]
            if reasons and reasons[-1] == "ConditionalCheckFailed":
                # The token is there: an earlier send of this very request was carried out, or it was made void.
                raise LostReplyError(str(error)) from error
            if set(reasons) <= _LOST_RACE:
                return False
        if code == "TransactionInProgressException":
            # An earlier send of this very request is under way, and may still be carried out.
            raise LostReplyError(str(error)) from error
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0) >= 500:
            raise LostReplyError(str(error)) from error
        raise self._translated(error) from error

    def _client(self) -> Any:
        limit, attempts = self.limits
        key = (os.getpid(), limit, attempts)
        if self._opened is None or self._opened[0] != key:
            endpoint = self._environ.get("AWS_ENDPOINT_URL_DYNAMODB") or self._environ.get("AWS_ENDPOINT_URL")
            try:
                session = boto3.Session(profile_name=self.address.profile, region_name=self.address.region)
                client = session.client("dynamodb", endpoint_url=endpoint, config=_config(limit, attempts))
            except NoRegionError:
                raise UsageError("the URL of the state names no region", hint=_FORM) from None
            except ProfileNotFound as error:
                raise StateAccessError(
                    f"the state `{self.location}`: {error}", hint="aws configure list-profiles"
                ) from error
            except (BotoCoreError, ValueError) as error:
                raise UsageError(f"the state `{self.location}` cannot be opened: {error}", hint=_FORM) from error
            self._opened = (key, client)
        return self._opened[1]

    def _note_time(self, reply: Item) -> None:
        self._is_silent = self._is_silent and not reply
        date = reply.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
        try:
            at = parsedate_to_datetime(date) if date else None
        except ValueError:
            return
        if at is not None and at.tzinfo is not None:
            self._read_at = at

    def _translated(self, error: ClientError | BotoCoreError) -> GpuctlError:
        self._is_silent = _is_silence(error)
        return translated(error, self.location, self._opened[1].meta.endpoint_url if self._opened else "")


def _is_silence(error: Exception) -> bool:
    return isinstance(error, (ConnectTimeoutError, ReadTimeoutError))


def _config(limit: float, attempts: int) -> Config:
    retries = {"mode": "standard", "total_max_attempts": attempts}
    return Config(connect_timeout=limit, read_timeout=limit, retries=retries)


def refused_as(error: Exception) -> str:
    """The code of a refusal; empty where there was no readable reply."""
    return str(error.response.get("Error", {}).get("Code", "")) if isinstance(error, ClientError) else ""


def translated(error: ClientError | BotoCoreError, location: str, endpoint: str) -> GpuctlError:
    """What that failure means for a state. The SDK's or the service's own sentence is in the message."""
    code, text = refused_as(error), " ".join(str(error).split())
    host = urlsplit(endpoint).netloc or "DynamoDB"
    if _NO_ACCESS.search(code) or type(error).__name__ in ("NoCredentialsError", "CredentialRetrievalError"):
        return StateAccessError(
            f"the state `{location}` refuses access: {text}",
            hint="check the credentials, and see: gpuctl state init --print",
        )
    if isinstance(error, BotoCoreError) or _BUSY.search(code):
        return StateUnreachableError(
            f"the state `{location}` cannot be reached at `{host}`: {text}", hint="check the network, then run it again"
        )
    return StateUnusableError(
        f"the state `{location}` could not be used: {text}", hint=f"gpuctl --state {shlex.quote(location)} state show"
    )
