"""Budgets as an operator meets them: what is refused, what is warned of, and what the reaper ends."""

from datetime import timedelta

from support.cli import Operator

from gpuctl.domain.cost import by_deadline


def budget(operator: Operator, text: str) -> None:
    folder = operator.folder / "gpuctl"
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(f"[budget]\n{text}\n")


def statuses(operator: Operator) -> dict[str | None, str]:
    return {one.name: one.status.value for one in operator.records}


def deadline_on(operator: Operator, name: str) -> str:
    (record,) = (one for one in operator.records if one.name == name)
    (machine,) = (one for one in operator.cloud.machines() if one["id"] == record.cloud_id)
    return str(machine["tags"]["gpuctl-expires-at"])


def test_a_deadline_that_a_budget_has_no_room_for_stays_on_the_machine_and_in_the_record(operator: Operator) -> None:
    operator.provision("--name", "a", "--ttl", "60")
    before, tag = operator.records[0].expires_at, deadline_on(operator, "a")
    budget(operator, "daily_usd = 0.60")
    ran = operator.json("extend", "a", "--by", "30m")
    assert (ran.code, ran.json["error"]["code"], ran.json["error"]["retryable"]) == (7, "budget", False)
    assert ran.json["error"]["message"].startswith("over the budget of $0.60 a day: $0.0")
    assert (operator.records[0].expires_at, deadline_on(operator, "a")) == (before, tag)
    budget(operator, "daily_usd = 0.82")
    assert operator.run("extend", "a", "--by", "30m").code == 0
    assert operator.records[0].expires_at == before + timedelta(minutes=30)


def test_a_budget_that_only_warns_lets_a_deadline_move(operator: Operator) -> None:
    operator.provision("--name", "a", "--ttl", "60")
    budget(operator, 'daily_usd = 0.60\naction = "warn"')
    ran = operator.run("extend", "a", "--by", "30m")
    assert ran.code == 0
    assert "warning: over the budget of $0.60 a day: " in ran.err


def test_the_reaper_ends_the_newest_until_the_rest_fits(operator: Operator) -> None:
    for name in ("old", "middle", "new"):
        operator.provision("--name", name, "--ttl", "60")
        operator.later(minutes=1)
    budget(operator, 'daily_usd = 1.20\naction = "terminate"')
    planned = operator.json("reap", "--dry-run").json["actions"]
    assert [(one["action"], one["reason"]) for one in planned] == [("terminate", "budget")]
    assert statuses(operator) == {"old": "READY", "middle": "READY", "new": "READY"}
    ran = operator.run("reap", "--wait")
    assert (ran.code, ran.out.split()[1:3]) == (0, ["terminate", "budget"])
    assert statuses(operator) == {"old": "READY", "middle": "READY", "new": "TERMINATED"}
    assert operator.json("get", "new").instance["statusReason"] == "budget"
    assert operator.run("reap").out == ""
    assert len(operator.alive) == 2


def test_a_reaper_whose_budgets_only_block_ends_nothing_for_them(operator: Operator) -> None:
    operator.provision("--name", "a")
    budget(operator, "daily_usd = 0.01")
    operator.run("reap", "--sweep")
    assert statuses(operator) == {"a": "READY"}


def test_the_reaper_goes_by_the_clouds_clock_when_this_ones_is_wrong(operator: Operator) -> None:
    operator.provision("--name", "a", "--ttl", "120")
    whole_life = by_deadline(operator.records[0], operator.clock.now()).total
    assert whole_life is not None
    budget(operator, f'daily_usd = {whole_life + 1:.6f}\naction = "terminate"')
    operator.skew = timedelta(days=2)
    operator.later(days=2)
    ran = operator.run("reap")
    assert "using the cloud's" in ran.err
    assert statuses(operator) == {"a": "READY"}


def test_another_states_machine_is_never_ended_for_a_budget(operator: Operator) -> None:
    other = operator.cloud.launch(
        tags={
            "gpuctl-id": "inst-zzzzzzzzzzzz",
            "gpuctl-state": "somebody-else",
            "gpuctl-expires-at": "20991231t000000z",
        }
    )
    operator.provision("--name", "a")
    budget(operator, 'daily_usd = 0.01\naction = "terminate"')
    operator.run("reap", "--sweep", "--wait")
    assert statuses(operator) == {"a": "TERMINATED"}
    assert operator.alive == [other]
