"""Gates A3, B1, D2 and D3: writers that die, race, and write onto failing disks; files that were altered."""

import errno
import os
import random
import shutil
import signal
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from faults.world import Score, broken
from support.disks import FailingDisk
from support.forks import forked
from support.instances import an_instance

from gpuctl.clock import SystemClock
from gpuctl.domain.instance import Instance
from gpuctl.errors import GpuctlError, StateLockedError, StateUnusableError
from gpuctl.files import Disk
from gpuctl.store.base import StateKind
from gpuctl.store.local.store import LocalStore

ONE = "inst-000000000001"


def state_kills(count: int, mutants: Sequence[str] = (), seed: int = 1) -> Score:
    """A3: a process that does nothing but write is killed at a random instant; all it acknowledged must stand."""
    score, chance = Score(), random.Random(seed)
    with _folder() as folder, broken(mutants):
        reported = folder / "acknowledged"
        reported.touch()
        # Large enough that a write takes a while.
        _opened(folder).add([an_instance(ONE, user="0"), *_ballast()], _anyone)
        spent = _span_of_a_write(folder)

        def write_for_ever() -> None:
            store = _opened(folder, SlowDisk())
            with reported.open("a") as file:
                while True:
                    record = store.update(ONE, lambda record: record.with_fields(user=str(int(record.user) + 1)))
                    file.write(f"{record.user}\n")
                    file.flush()

        for number in range(count):
            pid = forked(write_for_ever)
            signal.sigtimedwait([], chance.uniform(0, 3 * spent))
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            score.add(f"kill {number}", _judged(folder, reported))
            if score.violations:
                # What is unreadable once is unreadable ever after.
                break
    return score


def racing_writers(processes: int, each: int, mutants: Sequence[str] = ()) -> Score:
    """B1: processes that insert at once; a case is an insert, and every one that is not there afterwards is lost.

    One that was told to come back later, because the lock was busy for half a minute, comes back.
    """
    score = Score()
    with _folder() as folder, broken(mutants):
        _opened(folder).add([an_instance(ONE)], _anyone)

        def writer(number: int) -> Callable[[], None]:
            def insert() -> None:
                for count in range(each):
                    _insert(folder, an_instance(f"inst-w{number:03d}{count:08d}", user="w"))

            return insert

        for pid in [forked(writer(number)) for number in range(processes)]:
            os.waitpid(pid, 0)
        try:
            present = sum(record.user == "w" for record in _opened(folder).snapshot().records)
        except GpuctlError:
            present = 0
        score.cases = processes * each
        score.violations = [f"{score.cases - present} inserts lost"] * (score.cases - present)
    return score


def altered_files(count: int, mutants: Sequence[str] = (), seed: int = 1) -> Score:
    """D2: a state whose bytes were changed is refused, and what is refused is left as it is."""
    score, chance = Score(), random.Random(seed)
    with _folder() as folder, broken(mutants):
        _opened(folder).add([an_instance(ONE), an_instance("inst-000000000002")], _anyone)
        path = folder / "state.json"
        good = path.read_bytes()
        for number in range(count):
            altered = _altered(good, chance)
            path.write_bytes(altered)
            score.add(f"alteration {number}", _refused(folder, altered, good))
        path.write_bytes(good)
    return score


def full_disks(mutants: Sequence[str] = ()) -> Score:
    """D3: the disk fails at every operation of a write, with every error, and after every part of the file."""
    score = Score()
    places = [
        (number, step, False) for number in (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EDQUOT) for step in range(4)
    ]
    places += [(errno.ENOSPC, step, True) for step in range(1, 37)]
    for number, step, is_short in places:
        with _folder() as folder, broken(mutants):
            _opened(folder).add([an_instance(ONE)], _anyone)
            before = (folder / "state.json").read_bytes()
            wrong = []
            try:
                _opened(folder, FailingDisk(step, number, is_short=is_short)).add(
                    [an_instance("inst-000000000002")], _anyone
                )
            except StateUnusableError:
                wrong = [] if (folder / "state.json").read_bytes() == before else ["the old state changed"]
            else:
                wrong = _counted(folder, 2)
            score.add(f"{errno.errorcode[number]} at {step}", wrong)
    return score


class SlowDisk(Disk):
    """A disk that takes a little at a time, so that a kill falls between two pieces."""

    def write(self, descriptor: int, content: memoryview) -> int:
        return super().write(descriptor, content[:512])


@contextmanager
def _folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="gpuctl-state-"))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _opened(folder: Path, disk: Disk | None = None) -> LocalStore:
    return LocalStore(folder / "state.json", kind=StateKind.REAL, clock=SystemClock(), disk=disk)


def _anyone(present: object) -> None:
    return None


def _insert(folder: Path, record: Instance) -> None:
    while True:
        try:
            _opened(folder).add([record], _anyone)
        except StateLockedError:
            continue
        return


def _ballast() -> list:  # type: ignore[type-arg]
    return [an_instance(f"inst-00000000b{number:03d}") for number in range(150)]


def _span_of_a_write(folder: Path) -> float:
    """Seconds that one write takes here, so that the kills fall into some."""
    clock = SystemClock()
    started = clock.elapsed()
    for _ in range(5):
        _opened(folder, SlowDisk()).update(ONE, lambda record: record.with_fields(purpose=record.purpose + "."))
    return (clock.elapsed() - started).total_seconds() / 5


def _judged(folder: Path, path: Path) -> list[str]:
    lines = path.read_text().split()
    try:
        (record,) = [record for record in _opened(folder).snapshot().records if record.id == ONE]
    except (GpuctlError, ValueError) as error:
        return [f"unreadable: {error}"]
    return [] if int(record.user) >= int(lines[-1] if lines else 0) else ["an acknowledged write is lost"]


def _altered(good: bytes, chance: random.Random) -> bytes:
    start = chance.randrange(len(good))
    kind = chance.randrange(4)
    if kind == 0:
        return good[:start] + bytes([good[start] ^ (1 << chance.randrange(8))]) + good[start + 1 :]
    if kind == 1:
        return good[:start]
    if kind == 2:
        return good[:start] + chance.randbytes(chance.randrange(1, 40)) + good[start:]
    return good[:start] + good[min(len(good), start + chance.randrange(1, 40)) :]


def _refused(folder: Path, altered: bytes, good: bytes) -> list[str]:
    wrong = []
    try:
        _opened(folder).snapshot()
        wrong = ["taken for a state"] if altered != good else []
    except StateUnusableError:
        pass
    except Exception as error:  # what is not expected is what is counted here
        wrong = [f"traceback: {error!r}"]
    return wrong if (folder / "state.json").read_bytes() == altered else [*wrong, "overwritten"]


def _counted(folder: Path, expected: int) -> list[str]:
    try:
        actual = len(_opened(folder).snapshot().records)
    except GpuctlError as error:
        return [f"unreadable: {error.message}"]
    return [] if actual == expected else [f"{actual} records, not {expected}"]
