"""A damaged state whose ID is unknown: what `recover` reports where providers could, and could not, be queried."""

import pytest
from support.cli import Operator
from support.wire import refuse


@pytest.fixture
def few_regions(monkeypatch: pytest.MonkeyPatch) -> None:
    """A small world: an SDK client for each of thirty regions takes seconds to make."""
    regions = frozenset({"us-east-1", "eu-west-1", "us-west-2"})
    monkeypatch.setattr("gpuctl.catalog.Catalog.regions", lambda catalog, provider: regions)


@pytest.mark.parametrize("option", ["--dry-run", "--yes"])
def test_without_credentials_it_reports_that_no_provider_was_queried(
    operator: Operator, few_regions: None, option: str
) -> None:
    operator.state.write_text("{")
    operator.wire.arm("GetCallerIdentity", *[refuse("InvalidClientTokenId", 403)] * 9)
    error = operator.json("recover", option).json["error"]
    assert (error["exitCode"], error["code"]) == (4, "credentials")
    assert error["message"].startswith("the providers could not be queried: ")
    assert "InvalidClientTokenId" in error["message"]
    assert error["hint"] == "gpuctl doctor"


def test_regions_that_could_not_be_queried_may_hold_instances_of_the_lost_state(
    operator: Operator, few_regions: None
) -> None:
    operator.state.write_text("{")
    operator.wire.arm("DescribeInstances", *[refuse("UnauthorizedOperation", 403)] * 9)
    error = operator.json("recover", "--yes").json["error"]
    assert (error["exitCode"], error["hint"]) == (8, "gpuctl doctor")
    assert error["message"].startswith("the providers could not be queried: ")


def test_where_every_provider_was_queried_and_nothing_exists_the_state_id_is_requested(
    operator: Operator, few_regions: None
) -> None:
    operator.state.write_text("{")
    error = operator.json("recover", "--yes").json["error"]
    assert error["hint"] == "if you know the state ID: gpuctl recover --state-id ID"
