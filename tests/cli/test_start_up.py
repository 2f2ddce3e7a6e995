"""What the commands that run at every prompt and every minute load: each module below was seen to cost too much."""

import io
import json
import os
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
import typer.core
from support.instances import a_ready_instance
from support.pools import MINUTE, a_lease, a_leased_member, a_pool

from gpuctl.cli.main import main
from gpuctl.cli.terminal.streams import Streams
from gpuctl.clock import SystemClock
from gpuctl.domain.pools.events import PoolEvent, PoolEventName
from gpuctl.domain.reconcile.actions import scope_of
from gpuctl.store.base import StateKind
from gpuctl.store.local import open_state
from gpuctl.store.local.store import LocalStore
from gpuctl.store.reaper import ReapTimes, Sweep

HOUR = timedelta(hours=1)
# Neither an SDK nor HTTP and TLS, neither Rich nor the query engine of the store, which only writing needs.
NEVER = {
    "azure",
    "psycopg",
    "gpuctl.store.shared",
    "boto3",
    "botocore",
    "http.client",
    "moto",
    "rich",
    "ssl",
    "tinydb",
    "urllib.request",
}
NEVER |= {
    "gpuctl.catalog",
    "gpuctl.hooks",
    "gpuctl.providers.base",
    "gpuctl.sandbox",
    "gpuctl_sandbox",
    "gpuctl.wiring.hooks",
}
NOT_IN_LIST = {
    "gpuctl.config",
    "gpuctl.cli.commands.list.watch",
    "gpuctl.distribution",
    "gpuctl.domain.money.budget_check",
    "gpuctl.domain.market.offers",
    "gpuctl.domain.reconcile.plan",
    "gpuctl.domain.market.request",
    "gpuctl.domain.money.report",
    "gpuctl.remote",
    "gpuctl.services.reap.reaper",
}
NOT_IN_A_TICK = {
    "gpuctl.remote.line",
    "gpuctl.services.launch",
    "gpuctl.services.pools.carry_out",
    "gpuctl.services.reconcile",
    "google",
    "numpy",
}
_PROGRAM = """
import json, sys
from gpuctl.cli.main import main
code = main(sys.argv[1:])
print(json.dumps([code, sorted(sys.modules)]), file=sys.stderr)
"""


@pytest.fixture
def state(tmp_path: Path) -> Path:
    """A state with one live record, whose region was swept a moment ago."""
    # A real process has the real time.
    path, clock = tmp_path / "state.json", SystemClock()
    record = a_ready_instance(created_at=clock.now())
    LocalStore(path, kind=StateKind.REAL, clock=clock).add([record], lambda present: None)
    swept = Sweep(scope=scope_of(record), profile=record.profile, at=clock.now(), ours=1)
    open_state(str(path), kind=StateKind.REAL, clock=clock).reaper.update(lambda times: ReapTimes(sweeps=(swept,)))
    return path


def loaded(*argv: str, state: Path) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", _PROGRAM, *argv, "--state", str(state)],
        env={"PYTHONPATH": os.pathsep.join(sys.path), "PATH": "/usr/bin:/bin", "HOME": str(state.parent)},
        capture_output=True,
        text=True,
        check=True,
    )
    code, modules = json.loads(done.stderr.splitlines()[-1])
    assert code == 0, done.stderr
    return set(modules)


def test_a_list_loads_nothing_that_it_does_not_use(state: Path) -> None:
    assert loaded("list", "-o", "json", state=state) & (NEVER | NOT_IN_LIST) == set()


def test_an_idle_reap_loads_nothing_that_it_does_not_use(state: Path) -> None:
    assert loaded("reap", state=state) & NEVER == set()


def test_an_idle_tick_of_pools_loads_nothing_that_it_does_not_use(state: Path) -> None:
    clock = SystemClock()
    opened, now = open_state(str(state), kind=StateKind.REAL, clock=clock), clock.now()
    lease = a_lease(since=now - 5 * MINUTE)
    facts = {"created_at": now - 6 * MINUTE, "expires_at": lease.expires_at + 5 * MINUTE}
    opened.records.add([a_leased_member(2, lease, **facts)], lambda present: None)
    # A policy that looks at the whole history.
    opened.pools.change("train", lambda present: a_pool(policy="predict", created_at=now, updated_at=now))
    events = [
        PoolEvent(at=now - hours * HOUR, event=PoolEventName.LEASED, lease=f"lease-{hours}", until=now - hours * HOUR)
        for hours in range(100)
    ]
    opened.pools.append("train", events)
    assert loaded("pool", "scale", state=state) & (NEVER | NOT_IN_A_TICK) == set()
    assert json.loads(next(state.parent.rglob("train.json")).read_text())


def test_no_validator_is_built_for_an_option_that_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[str] = []
    real = typer.core.build_runtime_param

    def counted(descriptor: object) -> object:
        built.append(str(descriptor))
        return real(descriptor)  # type: ignore[arg-type]

    monkeypatch.setattr(typer.core, "build_runtime_param", counted)
    streams = Streams(io.StringIO(), io.StringIO(), io.StringIO())
    assert main(["list", "-o", "json", "--state", "/nowhere/state.json"], environ={}, streams=streams) in (0, 9)
    # Those of --output and --state, and the flag --help of the root and of the command.
    assert len(built) <= 4, built
