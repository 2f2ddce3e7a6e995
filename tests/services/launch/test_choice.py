"""An instance chosen by what it must have, in the market and at the price that were asked for."""

import pytest
from support.cli import Operator
from support.wire import refuse

FULL = refuse("InsufficientInstanceCapacity", 500)
CREATING = {"RunInstances", "CreateTags", "CreateSecurityGroup", "TerminateInstances"}


def asked_for(operator: Operator) -> list[tuple[str, str]]:
    return [
        (item.form["InstanceType"], item.form.get("InstanceMarketOptions.MarketType", "")) for item in sent(operator)
    ]


def sent(operator: Operator) -> list:  # type: ignore[type-arg]
    return operator.wire.calls("RunInstances")


def test_the_cheapest_that_fits_is_started(operator: Operator) -> None:
    ran = operator.json("provision", "--gpu", "T4", "--region", "us-east-1")
    assert (ran.code, ran.instance["instanceType"], ran.instance["costPerHour"]) == (0, "g4dn.xlarge", 0.526)


@pytest.mark.parametrize(
    ("need", "chosen"),
    [
        (["--gpu", "T4", "--gpu-count", "4"], "g4dn.12xlarge"),
        (["--gpu", "T4", "--gpu-count", "2"], "g4dn.12xlarge"),
        (["--gpu", "A100", "--gpu-count", "1", "--min-gpu-memory", "40"], "p4d.24xlarge"),
        (["--min-gpu-memory", "24"], "g6.xlarge"),
        (["--gpu", "l4", "--gpu-count", "0.1"], "g6.xlarge"),
    ],
)
def test_what_it_must_have_is_at_least_that(operator: Operator, need: list[str], chosen: str) -> None:
    dry = operator.json("provision", *need, "--provider", "aws", "--region", "us-east-1", "--dry-run").json
    assert dry["offers"][0]["instanceType"] == chosen
    prices = [offer["costPerHour"] for offer in dry["offers"] if offer["costPerHour"] is not None]
    assert prices == sorted(prices)


def test_a_dry_run_ranks_counts_what_was_passed_over_and_creates_nothing(operator: Operator) -> None:
    ran = operator.json(
        "provision", "--gpu", "T4", "--region", "any", "--max-price", "0.55", "--ttl", "30", "--dry-run"
    )
    document = ran.json
    assert (ran.code, document["dryRun"], document["count"]) == (0, True, len(document["offers"]))
    assert {offer["region"] for offer in document["offers"]} == {"us-east-1", "us-east-2", "us-west-2"}
    assert all(offer["costUntilDeadline"] >= 0.526 / 2 for offer in document["offers"])
    reasons = {item["reason"]: item["count"] for item in document["skipped"]}
    assert reasons["gpu_model"] > 100
    assert reasons["above_max_price"] > 10
    assert not {sent.action for sent in operator.wire.sent} & CREATING
    assert operator.records == ()


def test_a_dry_run_at_a_terminal_is_a_table_and_says_what_was_passed_over(operator: Operator) -> None:
    ran = operator.run("provision", "--gpu", "T4", "--region", "any", "--dry-run", terminal=True)
    assert "TYPE" in ran.out.splitlines()[0]
    assert "g4dn.xlarge" in ran.out
    assert "skipped: " in ran.err
    assert "no instance was started" in ran.err


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["--region", "us-east-1"], "Provider is required"),
        (["--provider", "aws"], "Instance type is required"),
        (["--gpu", "T4"], "Region is required"),
        (["--gpu", "T4", "--region", "us-east-1", "--disk-size", "20"], "Disk size must be at least 30GB"),
        (["--gpu", "T4", "--region", "us-east-1", "--ttl", "4"], "Auto-terminate must be at least 5 minutes"),
        (["--gpu", "T4", "--region", "us-east-1", "--ttl", "121"], "Auto-terminate must be at most 120 minutes"),
        (["--gpu", "T5", "--region", "us-east-1"], "no instance type there has the GPU `T5`"),
        (["--gpu", "T4", "--region", "us-east-1", "--max-price", "0.1"], "no offer matches: "),
        (["g4dn.xlarge", "--gpu", "A100", "--region", "us-east-1"], "no offer matches: 1 with another GPU"),
        (["--gpu", "T4", "--region", "us-east-1,us-esat-2"], "unknown region `us-esat-2`"),
        (["--gpu", "T4", "--region", "us-east-1,"], "--region must be one, several as `a,b,c`, or `any`"),
        (["--gpu", "T4", "--region", "us-east-1,any"], "--region must be one, several as `a,b,c`, or `any`"),
        (["--gpu", "T4", "--region", "any", "--subnet", "subnet-1"], "--subnet requires a single region"),
        (["--gpu", "T4", "--region", "any", "--fallback", "on-demand"], "--fallback requires `--spot`"),
        (
            ["--gpu", "T4", "--region", "any", "--spot", "--fallback", "spot"],
            "must be on-demand, not `spot`",
        ),
        (["--gpu", "T4", "--region", "any", "--gpu-count", "0"], "--gpu-count must be a number"),
    ],
)
def test_invalid_values_are_one_line_and_no_call(operator: Operator, argv: list[str], text: str) -> None:
    ran = operator.run("provision", *argv)
    assert ran.code == 2
    assert text in ran.err
    assert operator.wire.sent == []


