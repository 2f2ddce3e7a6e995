"""Measures a state in a file, in PostgreSQL and in DynamoDB against each other, as ratios within one run.

The server of PostgreSQL is a real one, started here. DynamoDB is moto's, in this process and one request at a time: its
commits a second are those of the emulator, and say nothing of AWS. Nothing here is a test.
"""

import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "scripts")]

from support.dynamodb import DynamoServer  # noqa: E402
from support.forks import forked  # noqa: E402
from support.postgres import MISSING, POSTGRES, PostgresServer  # noqa: E402

from bench import GPUCTL, HELLO, Cost, a_record, an_ended_record, bare_environment, measured  # noqa: E402
from gpuctl.clock import SystemClock  # noqa: E402
from gpuctl.domain.market.request import MAX_COUNT  # noqa: E402
from gpuctl.sandbox import ensure, stop  # noqa: E402
from gpuctl.store.base import State  # noqa: E402
from gpuctl.store.dynamodb import items  # noqa: E402
from gpuctl.store.kind import StateKind  # noqa: E402
from gpuctl.store.opening import Surroundings  # noqa: E402
from gpuctl.store.registry import open_store  # noqa: E402
from gpuctl.store.shared.bodies import body_of, ended_at  # noqa: E402

ACTIVE, ENDED = 100, 100_000
WRITERS, COMMITS, ROUNDS = (1, 4, 16), 96, 3


@dataclass
class Store:
    """One place for states: the URL of a new one, what fills the archive of one, and what leads a process there."""

    name: str
    new_url: Callable[[], str]
    fill: Callable[[str], None]
    environ: Mapping[str, str] = field(default_factory=dict)

    def open(self, url: str, kind: StateKind = StateKind.REAL) -> State:
        return open_store(url, kind=kind, clock=SystemClock(), surroundings=Surroundings(environ=os.environ))

    def started(self, kind: StateKind = StateKind.REAL, records: int = 0) -> str:
        """The URL of a new state with so many active records."""
        url = self.new_url()
        state = self.open(url, kind)
        state.admin.create()
        for first in range(0, records, MAX_COUNT):
            numbers = range(first, min(first + MAX_COUNT, records))
            state.records.add([a_record(f"inst-{number:012d}") for number in numbers], lambda present: None)
        return url


def main() -> None:
    with tempfile.TemporaryDirectory() as folder, _stores(Path(folder)) as stores:
        for store in stores:
            os.environ.update(store.environ)
        environment = {**bare_environment(), "HOME": folder, "XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": folder}
        for store in stores:
            environment |= store.environ
        listing(Path(folder), stores, environment)
        provisioning(Path(folder), stores, environment)
        committing(stores)


def listing(home: Path, stores: list[Store], environment: Mapping[str, str]) -> None:
    """`list` over active records, without history and with a long one."""
    hello = home / "hello.py"
    hello.write_text(HELLO)
    commands = {"hello": [sys.executable, str(hello), "hello"]}
    for store in stores:
        lean, full = store.started(records=ACTIVE), store.started(records=ACTIVE)
        store.fill(full)
        for name, url in (("lean", lean), ("full", full)):
            commands[f"{store.name} {name}"] = [*GPUCTL, "--state", url, "list", "-o", "json"]
    costs = measured(commands, environment)
    print(f"list -o json with {ACTIVE} active records, CPU of the client")
    for store in stores:
        lean, full = costs[f"{store.name} lean"], costs[f"{store.name} full"]
        print(
            f"  {store.name:<11} {_ratio(lean, costs['hello'])} of a two-command Typer program, "
            f"{_ratio(lean, costs[f'{stores[0].name} lean'])} of a file; "
            f"with {ENDED:,} ended records {_ratio(full, lean)} of none   goal: 1.2x of none"
        )


def provisioning(home: Path, stores: list[Store], environment: Mapping[str, str]) -> None:
    """`provision --no-wait` in the sandbox, whose calls are the same for every store."""
    folder = home / "gpuctl" / "sandbox"
    ensure(folder)
    try:
        urls = {store.name: store.started(StateKind.SANDBOX) for store in stores}
        argv = ["provision", "g4dn.xlarge", "--region", "us-east-1", "--no-wait", "-o", "json"]
        commands = {name: [*GPUCTL, "--sandbox", "--state", url, *argv] for name, url in urls.items()}
        costs = measured(commands, environment)
    finally:
        stop(folder)
    print("provision --no-wait in the sandbox, CPU of the client")
    for name, cost in costs.items():
        print(f"  {name:<11} {_ratio(cost, costs[stores[0].name])} of a file")


