"""The reaper as a function: a whole run on a state in DynamoDB, without the command line."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from support.cli import Operator
from support.clock import FakeClock
from support.dynamodb import DynamoServer
from support.wire import refuse

from gpuctl.function import ReapFailedError, handler, main, platform_name_of, reap_once
from gpuctl.store.dynamodb import open_state
from gpuctl.store.kind import StateKind
from gpuctl.store.lease import LeaseName, leased
from gpuctl.store.opening import Surroundings

LAMBDA = {"AWS_LAMBDA_FUNCTION_NAME": "gpuctl-reaper"}


@pytest.fixture(scope="module")
def served_table() -> Iterator[DynamoServer]:
    server = DynamoServer()
    yield server
    server.stop()


@pytest.fixture
def team(operator: Operator, served_table: DynamoServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """Somebody whose state is in DynamoDB."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", served_table.url)
    served_table.now = operator.clock.now
    table = f"t{tmp_path.name.encode().hex()[-40:]}"
    operator.environ["GPUCTL_STATE"] = f"dynamodb://{table}?region=us-east-1"
    assert operator.run("state", "init").code == 0
    return operator


def environ_of(team: Operator, folder: Path) -> dict[str, str]:
    """The environment of the function: nothing of the person's but the address of the state."""
    clouds = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    return {**clouds, **LAMBDA, "GPUCTL_STATE": team.environ["GPUCTL_STATE"], "XDG_STATE_HOME": str(folder / "lambda")}


def test_a_run_terminates_what_is_past_its_deadline_and_is_seen_by_get_and_doctor(
    team: Operator, tmp_path: Path
) -> None:
    expired = team.provision("--ttl", "5").instance
    active = team.provision("--ttl", "60").instance
    team.later(minutes=6)

    outcome = reap_once(environ_of(team, tmp_path), team.clock)

    assert (outcome.failure, outcome.exit_code) == (None, 0)
    assert outcome.document["success"] is True and outcome.document["dryRun"] is False
    assert expired["id"] in [action["id"] for action in outcome.document["actions"] if action["action"] == "terminate"]
    assert team.active == [active["cloudInstanceId"]]
    team.later(seconds=20)
    safeguards = {each["mechanism"]: each for each in team.json("get", active["id"]).instance["safeguards"]}
    assert safeguards["reaper"]["detail"].startswith("seen running in aws-lambda 20s ago")
    checks = {check["check"]: check for check in team.json("doctor", "--region", "us-east-1").json["checks"]}
    assert checks["schedule"]["status"] == "ok"
    assert checks["schedule"]["message"] == "reaper: seen running in aws-lambda 20s ago"
    assert "in aws-lambda" in team.run("schedule", "status", terminal=True).out
    team.later(minutes=20)
    checks = {check["check"]: check for check in team.json("doctor", "--region", "us-east-1").json["checks"]}
    assert checks["schedule"]["status"] == "warn"
    assert checks["schedule"]["message"].startswith("the reaper in aws-lambda last ran 20m ago")


def test_what_stays_unresolved_is_in_the_document_and_fails_the_run(team: Operator, tmp_path: Path) -> None:
    team.provision("--ttl", "5")
    team.later(minutes=6)
    team.wire.arm("TerminateInstances", refuse("UnauthorizedOperation", 403))
    outcome = reap_once(environ_of(team, tmp_path), team.clock)
    assert outcome.exit_code == 8 and outcome.failure is not None
    assert outcome.document["success"] is False
    assert outcome.document["error"]["code"] == "unresolved"
    assert outcome.document["count"] == len(outcome.document["actions"]) > 0
    team.later(seconds=20)
    checks = {check["check"]: check for check in team.json("doctor", "--region", "us-east-1").json["checks"]}
    assert (checks["schedule"]["status"], "with exit code 8" in checks["schedule"]["message"]) == ("warn", True)


def test_a_run_beside_another_one_does_nothing(team: Operator, tmp_path: Path) -> None:
    team.provision("--ttl", "5")
    team.later(minutes=6)
    url = team.environ["GPUCTL_STATE"]
    around = Surroundings(environ=environ_of(team, tmp_path))
    state = open_state(url, kind=StateKind.REAL, clock=team.clock, surroundings=around)
    with leased(state.leases, LeaseName.REAP, "a laptop", timedelta(minutes=5)):
        outcome = reap_once(environ_of(team, tmp_path), team.clock)
    assert (outcome.failure, outcome.document["count"], len(team.active)) == (None, 0, 1)


def test_out_of_reach_the_id_in_the_environment_terminates_by_tags(
    team: Operator, tmp_path: Path, served_table: DynamoServer
) -> None:
    team.provision("--ttl", "5")
    state_id = team.json("state", "show").json["state"]["id"]
    team.later(minutes=30)
    environ = environ_of(team, tmp_path) | {"GPUCTL_STATE_ID": state_id}
    environ["AWS_ENDPOINT_URL_DYNAMODB"] = "http://127.0.0.1:9"
    outcome = reap_once(environ, team.clock)
    assert (outcome.exit_code, team.active) == (9, [])
    assert outcome.document["error"]["retryable"] is True


@pytest.mark.parametrize("state", ["", "/tmp/state.json", "file:///tmp/state.json"])
def test_a_state_in_a_file_is_refused(
    state: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GPUCTL_STATE", state)
    with pytest.raises(ReapFailedError, match="GPUCTL_STATE must be the URL of a database") as caught:
        handler({}, None)
    assert caught.value.__cause__ is None
    printed = json.loads(capsys.readouterr().out)
    assert (printed["success"], printed["error"]["code"]) == (False, "usage")
    assert main() == 2
    out, err = capsys.readouterr()
    assert json.loads(out) == printed
    assert err.startswith("error: GPUCTL_STATE must be the URL of a database")


def test_a_table_that_is_not_initialized_is_named_and_a_password_is_not(team: Operator, tmp_path: Path) -> None:
    environ = environ_of(team, tmp_path)
    missing = reap_once({**environ, "GPUCTL_STATE": "dynamodb://nowhere?region=us-east-1"}, team.clock)
    assert missing.exit_code == 9 and "state init" in str(missing.document["error"]["hint"])
    secret = "a-long-secret-word"
    refused = reap_once({"GPUCTL_STATE": f"mysql://ana:{secret}@db/x"}, FakeClock())
    assert refused.exit_code == 2
    assert secret not in json.dumps(refused.document) + str(refused.failure)


def test_the_place_is_known_by_its_variable() -> None:
    assert platform_name_of(LAMBDA) == "aws-lambda"
    assert platform_name_of({"CLOUD_RUN_JOB": "reaper"}) == "cloud-run"
    assert platform_name_of({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}) == "kubernetes"
    assert platform_name_of({}) == "a container"


def test_the_function_imports_neither_the_command_line_nor_the_store_of_files() -> None:
    names = "('typer', 'rich', 'tinydb', 'gpuctl.cli')"
    program = f"import sys, gpuctl.function; print([name for name in {names} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
