"""Gates G1 to G5: a state in PostgreSQL under processes that race and die, a server that dies, and lost replies.

Each change puts a token of its own into the record, and counts how often it did. A token that was acknowledged and is
missing is a change that was lost; one that is counted twice was done twice.
"""

import atexit
import os
import random
import signal
import tempfile
from collections.abc import Callable, Sequence
from functools import cache, partial
from pathlib import Path

from faults.world import Score, broken
from support.forks import forked
from support.instances import an_instance
from support.postgres import MISSING, POSTGRES, PostgresServer
from support.postgres_proxy import CommitProxy, Loss

from gpuctl.clock import SystemClock
from gpuctl.domain.instance import Instance
from gpuctl.errors import BudgetError, StateLockedError, StateUnusableError
from gpuctl.store.base import RecordStore, State
from gpuctl.store.kind import StateKind
from gpuctl.store.opening import Surroundings
from gpuctl.store.registry import open_store

ONE = "inst-000000000001"


def missing() -> str | None:
    """Why this computer cannot run these gates; None where it can."""
    return None if POSTGRES else MISSING


def shared_changes(
    processes: int, each: int, rounds: int = 1, mutants: Sequence[str] = (), url: str | None = None
) -> Score:
    """G1: processes that change one record at once, in rounds until one shows a violation."""
    score = Score()
    for _ in range(rounds):
        location, folder = url or _new_state(), _folder()
        with broken(mutants):
            pids = [
                forked(_changing(location, folder / str(number), f"p{number}", each)) for number in range(processes)
            ]
            for pid in pids:
                os.waitpid(pid, 0)
        _judge(location, folder, score, expected=processes * each)
        if score.violations:
            break
    return score


def shared_budgets(
    rounds: int, processes: int, allowed: int, mutants: Sequence[str] = (), new_state: Callable[[], str] | None = None
) -> Score:
    """G2: processes that add at once more records than the `allowed` ones; a case is a round."""
    score = Score()
    with broken(mutants):
        for number in range(rounds):
            url = new_state() if new_state else _new_state(records=0)
            gate, opened = os.pipe()
            pids = [forked(partial(_spend, url, location, allowed, gate, opened)) for location in range(processes)]
            os.close(opened)
            for pid in pids:
                os.waitpid(pid, 0)
            os.close(gate)
            count = len(_opened(url).records.snapshot().records)
            score.add(f"round {number}", [] if count == allowed else [f"{count} records, {allowed} were allowed"])
    return score


def shared_client_kills(kills: int, processes: int, mutants: Sequence[str] = (), seed: int = 1) -> Score:
    """G3: processes that change one record are killed at random instants and replaced; a case is a kill."""
    url, folder, score, chance = _new_state(), _folder(), Score(), random.Random(seed)
    with broken(mutants):
        pids = {number: _writer(url, folder, number) for number in range(processes)}
        for number in range(kills):
            signal.sigtimedwait([], chance.uniform(0, 0.12))
            slot = chance.randrange(processes)
            os.kill(pids[slot], signal.SIGKILL)
            os.waitpid(pids[slot], 0)
            pids[slot] = _writer(url, folder, processes + number)
        for pid in pids.values():
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        _judge(url, folder, score)
    score.cases = kills
    return score


def shared_server_kills(kills: int, processes: int, mutants: Sequence[str] = (), seed: int = 1) -> Score:
    """G4: the server is killed while processes write, and started again; a case is a kill."""
    score, chance, folder = Score(), random.Random(seed), _folder()
    server = PostgresServer()
    try:
        url = _new_state(server)
        with broken(mutants):
            pids = [_writer(url, folder, number) for number in range(processes)]
            for _ in range(kills):
                signal.sigtimedwait([], chance.uniform(0.2, 1.0))
                server.kill()
                server.start()
            signal.sigtimedwait([], 1.0)
            for pid in pids:
                os.kill(pid, signal.SIGKILL)
                os.waitpid(pid, 0)
            _judge(url, folder, score)
    finally:
        server.stop()
    score.cases = kills
    return score


def shared_lost_replies(each: int, mutants: Sequence[str] = ()) -> Score:
    """G5: a commit is lost, or its reply, or it arrives late; a case is a change or an insert."""
    score, server = Score(), postgres_server()
    proxy = CommitProxy(server.folder)
    try:
        url = _new_state()
        state = _opened(url.replace(str(server.folder), str(proxy.folder)))
        with broken(mutants):
            for number in range(each):
                # A silent server is waited for in real time: its own tests do that, with short limits.
                for loss in (Loss.REPLY, Loss.REQUEST, Loss.LATE):
                    _lose(state, proxy, loss, f"t{number}{loss.name.lower()}", score)
        _doubled(_opened(url).records, score)
    finally:
        proxy.stop()
    return score


