"""Measures gpuctl's speed against fixed points of comparison, as ratios within one run: instances differ, ratios less.

Prints one line a figure, with its goal. Nothing here is a test: shared instances are noisy.
"""

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import venv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

from gpuctl.clock import SystemClock
from gpuctl.domain.instance import Attempt, Instance, Market, Outcome, Price, ProviderName, Reason, Status
from gpuctl.domain.lifecycle import advance, provisioning
from gpuctl.domain.membership import Lease, Membership
from gpuctl.domain.pools.events import PoolEvent, PoolEventName
from gpuctl.domain.pools.spec import Pool, PoolOffer
from gpuctl.store.base import StateKind
from gpuctl.store.local import open_state
from gpuctl.store.local.store import LocalStore

ROUNDS = 15
GPUCTL = [sys.executable, "-m", "gpuctl"]
HELLO = """
import typer

app = typer.Typer()

@app.command()
def hello(name: str = "world") -> None:
    print(f"hello {name}")

@app.command()
def bye(name: str = "world") -> None:
    print(f"bye {name}")

app()
"""


@dataclass(frozen=True)
class Cost:
    """What one command used: CPU in milliseconds, peak memory in MiB; medians over the rounds."""

    cpu_ms: float
    peak_mib: float


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        environment = {**bare_environment(), "HOME": folder, "XDG_STATE_HOME": folder, "XDG_CONFIG_HOME": folder}
        start_up(home, environment)
        history(home, environment)
        idle_reap(home, environment)
        idle_tick(home, environment)
        five_hundred(home, environment)


def start_up(home: Path, environment: Mapping[str, str]) -> None:
    hello = home / "hello.py"
    hello.write_text(HELLO)
    state = home / "hundred" / "state.json"
    _store(state, StateKind.REAL).add([a_record(f"inst-{number:012d}") for number in range(100)], lambda present: None)
    commands = {
        "hello": [sys.executable, str(hello), "hello"],
        "list": [*GPUCTL, "list", "-o", "json", "--state", str(state)],
        "aws": [_aws(), "--version"],
    }
    costs = measured(commands, environment)
    print("list -o json with 100 records")
    for name, body in (("hello", "a two-command Typer program"), ("aws", "aws --version")):
        cpu, peak = costs["list"].cpu_ms / costs[name].cpu_ms, costs["list"].peak_mib / costs[name].peak_mib
        goal = "   goal: 1.2x and 1.2x" if name == "hello" else ""
        print(f"  {cpu:5.2f}x CPU {peak:6.2f}x peak memory   of {body}{goal}")
    print(f"  {costs['list'].cpu_ms:5.0f} ms CPU {costs['list'].peak_mib:4.0f} MiB peak")


def history(home: Path, environment: Mapping[str, str]) -> None:
    lean, full = home / "lean" / "state.json", home / "full" / "state.json"
    for state in (lean, full):
        _store(state, StateKind.REAL).add(
            [a_record(f"inst-{number:012d}") for number in range(100)], lambda present: None
        )
    archive = Path(f"{full}.archive")
    archive.mkdir(mode=0o700)
    line = an_ended_record("inst-xxxxxxxxxxxx").model_dump_json()
    with (archive / "2026-10.jsonl").open("w") as file:
        file.writelines(line.replace("inst-xxxxxxxxxxxx", f"inst-h{number:011d}") + "\n" for number in range(100_000))
    commands = {
        "lean": [*GPUCTL, "list", "-o", "json", "--state", str(lean)],
        "full": [*GPUCTL, "list", "-o", "json", "--state", str(full)],
    }
    costs = measured(commands, environment)
    print("the same list with 100,000 ended records in history")
    print(f"  {costs['full'].cpu_ms / costs['lean'].cpu_ms:5.2f}x CPU   of none   goal: 1.2x")


def idle_reap(home: Path, environment: Mapping[str, str]) -> None:
    state = home / "hundred" / "state.json"
    swept = {
        "sweeps": [
            {
                "scope": {"provider": "aws", "account": "123456789012", "region": "us-east-1"},
                "at": datetime.now(UTC).isoformat(),
                "ours": 100,
            }
        ]
    }
    Path(f"{state}.reap.json").write_text(json.dumps(swept))
    command = [*GPUCTL, "reap", "--state", str(state)]
    loaded = sorted(_modules(command, environment) & {"boto3", "botocore", "azure", "moto"})
    costs = measured({"reap": command, "hello": [sys.executable, str(home / "hello.py"), "hello"]}, environment)
    print("an idle reap over 100 live records")
    cpu, peak = costs["reap"].cpu_ms / costs["hello"].cpu_ms, costs["reap"].peak_mib / costs["hello"].peak_mib
    print(f"  {cpu:5.2f}x CPU {peak:6.2f}x peak memory   of the two-command Typer program   goal: 1.3x and 1.3x")
    print(f"  SDKs loaded: {', '.join(loaded) or 'none'}   goal: none")


