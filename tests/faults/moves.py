"""Gate G9: moves of a state to DynamoDB and from it, in processes that die and in two processes at once."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

import pytest
from faults.world import Score, broken
from support.clock import FakeClock
from support.dynamodb import DynamoServer
from support.instances import NOON
from support.pools import THREE_IDS, filled

from gpuctl.errors import GpuctlError
from gpuctl.services.moving import move
from gpuctl.store.base import State
from gpuctl.store.kind import StateKind
from gpuctl.store.opening import Surroundings
from gpuctl.store.registry import open_store

ONE, TWO, THREE = THREE_IDS
_WRITES = ("PutItem", "BatchWriteItem", "TransactWriteItems")
_ENOUGH = 100
OVERTAKEN = "overtaken"
KINDS = ("before, to", "after, to", "before, from", "after, from", OVERTAKEN)


class Crash(BaseException):
    """The process ends here."""


def moves(steps: Sequence[int] = range(1, _ENOUGH), kinds: Sequence[str] = KINDS, mutants: Sequence[str] = ()) -> Score:
    """G9: a move that dies at each of these writes to DynamoDB, or is overtaken there by the same move.

    A case is one such move.
    """
    score = Score()
    with _Moves(mutants) as place:
        for number in steps:
            for kind in kinds:
                if kind == OVERTAKEN:
                    place.overtake(score, number)
                else:
                    place.crash(score, number, is_target="to" in kind, after="after" in kind)
            if number > place.longest:
                break
    return score


def everything(state: State) -> list[object]:
    """All that a move copies."""
    snapshot = state.records.snapshot()
    return [
        snapshot.state_id,
        list(snapshot.records),
        list(state.records.archived()),
        state.records.counts_from(),
        state.pools.read(),
        len(state.pools.history("train", NOON)),
        state.reaper.read().last_reap_at,
    ]


class _Moves:
    """A server, a folder, and the place in this process where every request passes."""

    def __init__(self, mutants: Sequence[str]) -> None:
        self._mutants = mutants
        self.longest = 0

    def __enter__(self) -> "_Moves":
        self._leaving = self._entered()
        next(self._leaving)
        return self

    def __exit__(self, *error: object) -> None:
        next(self._leaving, None)

    def _entered(self) -> Iterator[None]:
        server = DynamoServer()
        self._around = Surroundings(environ=server.environ)
        with TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch, broken(self._mutants):
            self._folder = Path(folder)
            for name, value in server.environ.items():
                patch.setenv(name, value)
            self._before = self._after = lambda: None
            self._intercept(patch)
            yield
        server.stop()

    def _intercept(self, patch: pytest.MonkeyPatch) -> None:
        from botocore.client import BaseClient

        send: Callable[..., Any] = BaseClient._make_api_call

        def intercepted(own: Any, operation: str, request: Any) -> Any:
            if operation in _WRITES:
                self._before()
            reply = send(own, operation, request)
            if operation in _WRITES:
                self._after()
            return reply

        patch.setattr(BaseClient, "_make_api_call", intercepted)

    @contextmanager
    def _at(self, number: int, happens: Callable[[], None], *, after: bool = False) -> Iterator[None]:
        """Let that happen before the n-th write, or after it."""
        count = 0

        def counted() -> None:
            nonlocal count
            count += 1
            self.longest = max(self.longest, count)
            if count == number:
                happens()

        silent = lambda: None  # noqa: E731 - two of these are swapped
        self._before, self._after = (silent, counted) if after else (counted, silent)
        try:
            yield
        finally:
            self._before = self._after = silent

    def _opened(self, url: str) -> State:
        return open_store(url, kind=StateKind.REAL, clock=FakeClock(), surroundings=self._around)

    def _places(self, *, is_target: bool) -> tuple[str, str]:
        """A filled source and an empty target, of which one is in DynamoDB."""
        table, file = f"dynamodb://t{uuid4().hex[:12]}?region=us-east-1", str(self._folder / f"{uuid4().hex}.json")
        self._opened(table).admin.create()
        source, target = (file, table) if is_target else (table, file)
        filled(self._opened(source))
        return source, target

    def crash(self, score: Score, number: int, *, is_target: bool, after: bool) -> None:
        """A move that dies at that write and is run again; in between somebody uses whatever can be used."""

        def die() -> None:
            raise Crash

        source, target = self._places(is_target=is_target)
        expected, wrong = everything(self._opened(source)), []
        with self._at(number, die, after=after), suppress(Crash):
            move(self._opened(source), self._opened(target))
        usable = sum(self._is_usable(url) for url in (source, target))
        if usable > 1:
            wrong.append("both states can be used")
        try:
            move(self._opened(source), self._opened(target))
            result = everything(self._opened(target))
        except GpuctlError as error:
            wrong.append(f"not completed: {error.message}")
        else:
            tasks = [record.task for record in self._opened(target).records.snapshot().records]
            if tasks != ["written" if usable else None, None]:
                wrong.append(f"a change was lost: {tasks}")
            wrong += [f"not copied: {was}" for was, now in zip(expected, result, strict=True) if was != now][1:]
            if expected[0] != result[0]:
                wrong.append("another ID")
        score.add(f"{number} {'after' if after else 'before'} to {target}", wrong)

    def overtake(self, score: Score, number: int) -> None:
        """A move that stops before that write until the same move is done elsewhere and the target was changed."""
        source, target = self._places(is_target=True)
        is_overtaken = False

        def overtaken() -> None:
            nonlocal is_overtaken
            self._before = lambda: None
            is_overtaken = True
            move(self._opened(source), self._opened(target))
            self._opened(target).records.update(TWO, lambda record: record.with_fields(task="written"))
            self._opened(target).pools.change("train", lambda pool: None)

        with self._at(number, overtaken), suppress(GpuctlError):
            move(self._opened(source), self._opened(target))
        tasks = [record.task for record in self._opened(target).records.snapshot().records]
        wrong = []
        if is_overtaken and (tasks != ["written", None] or self._opened(target).pools.read()):
            wrong.append("an older copy was written over the state")
        score.add(f"{number} overtaken", wrong)

    def _is_usable(self, url: str) -> bool:
        try:
            self._opened(url).records.update(TWO, lambda record: record.with_fields(task="written"))
        except GpuctlError:
            return False
        return True
