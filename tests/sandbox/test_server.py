"""When the server's process is still wanted, and what it answers about itself."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from support.clouds import LoopbackAws

from gpuctl_sandbox.server import is_wanted

TEN = datetime(2026, 11, 24, 10, 0, tzinfo=UTC)


@pytest.mark.parametrize(("idle", "wanted"), [(timedelta(hours=23, minutes=59), True), (timedelta(hours=24), False)])
def test_a_server_without_requests_for_a_day_exits(tmp_path: Path, idle: timedelta, wanted: bool) -> None:
    address = tmp_path / "address.json"
    address.write_text('{"nonce": "mine"}')

    assert is_wanted(address, "mine", last_asked=TEN, now=TEN + idle) is wanted


@pytest.mark.parametrize("content", ['{"nonce": "another"}', "{}", "[]", "not json"])
def test_a_server_whose_address_names_it_no_more_is_not_wanted(tmp_path: Path, content: str) -> None:
    address = tmp_path / "address.json"
    address.write_text(content)

    assert not is_wanted(address, "mine", last_asked=TEN, now=TEN)


def test_a_server_whose_folder_is_gone_is_not_wanted(tmp_path: Path) -> None:
    assert not is_wanted(tmp_path / "gone" / "address.json", "mine", last_asked=TEN, now=TEN)


def test_the_server_says_who_it_is(cloud: LoopbackAws) -> None:
    text = cloud.ask("GET", "/gpuctl-sandbox")

    assert (text["nonce"], text["pid"]) == ("loopback", os.getpid())
    assert datetime.fromisoformat(text["startedAt"]).tzinfo is not None


def test_emptying_takes_a_post(cloud: LoopbackAws) -> None:
    machine_id = cloud.launch()

    with pytest.raises(AssertionError, match="404"):
        cloud.ask("GET", "/gpuctl-sandbox/reset")

    assert [instance["id"] for instance in cloud.instances()] == [machine_id]