def idle_tick(home: Path, environment: Mapping[str, str]) -> None:
    """A tick over ten pools of ten instances on lease, each with 200 leases in its history and a forecast."""
    state, now = home / "pools" / "state.json", datetime.now(UTC).replace(microsecond=0)
    pools = open_state(str(state), kind=StateKind.REAL, clock=SystemClock()).pools
    for number in range(10):
        name = f"pool-{number}"
        leases = [_lease(name, count, now) for count in range(10)]
        members = [
            a_record(f"inst-{number:06d}{count:06d}").with_fields(
                status=Status.RUNNING,
                expires_at=lease.expires_at + timedelta(minutes=5),
                pool=Membership(pool=name, leases=(lease,)),
            )
            for count, lease in enumerate(leases)
        ]
        _store(state, StateKind.REAL).add(members, lambda present: None)
        offer = PoolOffer(instance_type="g4dn.xlarge", region="us-east-1")
        pool = Pool(name=name, user="ana", offer=offer, max=10, policy="predict", created_at=now, updated_at=now)
        pools.change(name, lambda present, pool=pool: pool)  # type: ignore[misc]
        past = [now - timedelta(hours=hours) for hours in range(200)]
        pools.append(name, [PoolEvent(at=at, event=PoolEventName.LEASED, lease=f"{at}", until=at) for at in past])
    command = [*GPUCTL, "pool", "scale", "--state", str(state)]
    loaded = sorted(_modules(command, environment) & {"boto3", "botocore", "azure", "moto", "numpy"})
    costs = measured({"tick": command, "hello": [sys.executable, str(home / "hello.py"), "hello"]}, environment)
    print("an idle tick over 10 pools with 100 leased instances")
    cpu, peak = costs["tick"].cpu_ms / costs["hello"].cpu_ms, costs["tick"].peak_mib / costs["hello"].peak_mib
    print(f"  {cpu:5.2f}x CPU {peak:6.2f}x peak memory   of the two-command Typer program")
    print(f"  SDKs and numpy loaded: {', '.join(loaded) or 'none'}   goal: none")


def _lease(pool: str, number: int, now: datetime) -> Lease:
    expires_at = now + timedelta(minutes=30)
    return Lease(id=f"lease-{pool}-{number}", user="ana", purpose="p", since=now, expires_at=expires_at)


def _modules(command: Sequence[str], environment: Mapping[str, str]) -> set[str]:
    """The modules that the command loads."""
    traced = subprocess.run(
        [command[0], "-X", "importtime", *command[1:]],
        env=dict(environment),
        capture_output=True,
        text=True,
        check=True,
    )
    return {line.rpartition("|")[2].strip() for line in traced.stderr.splitlines()}


def five_hundred(home: Path, environment: Mapping[str, str]) -> None:
    """End 500 expired instances in two regions of the sandbox, and count the calls that the cloud served."""
    import boto3
    import botocore.config

    from gpuctl.sandbox import ensure, stop

    folder = home / "cloud"
    address = ensure(folder)
    try:
        state = home / "gpuctl" / "sandbox" / "bench" / "state.json"
        records = [a_record(f"inst-{number:012d}", region=_region(number), due=True) for number in range(500)]
        store = _store(state, StateKind.SANDBOX)
        state_id = store.add(records, lambda present: None).state_id
        clients = {
            region: boto3.client(
                "ec2",
                region_name=region,
                endpoint_url=address.url,
                aws_access_key_id="sandbox",
                aws_secret_access_key="sandbox",
                config=botocore.config.Config(proxies={}),
            )
            for region in ("us-east-1", "us-west-2")
        }
        for record in records:
            reply = clients[record.region].run_instances(
                ImageId="ami-12c6146b",
                InstanceType="g4dn.xlarge",
                MinCount=1,
                MaxCount=1,
                TagSpecifications=[{"ResourceType": "instance", "Tags": _tags(record, state_id or "")}],
            )
            cloud_id = reply["Instances"][0]["InstanceId"]
            store.update(
                record.id, lambda item, cloud_id=cloud_id: item.with_fields(cloud_id=cloud_id, id_is_from_create=True)
            )
        before = len(_asked(address.url, "/gpuctl-sandbox/calls"))
        command = [*GPUCTL, "--sandbox", "--state", str(state), "reap", "-o", "json"]
        shutil.copytree(folder, home / "gpuctl" / "sandbox", dirs_exist_ok=True)
        started = time.monotonic()
        done = subprocess.run(command, env=dict(environment), capture_output=True, text=True, check=False)
        took = time.monotonic() - started
        calls = len(_asked(address.url, "/gpuctl-sandbox/calls")) - before
        active = sum(
            item["state"] in ("pending", "running") for item in _asked(address.url, "/gpuctl-sandbox/instances")
        )
        print("ending 500 expired machines in 2 regions of the sandbox")
        print(f"  {calls:5d} API calls, {took:.1f} s, {active} active, exit {done.returncode}   goal: at most 12 calls")
    finally:
        stop(folder)


