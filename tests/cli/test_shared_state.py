"""Whole commands on a state in PostgreSQL, as several people on several computers run them."""

import json
import signal
from pathlib import Path

import pytest
from support.cli import Operator
from support.postgres import PostgresServer

from gpuctl.store.shared.admin import SharedAdmin


@pytest.fixture
def team(operator: Operator, url: str, tmp_path: Path) -> Operator:
    """An operator whose state is initialized, and nobody else's yet."""
    operator.environ |= {"GPUCTL_STATE": url, "HOME": str(tmp_path)}
    assert operator.run("state", "init").code == 0
    return operator


def elsewhere(team: Operator, folder: Path) -> Operator:
    """The same person on another computer."""
    other = Operator(team.folder, team.cloud, team.wire, team.clock)
    other.environ = team.environ | {"XDG_STATE_HOME": str(folder), "HOME": str(folder)}
    return other


def test_one_list_one_budget_and_one_reaper_for_everybody(team: Operator, tmp_path: Path) -> None:
    bob = elsewhere(team, tmp_path / "bob")
    team.environ["GPUCTL_BUDGET_DAILY_USD"] = bob.environ["GPUCTL_BUDGET_DAILY_USD"] = "0.8"
    instance = team.provision("--ttl", "60m").instance
    assert [shape["id"] for shape in bob.json("list").json["instances"]] == [instance["id"]]
    refused = bob.provision("--ttl", "60m")
    assert (refused.code, refused.json["error"]["code"]) == (7, "budget")
    team.later(minutes=61)
    reaped = bob.json("reap")
    assert [action["action"] for action in reaped.json["actions"]] == ["terminate"]
    assert team.active == []
    team.later(minutes=2)
    assert bob.json("reap").code == 0
    assert team.json("get", instance["id"]).instance["status"] == "TERMINATED"


def test_a_hook_of_the_team_receives_each_termination_once_whoever_reaps(team: Operator, tmp_path: Path) -> None:
    delivered = tmp_path / "delivered"
    team.environ["GPUCTL_HOOKS_TERMINATED"] = f"tee -a {delivered}"
    bob = elsewhere(team, tmp_path / "bob")
    machine = team.provision("--ttl", "5m").instance
    team.later(minutes=6)
    for reaper in (team, bob, team, bob):
        assert reaper.json("reap").code == 0
        team.later(minutes=2)
    events = [json.loads(line) for line in delivered.read_text().splitlines()]
    assert [event["instance"]["id"] for event in events] == [machine["id"]]