def _lose(state: State, proxy: CommitProxy, loss: Loss, token: str, score: Score) -> None:
    before = proxy.done
    proxy.lose(loss)
    try:
        state.records.update(ONE, _noting(token))
    except StateLockedError:
        score.add(f"change: {loss}", ["refused though nobody else writes"])
        return
    wrong = [] if proxy.done > before else ["nothing was lost"]
    signal.sigtimedwait([], 0.35 if loss is Loss.LATE else 0)
    count = state.records.snapshot().records[0].metadata.get(token)
    score.add(f"change: {loss}", wrong if count == "1" else [*wrong, f"done {count or 0} times"])
    proxy.lose(loss)
    record = an_instance(f"inst-{token:0>12}")
    try:
        state.records.add([record], _anyone)
    except ValueError:
        score.add(f"insert: {loss}", ["inserted twice"])
    else:
        signal.sigtimedwait([], 0.35 if loss is Loss.LATE else 0)
        present = [other.id for other in state.records.snapshot().records]
        score.add(f"insert: {loss}", [] if present.count(record.id) == 1 else ["not there"])


def _writer(url: str, folder: Path, number: int) -> int:
    return forked(_changing(url, folder / str(number), f"p{number}", None))


def _changing(url: str, path: Path, name: str, each: int | None) -> Callable[[], None]:
    """Work that changes the record so often (None: for ever) and writes down what was acknowledged."""

    def work() -> None:
        store, number = _opened(url).records, 0
        with path.open("a") as file:
            while each is None or number < each:
                token = f"{name}x{number}"
                number += 1
                try:
                    store.update(ONE, _noting(token))
                except (StateUnusableError, StateLockedError):
                    # Whatever became of it, it was not acknowledged.
                    signal.sigtimedwait([], 0.02)
                    continue
                file.write(f"{token}\n")
                file.flush()

    return work


def _noting(token: str) -> Callable[[Instance], Instance]:
    def note(record: Instance) -> Instance:
        count = int(record.metadata.get(token, "0")) + 1
        return record.with_fields(metadata={**record.metadata, token: str(count)})

    return note


def _spend(url: str, number: int, allowed: int, gate: int, opened: int) -> None:
    """Add a record if it is allowed. All begin when the other end of the pipe is closed everywhere."""
    records = _opened(url).records
    records.snapshot()
    os.close(opened)
    os.read(gate, 1)

    def guard(present: Sequence[Instance]) -> None:
        # Others decide in the meantime.
        signal.sigtimedwait([], 0.01)
        if len(present) >= allowed:
            raise BudgetError("no more records are allowed")

    try:
        records.add([an_instance(f"inst-{number:012}")], guard)
    except BudgetError:
        return


def _judge(url: str, folder: Path, score: Score, expected: int | None = None) -> None:
    records = _opened(url).records
    present = records.snapshot().records[0].metadata
    acknowledged = [line for path in folder.iterdir() for line in path.read_text().splitlines()]
    # The last line of a process that was killed may be cut.
    whole = [token for token in acknowledged if "x" in token]
    score.cases = len(whole)
    score.violations += [f"{token} was lost" for token in whole if token not in present and _is_whole(token, whole)]
    if expected is not None and len(whole) != expected:
        score.violations.append(f"{len(whole)} of {expected} were acknowledged")
    _doubled(records, score)


def _is_whole(token: str, others: Sequence[str]) -> bool:
    return not any(other != token and other.startswith(token) for other in others)


def _doubled(records: RecordStore, score: Score) -> None:
    present = next(record for record in records.snapshot().records if record.id == ONE).metadata
    score.violations += [f"{token} was done {count} times" for token, count in present.items() if count != "1"]


def _anyone(present: Sequence[Instance]) -> None:
    return None


def _opened(url: str) -> State:
    return open_store(url, kind=StateKind.REAL, clock=SystemClock(), surroundings=Surroundings(environ=os.environ))


def _new_state(server: PostgresServer | None = None, records: int = 1) -> str:
    server = server or postgres_server()
    url = server.url(server.new_schema())
    state = _opened(url)
    state.admin.create()
    if records:
        state.records.add([an_instance(ONE, metadata={})], _anyone)
    return url


def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="shared-"))


@cache
def postgres_server() -> PostgresServer:
    server, pid = PostgresServer(), os.getpid()
    # A process that was forked from this one must leave it alone.
    atexit.register(lambda: server.stop() if os.getpid() == pid else None)
    return server
