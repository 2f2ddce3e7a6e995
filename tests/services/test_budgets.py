"""Budgets as an operator meets them: what is refused, what is warned of, and what the reaper ends."""

from datetime import timedelta

from support.cli import Operator
from support.wire import refuse

from gpuctl.domain.money.cost import by_deadline


def budget(operator: Operator, text: str) -> None:
    folder = operator.folder / "gpuctl"
    folder.mkdir(exist_ok=True)
    (folder / "config.toml").write_text(f"[budget]\n{text}\n")


def statuses(operator: Operator) -> dict[str | None, str]:
    return {record.name: record.status.value for record in operator.records}


def deadline_on(operator: Operator, name: str) -> str:
    (record,) = (record for record in operator.records if record.name == name)
    (instance,) = (instance for instance in operator.cloud.instances() if instance["id"] == record.cloud_id)
    return str(instance["tags"]["gpuctl-expires-at"])


def test_a_deadline_that_exceeds_a_budget_is_changed_neither_at_the_provider_nor_in_the_record(
    operator: Operator,
) -> None:
    operator.provision("--name", "a", "--ttl", "60")
    before, tag = operator.records[0].expires_at, deadline_on(operator, "a")
    budget(operator, "daily_usd = 0.60")
    ran = operator.json("extend", "a", "--by", "30m")
    assert (ran.code, ran.json["error"]["code"], ran.json["error"]["retryable"]) == (7, "budget", False)
    assert ran.json["error"]["message"].startswith("budget of $0.60 a day exceeded: $0.0")
    assert (operator.records[0].expires_at, deadline_on(operator, "a")) == (before, tag)
    budget(operator, "daily_usd = 0.82")
    assert operator.run("extend", "a", "--by", "30m").code == 0
    assert operator.records[0].expires_at == before + timedelta(minutes=30)


def test_a_budget_that_only_warns_lets_a_deadline_move(operator: Operator) -> None:
    operator.provision("--name", "a", "--ttl", "60")
    budget(operator, 'daily_usd = 0.60\naction = "warn"')
    ran = operator.run("extend", "a", "--by", "30m")
    assert ran.code == 0
    assert "warning: budget of $0.60 a day exceeded: " in ran.err


def test_the_reaper_ends_the_newest_until_the_rest_fits(operator: Operator) -> None:
    for name in ("old", "middle", "new"):
        operator.provision("--name", name, "--ttl", "60")
        operator.later(minutes=1)
    budget(operator, 'daily_usd = 1.20\naction = "terminate"')
    planned = operator.json("reap", "--dry-run").json["actions"]
    assert [(item["action"], item["reason"]) for item in planned] == [("terminate", "budget")]
    assert statuses(operator) == {"old": "READY", "middle": "READY", "new": "READY"}
    ran = operator.run("reap", "--wait")
    assert (ran.code, ran.out.split()[1:3]) == (0, ["terminate", "budget"])
    assert statuses(operator) == {"old": "READY", "middle": "READY", "new": "TERMINATED"}
    assert operator.json("get", "new").instance["statusReason"] == "budget"
    assert operator.run("reap").out == ""
    assert len(operator.active) == 2


def test_a_reaper_whose_budgets_only_block_ends_nothing_for_them(operator: Operator) -> None:
    operator.provision("--name", "a")
    budget(operator, "daily_usd = 0.01")
    operator.run("reap", "--sweep")
    assert statuses(operator) == {"a": "READY"}


def test_the_reaper_goes_by_the_clouds_clock_when_this_ones_is_wrong(operator: Operator) -> None:
    operator.provision("--name", "short", "--ttl", "5")
    operator.provision("--name", "long", "--ttl", "120")
    whole_lives = sum(by_deadline(record, operator.clock.now()).total or 0 for record in operator.records)
    budget(operator, f'daily_usd = {whole_lives:.2f}\naction = "terminate"')
    # By this computer's clock the short one has cost an hour, and there is no room left for the long one.
    operator.skew = timedelta(hours=1)
    operator.later(hours=1)
    ran = operator.run("reap")
    assert "using the provider's time" in ran.err
    assert statuses(operator) == {"short": "READY", "long": "READY"}


def test_another_states_instance_is_never_terminated_for_a_budget(operator: Operator) -> None:
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
    assert operator.active == [other]