def test_the_next_offer_is_tried_when_the_first_is_nowhere_to_be_had(operator: Operator) -> None:
    def instead(item):  # type: ignore[no-untyped-def]
        full = item.action == "RunInstances" and item.form["InstanceType"] == "g4dn.xlarge"
        return FULL.answer(None) if full else None

    operator.wire.instead = instead
    ran = operator.json("provision", "--gpu", "T4", "--provider", "aws", "--region", "us-east-1")
    assert (ran.code, ran.instance["instanceType"]) == (0, "g4dn.2xlarge")
    assert ran.instance["costPerHour"] == 0.752
    assert ran.instance["attempts"][-1]["token"] == f"{ran.instance['id']}-{len(ran.instance['attempts'])}"


def test_an_offer_more_expensive_than_the_cap_is_never_taken(operator: Operator) -> None:
    operator.wire.arm("RunInstances", *[FULL] * 30)
    ran = operator.json("provision", "--gpu", "T4", "--provider", "aws", "--region", "us-east-1", "--max-price", "0.6")
    assert ran.code == 5
    assert {kind for kind, _ in asked_for(operator)} == {"g4dn.xlarge"}


def test_a_region_the_account_has_not_enabled_is_passed_over(operator: Operator) -> None:
    dry = operator.json("provision", "--gpu", "T4", "--provider", "aws", "--region", "any", "--dry-run").json
    enabled = {region["RegionName"] for region in operator.cloud.client("ec2").describe_regions()["Regions"]}
    assert {offer["region"] for offer in dry["offers"]} <= enabled


def test_a_name_is_accepted_for_an_instance_that_meets_the_requirements(operator: Operator) -> None:
    argv = ("provision", "--gpu", "T4", "--region", "us-east-1,us-west-2", "--name", "n")
    first, second = operator.json(*argv), operator.json(*argv)
    assert (first.json["created"], second.json["created"]) == (True, False)
    other = operator.json("provision", "--gpu", "A10G", "--region", "us-east-1", "--name", "n")
    assert (other.code, "type" in other.json["error"]["message"]) == (2, True)


def test_spot_is_requested_once_and_capped(operator: Operator) -> None:
    ran = operator.provision("--spot", "--max-price", "0.2", "--yes")
    (call,) = sent(operator)
    options = {key.rpartition(".")[2]: value for key, value in call.form.items() if "InstanceMarketOptions" in key}
    assert options == {
        "MarketType": "spot",
        "SpotInstanceType": "one-time",
        "InstanceInterruptionBehavior": "terminate",
        "MaxPrice": "0.2",
    }
    # No spot price is known: unknown, and never 0.
    assert (ran.instance["market"], ran.instance["costPerHour"], ran.instance["totalCost"]) == ("spot", None, None)


def test_spot_that_is_not_to_be_had_falls_back_to_on_demand(operator: Operator) -> None:
    def instead(item):  # type: ignore[no-untyped-def]
        spot = item.action == "RunInstances" and "InstanceMarketOptions.MarketType" in item.form
        return refuse("MaxSpotInstanceCountExceeded").answer(None) if spot else None

    operator.wire.instead = instead
    ran = operator.provision("--spot", "--fallback", "on-demand", "--yes")
    assert (ran.code, ran.instance["market"], ran.instance["costPerHour"]) == (0, "on-demand", 0.526)
    assert [attempt["market"] for attempt in ran.instance["attempts"]] == ["spot", "on-demand"]
    alone = operator.provision("--spot", "--yes")
    assert alone.code == 6


def test_an_interrupted_spot_instance_is_closed_as_interrupted(operator: Operator) -> None:
    created = operator.provision("--spot", "--max-price", "0.2", "--yes").instance
    operator.later(minutes=10)
    operator.cloud.interrupt(created["cloudInstanceId"])
    operator.later(minutes=1)
    ran = operator.json("reap", "--sweep")
    assert [(action["action"], action["reason"]) for action in ran.json["actions"]] == [("close", "interrupted")]
    ended = operator.json("get", created["id"]).instance
    assert (ended["status"], ended["statusReason"], ended["market"]) == ("TERMINATED", "interrupted", "spot")
    assert operator.active == []