def test_the_service_file_of_libpq_leads_to_the_state_and_its_password_is_not_shown(
    team: Operator, postgres: PostgresServer, schema: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    services = tmp_path / "services.conf"
    options = f"host={postgres.folder}\nuser=owner\ndbname=postgres\noptions=-csearch_path={schema}\n"
    services.write_text(f"[team]\n{options}password=hunter2-very-secret\n")
    monkeypatch.setenv("PGSERVICEFILE", str(services))
    shown = team.json("--state", "postgresql://?service=team", "state", "show")
    assert shown.json["state"]["id"] == team.json("state", "show").json["state"]["id"]
    assert "hunter2" not in f"{shown.out}{shown.err}"


def test_without_initialization_every_command_names_it(operator: Operator, url: str) -> None:
    for argv in (
        ["list"],
        ["provision", "g4dn.xlarge", "--region", "us-east-1"],
        ["reap"],
        ["stats"],
        ["state", "show"],
    ):
        ran = operator.run("--state", url, *argv, "-o", "json")
        assert (ran.code, ran.json["error"]["code"]) == (9, "state_unusable"), argv
        assert "state init" in ran.json["error"]["hint"]
    assert operator.active == []


def test_state_show_init_and_export(team: Operator) -> None:
    again = team.json("state", "init")
    assert again.code == 0
    instance = team.provision().instance
    shown = team.json("state", "show").json["state"]
    assert set(shown) == {"location", "id", "kind", "format", "serial", "records", "archived", "movedTo"}
    assert (shown["id"], shown["records"], shown["archived"]) == (again.json["state"]["id"], 1, 0)
    assert shown["movedTo"] is None
    team.json("terminate", instance["id"])
    team.later(days=9)
    team.run("reap", "--sweep")
    lines = team.run("state", "export").out.splitlines()
    assert [json.loads(line)["id"] for line in lines] == [instance["id"]]
    assert team.json("state", "show").json["state"]["archived"] == 1


def test_no_command_prints_the_password(team: Operator, url: str) -> None:
    secret = "hunter2-very-secret"
    named = url.replace("owner@", f"owner:{secret}@")
    for argv in (["state", "show"], ["list"], ["doctor"], ["config", "show"], ["state", "move", "--to", named]):
        for output in ("json", "table"):
            ran = team.run("--state", named, *argv, "-o", output, environ={"GPUCTL_STATE": named})
            assert secret not in f"{ran.out}{ran.err}", argv
    unreachable = f"postgresql://ana:{secret}@127.0.0.1:1/x?password={secret}"
    for argv in (["list"], ["terminate", "--all", "--yes"], ["bogus"], ["schedule", "install"]):
        ran = team.run("--state", unreachable, *argv)
        assert ran.code != 0
        assert secret not in f"{ran.out}{ran.err}", argv


def test_a_moved_state_refuses_and_says_where_it_went(team: Operator, url: str, tmp_path: Path) -> None:
    instance = team.provision("--ttl", "60m").instance
    target = str(tmp_path / "moved.json")
    moved = team.json("state", "move", "--to", target)
    assert moved.json["moved"] == {"records": 1, "archived": 0, "from": moved.json["moved"]["from"], "to": target}
    for argv in (
        ["provision", "g4dn.xlarge", "--region", "us-east-1"],
        ["reap"],
        ["extend", instance["id"], "--by", "10m"],
        ["pool", "scale"],
    ):
        ran = team.json(*argv)
        assert (ran.code, ran.json["error"]["code"]) == (9, "state_unusable"), argv
        assert target in ran.json["error"]["message"]
    for argv in (["list"], ["stats"]):
        ran = team.run(*argv)
        assert (ran.code, f"this state was moved, and shows what was true before: use --state {target}" in ran.err) == (
            0,
            True,
        )
    check = next(item for item in team.json("doctor").json["checks"] if item["check"] == "state")
    assert (check["status"], target in check["message"]) == ("fail", True)
    team.later(minutes=61)
    assert team.json("reap").code == 9
    assert len(team.active) == 1
    assert team.json("--state", target, "reap").code == 0
    assert team.active == []
    assert team.json("state", "show").json["state"]["movedTo"] == target


def test_a_file_moves_to_the_engine(operator: Operator, url: str, tmp_path: Path) -> None:
    operator.environ["HOME"] = str(tmp_path)
    instance = operator.provision().instance
    uninitialized = operator.json("state", "move", "--to", url)
    assert uninitialized.code == 9
    assert "state init" in uninitialized.json["error"]["hint"]
    assert operator.run("--state", url, "state", "init").code == 0
    assert operator.json("state", "move", "--to", url).code == 0
    assert operator.json("state", "move", "--to", url).code == 0
    assert operator.json("--state", url, "get", instance["id"]).instance["id"] == instance["id"]
    assert operator.json("list").json["count"] == 1
    assert operator.json("reap").code == 9


def test_a_state_that_was_lost_from_the_database_is_rebuilt_in_it(
    team: Operator, postgres: PostgresServer, url: str, schema: str
) -> None:
    machine = team.provision("--ttl", "60m").instance
    before = team.json("state", "show").json["state"]["id"]
    postgres.execute(url, f"DROP SCHEMA {schema} CASCADE", f"CREATE SCHEMA {schema}")
    assert team.json("provision", "g4dn.xlarge", "--region", "us-east-1").code == 9
    assert team.run("recover", "--yes").code == 0
    assert team.json("get", machine["id"]).instance["cloudInstanceId"] == machine["cloudInstanceId"]
    assert team.json("state", "show").json["state"]["id"] == before


def test_a_move_that_is_interrupted_is_completed_by_the_next_run(
    operator: Operator, url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    operator.environ["HOME"] = str(tmp_path)
    machine = operator.provision().instance
    assert operator.run("--state", url, "state", "init").code == 0
    with monkeypatch.context() as patch:
        patch.setattr(SharedAdmin, "finish_filling", lambda own, content: signal.raise_signal(signal.SIGINT))
        interrupted = operator.json("state", "move", "--to", url)
    assert (interrupted.code, interrupted.json["error"]["code"]) == (130, "interrupted")
    for state in (str(operator.state), url):
        refused = operator.json("--state", state, "extend", machine["id"], "--by", "5m")
        assert (refused.code, "state move --to" in f"{refused.json}" or url in f"{refused.json}") == (9, True)
    assert operator.json("state", "move", "--to", url).json["moved"]["records"] == 1
    assert operator.json("--state", url, "get", machine["id"]).instance["id"] == machine["id"]


def test_nothing_moves_onto_a_state_of_another_id(team: Operator, tmp_path: Path) -> None:
    team.provision()
    other = str(tmp_path / "other.json")
    assert team.json("--state", other, "provision", "g4dn.xlarge", "--region", "us-east-1").code == 0
    assert team.json("state", "move", "--to", other).code == 9
    assert team.json("list").json["count"] == 1


def test_while_the_engine_is_out_of_reach_nothing_is_created_and_expired_instances_are_terminated_by_tag(
    team: Operator, postgres: PostgresServer
) -> None:
    instance = team.provision("--ttl", "30m").instance
    other = team.provision("--ttl", "30m").instance
    postgres.kill()
    try:
        created = team.provision()
        error = created.json["error"]
        assert (created.code, error["code"], error["retryable"]) == (9, "state_unusable", True)
        assert str(postgres.folder) in error["message"]
        assert team.json("reap").code == 9
        assert len(team.active) == 2
        assert team.json("terminate", "inst-000000000000").code == 8
        named = team.json("terminate", other["id"])
        assert (named.code, named.json["actions"][0]["action"]) == (9, "terminate")
        assert team.active == [instance["cloudInstanceId"]]
        team.later(minutes=45)
        reaped = team.json("reap")
        assert reaped.code == 9
        assert [(action["id"], action["action"]) for action in reaped.json["actions"]] == [
            (instance["id"], "terminate")
        ]
        assert team.active == []
    finally:
        postgres.start()
    team.later(minutes=2)
    assert team.json("reap").code == 0
    assert team.json("get", instance["id"]).instance["status"] == "TERMINATED"


def test_the_config_names_the_state_and_a_schedule_gets_no_password(team: Operator, url: str, tmp_path: Path) -> None:
    folder = tmp_path / "gpuctl"
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(f'state = "{url}"\n')
    del team.environ["GPUCTL_STATE"]
    assert team.json("state", "show").json["state"]["location"].startswith("postgresql://")
    secret = url.replace("owner@", "owner:hunter2-very-secret@")
    refused = team.json("--state", secret, "schedule", "install")
    assert (refused.code, "pgpass" in refused.json["error"]["hint"]) == (2, True)