def test_doctor_shows_the_amount_and_limit_of_every_budget(operator: Operator) -> None:
    operator.provision("--name", "a", "--ttl", "60")
    budget(operator, "daily_usd = 0.50\nmonthly_usd = 50\n[budget.user.ana]\ndaily_usd = 0.60")
    document = [check for check in operator.json("doctor").json["checks"] if check["check"] == "budget"]
    assert [(item["status"], item["message"].split(":")[0]) for item in document] == [
        ("fail", "over $0.50 a day"),
        ("ok", "$50.00 a month"),
        ("warn", "$0.60 a day for user `ana`"),
    ]


FULL = refuse("InsufficientInstanceCapacity", 500)


def test_an_instance_that_exceeds_a_budget_is_refused_before_anything_is_written(operator: Operator) -> None:
    budget(operator, "daily_usd = 0.50")
    ran = operator.provision()
    assert (ran.code, ran.json["error"]["code"], ran.json["error"]["retryable"]) == (7, "budget", False)
    assert ran.json["error"]["message"] == (
        "budget of $0.50 a day exceeded: $0.00 spent + $0.00 committed + $0.54 requested = $0.55"
    )
    assert (operator.cloud.instances(), operator.state.exists()) == ([], False)
    assert operator.run("provision", "g4dn.xlarge", "--region", "us-east-1", "--dry-run").code == 7


def test_several_instances_are_refused_together(operator: Operator) -> None:
    budget(operator, "daily_usd = 1.50")
    assert operator.provision("--count", "3").code == 7
    assert operator.provision("--count", "2").code == 0
    assert operator.provision().code == 7
    assert len(operator.active) == 2


def test_what_ended_counts_with_what_it_cost_though_it_is_archived(operator: Operator) -> None:
    budget(operator, "monthly_usd = 0.95")
    operator.provision("--name", "a", "--ttl", "60")
    operator.later(minutes=50)
    operator.run("terminate", "a")
    assert operator.store.archive(operator.clock.now() + timedelta(days=1)) == 1
    assert operator.records == ()
    assert operator.provision("--ttl", "60").code == 7
    assert operator.provision("--ttl", "50").code == 0


def test_eighty_percent_is_warned_of(operator: Operator) -> None:
    budget(operator, "daily_usd = 0.60")
    ran = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1")
    assert ran.code == 0
    assert "warning: 90 % of the budget of $0.60 a day: $0.00 spent + $0.00 committed + $0.54 requested" in ran.err


def test_a_user_and_a_tag_have_budgets_of_their_own(operator: Operator) -> None:
    budget(operator, '[budget.user.ben]\ndaily_usd = 0.10\n[budget.tag."project=x"]\ndaily_usd = 0.10')
    assert operator.provision("--user", "ben").code == 7
    assert operator.provision("--tag", "project=x").code == 7
    assert operator.provision("--tag", "project=y").code == 0


def test_an_unknown_price_is_refused_unless_it_is_allowed(operator: Operator) -> None:
    spot = ("--spot", "--ttl", "30")
    budget(operator, "daily_usd = 50")
    refused = operator.provision(*spot)
    assert (refused.code, operator.cloud.instances()) == (7, [])
    assert "1 instances of unknown price" in refused.json["error"]["message"]
    assert refused.json["error"]["hint"] == "add `--allow-unknown-price` to skip the check for them"
    allowed = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1", *spot, "--allow-unknown-price")
    assert allowed.code == 0
    assert "warning: 1 of unknown price not counted in the budget of $50.00 a day" in allowed.err
    assert operator.json("list").json["instances"][0]["totalCost"] is None


def test_without_a_budget_an_unknown_price_is_no_matter(operator: Operator) -> None:
    assert operator.provision("--spot").code == 0


def test_a_more_expensive_placement_is_not_tried_if_it_exceeds_the_budget(operator: Operator) -> None:
    budget(operator, "daily_usd = 0.56")
    operator.wire.arm("RunInstances", FULL)
    ran = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1,sa-east-1")
    assert ran.code == 5
    assert "budget of $0.56 a day exceeded: " in ran.err
    assert (operator.cloud.instances(), [len(record.attempts) for record in operator.records]) == ([], [1])
    budget(operator, "daily_usd = 5")
    operator.wire.arm("RunInstances", FULL)
    assert operator.run("provision", "g4dn.xlarge", "--region", "us-east-1,sa-east-1").code == 0