def committing(stores: list[Store]) -> None:
    """Commits a second of processes that each change a record of their own."""
    rates: dict[tuple[str, int], list[float]] = {}
    for _ in range(ROUNDS):
        for store in stores:
            for writers in WRITERS:
                rates.setdefault((store.name, writers), []).append(_rate(store, writers))
    base = statistics.median(rates[(stores[0].name, 1)])
    print("commits a second, of one writer to a file = 1.00x")
    for store in stores:
        figures = (
            f"{writers} writers {statistics.median(rates[(store.name, writers)]) / base:5.2f}x" for writers in WRITERS
        )
        print(f"  {store.name:<11} {', '.join(figures)}".replace("1 writers", "1 writer"))


def _rate(store: Store, writers: int) -> float:
    url = store.started(records=max(WRITERS))
    gate, opened = os.pipe()
    pids = [forked(partial(_write, store, url, number, COMMITS // writers, gate, opened)) for number in range(writers)]
    os.close(gate)
    began = time.monotonic()
    # Whoever reads from it is let go when the last writing end is closed.
    os.close(opened)
    failed = [pid for pid in pids if os.waitpid(pid, 0)[1]]
    took = time.monotonic() - began
    if failed:
        raise SystemExit(f"{len(failed)} of {writers} writers to {store.name} failed")
    return COMMITS / took


def _write(store: Store, url: str, number: int, commits: int, gate: int, opened: int) -> None:
    records = store.open(url).records
    records.snapshot()
    os.close(opened)
    os.read(gate, 1)
    for count in range(commits):
        records.update(f"inst-{number:012d}", lambda record, count=count: record.with_fields(task=str(count)))


@contextmanager
def _stores(folder: Path) -> Iterator[list[Store]]:
    names = iter(range(1_000_000))
    stores = [Store("file", lambda: str(folder / f"f{next(names)}" / "state.json"), _fill_file)]
    server = PostgresServer(settings={"fsync": "on"}) if POSTGRES else None
    if server is None:
        print(f"PostgreSQL: {MISSING}", file=sys.stderr)
    else:
        stores.append(Store("PostgreSQL", lambda: server.url(server.new_schema()), partial(_fill_postgres, server)))
    emulated = DynamoServer()
    stores.append(
        Store(
            "DynamoDB",
            lambda: f"dynamodb://bench{next(names)}?region=us-east-1",
            _fill_dynamodb,
            {name: value for name, value in emulated.environ.items() if name.startswith("AWS_")},
        )
    )
    try:
        yield stores
    finally:
        emulated.stop()
        if server is not None:
            server.stop()


def _history() -> Iterator[tuple[str, str]]:
    """ID and body of so many ended records."""
    body = body_of(an_ended_record("inst-xxxxxxxxxxxx"))
    for number in range(ENDED):
        yield f"inst-h{number:011d}", body.replace("inst-xxxxxxxxxxxx", f"inst-h{number:011d}")


def _fill_file(url: str) -> None:
    archive = Path(f"{url}.archive")
    archive.mkdir(mode=0o700)
    with (archive / "2026-10.jsonl").open("w") as file:
        file.writelines(f"{body}\n" for _, body in _history())


def _fill_postgres(server: PostgresServer, url: str) -> None:
    import psycopg

    at = ended_at(an_ended_record("inst-xxxxxxxxxxxx"))
    with psycopg.connect(url) as connection, connection.cursor() as cursor:
        with cursor.copy("COPY gpuctl_archive (id, ended_at, body) FROM STDIN") as rows:
            for record_id, body in _history():
                rows.write_row((record_id, at, body))
        cursor.execute("ANALYZE")


def _fill_dynamodb(url: str) -> None:
    """Past the API, whose emulator takes minutes for as many items."""
    from moto.core import DEFAULT_ACCOUNT_ID
    from moto.dynamodb.models import dynamodb_backends

    table = url.removeprefix("dynamodb://").partition("?")[0]
    backend = dynamodb_backends[DEFAULT_ACCOUNT_ID]["us-east-1"]
    record = an_ended_record("inst-xxxxxxxxxxxx")
    template = json.dumps(items.archive_items(record))
    for record_id, _ in _history():
        for item in json.loads(template.replace(record.id, record_id)):
            backend.put_item(table, item)


def _ratio(cost: Cost, base: Cost) -> str:
    return f"{cost.cpu_ms / base.cpu_ms:5.2f}x"


if __name__ == "__main__":
    main()