def measured(commands: Mapping[str, Sequence[str]], environment: Mapping[str, str]) -> dict[str, Cost]:
    """The median cost of each command; the rounds are interleaved so that a noisy moment hits all of them alike."""
    rounds: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            rounds[name].append(_once(command, environment))
    return {
        name: Cost(statistics.median(item.cpu_ms for item in every), statistics.median(item.peak_mib for item in every))
        for name, every in rounds.items()
    }


def a_record(record_id: str, *, region: str = "us-east-1", due: bool = False) -> Instance:
    now = datetime.now(UTC).replace(microsecond=0)
    born = now - timedelta(hours=2) if due else now
    attempt = Attempt(
        number=1,
        token=record_id,
        at=born,
        provider=ProviderName.AWS,
        region=region,
        instance_type="g4dn.xlarge",
        market=Market.ON_DEMAND,
        outcome=Outcome.CREATED,
    )
    record = Instance(
        id=record_id,
        user="bench",
        purpose="bench",
        provider=ProviderName.AWS,
        account="123456789012",
        region=region,
        instance_type="g4dn.xlarge",
        image="ami-12c6146b",
        disk_gb=100,
        ttl=timedelta(hours=1),
        max_ttl=timedelta(hours=2),
        expires_at=born + timedelta(hours=1),
        price=Price(usd_per_hour=Decimal("0.526"), source="bench", as_of=date(2026, 8, 20)),
        attempts=(attempt,),
        created_at=born,
        updated_at=born,
    )
    started = advance(provisioning(record), Status.CONFIGURING, born)
    return advance(started, Status.READY, born, launched_at=born)


def an_ended_record(record_id: str) -> Instance:
    record = a_record(record_id, due=True)
    stopping = advance(record, Status.STOPPING, record.expires_at, Reason.EXPIRED)
    return advance(stopping, Status.TERMINATED, record.expires_at, Reason.EXPIRED)


def _once(command: Sequence[str], environment: Mapping[str, str]) -> Cost:
    quiet = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0), (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0)]
    pid = os.posix_spawn(command[0], list(command), dict(environment), file_actions=quiet)
    _, status, used = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        raise SystemExit(f"{' '.join(command)} failed")
    return Cost((used.ru_utime + used.ru_stime) * 1000, used.ru_maxrss / 1024)


def _aws() -> str:
    """The AWS CLI: the one on PATH, else a fresh one in a venv of its own beside ours."""
    matches = shutil.which("aws")
    if matches:
        return matches
    home = Path(sys.prefix).parent / ".venv-bench"
    if not (home / "bin" / "aws").exists():
        print("installing the AWS CLI for comparison ...", file=sys.stderr)
        venv.create(home, with_pip=True)
        subprocess.run([home / "bin" / "python", "-m", "pip", "install", "--quiet", "awscli"], check=True)
    return str(home / "bin" / "aws")


def _store(state: Path, kind: StateKind) -> LocalStore:
    return LocalStore(state, kind=kind, clock=SystemClock())


def _region(number: int) -> str:
    return "us-east-1" if number % 2 else "us-west-2"


def _tags(record: Instance, state_id: str) -> list[dict[str, str]]:
    tags = {
        "gpuctl-id": record.id,
        "gpuctl-state": state_id,
        "gpuctl-owner": record.user,
        "gpuctl-expires-at": record.expires_at.strftime("%Y%m%dt%H%M%Sz"),
    }
    return [{"Key": key, "Value": value} for key, value in tags.items()]


def _asked(url: str, path: str) -> list[dict[str, str]]:
    from http.client import HTTPConnection

    connection = HTTPConnection(url.removeprefix("http://"), timeout=30)
    connection.request("GET", path)
    reply: list[dict[str, str]] = json.loads(connection.getresponse().read())
    return reply


def bare_environment() -> dict[str, str]:
    return {key: value for key, value in os.environ.items() if key in ("PATH", "LANG", "PYTHONPATH", "VIRTUAL_ENV")}


if __name__ == "__main__":
    main()
