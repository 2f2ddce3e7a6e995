"""`doctor` looks whether a janitor deletes what Azure's shutdown timer only deallocates."""

import json
from collections.abc import Iterator
from datetime import timedelta

import pytest
from support.azure import LoopbackAzure
from support.clouds import LoopbackAws
from support.instances import NOON
from support.wire import Fault, Wire

from gpuctl.cli.commands.reaper.template import FILES
from gpuctl.domain.diagnosis import Finding, Verdict
from gpuctl.providers.azure.client import AzureClients
from gpuctl.providers.azure.janitor import find_janitor
from gpuctl.providers.base import Connection

API = "api-version=2019-05-01"
RIGHT, RUNS = "Microsoft.Logic/workflows/read", "Microsoft.Logic/workflows/runs/read"


@pytest.fixture
def arm(cloud: LoopbackAws) -> Iterator[LoopbackAzure]:
    past_gpuctl = LoopbackAzure(cloud)
    past_gpuctl.now = NOON
    past_gpuctl.set(registered=["Microsoft.Compute", "Microsoft.Network", "Microsoft.DevTestLab", "Microsoft.Logic"])
    yield past_gpuctl
    past_gpuctl.close()


def deploy(arm: LoopbackAzure, *, group: str = "gpuctl-janitor", state: str = "Enabled") -> str:
    """Create the Logic App of the printed template in a group, as a deployment of the template does."""
    resources = json.loads(FILES["azure"].read_text())["resources"]
    (workflow,) = resources[2]["properties"]["template"]["resources"]
    arm.group(group)
    path = (
        f"/subscriptions/{arm.subscription}/resourceGroups/{group}/providers/Microsoft.Logic/workflows/gpuctl-janitor"
    )
    properties = workflow["properties"] | {"state": state}
    body = {key: workflow[key] for key in ("tags", "identity")} | {"location": "eastus", "properties": properties}
    status, _, reply = arm.raw("PUT", f"{path}?{API}", body)
    assert status == 201, reply
    return path


def janitor(arm: LoopbackAzure) -> Finding:
    return find_janitor(AzureClients(Connection(sandbox_url=arm.url)), arm.now)


def test_a_janitor_that_runs_is_reported_with_its_last_run(arm: LoopbackAzure) -> None:
    deploy(arm)
    arm.now = NOON + timedelta(minutes=37)
    finding = janitor(arm)
    assert finding.verdict is Verdict.OK
    assert finding.text == "the Logic App `gpuctl-janitor` in gpuctl-janitor is enabled, last run 7m ago"


def test_without_a_janitor_a_note_names_the_command(arm: LoopbackAzure) -> None:
    finding = janitor(arm)
    assert (finding.verdict, finding.hint) == (Verdict.OK, "gpuctl reaper template azure")
    assert "`gpuctl reaper template azure`" in finding.text


def test_a_subscription_without_logic_apps_has_no_janitor(arm: LoopbackAzure) -> None:
    arm.register()
    assert "`gpuctl reaper template azure`" in janitor(arm).text


def test_another_logic_app_is_no_janitor(arm: LoopbackAzure) -> None:
    path = deploy(arm)
    arm.raw("PUT", f"{path}?{API}", {"location": "eastus", "properties": {"definition": {}}})
    assert "`gpuctl reaper template azure`" in janitor(arm).text


def test_a_disabled_janitor_is_a_warning(arm: LoopbackAzure) -> None:
    path = deploy(arm)
    assert arm.raw("POST", f"{path}/disable?{API}")[0] == 200
    finding = janitor(arm)
    assert (finding.verdict, "is disabled" in finding.text) == (Verdict.WARN, True)
    assert finding.hint == f"az rest --method post --url {path}/enable?{API}"


def test_an_enabled_janitor_counts_before_a_disabled_one(arm: LoopbackAzure) -> None:
    deploy(arm, group="a-old", state="Disabled")
    deploy(arm, group="b-new")
    assert janitor(arm).verdict is Verdict.OK


def test_the_janitors_of_every_page_are_read(arm: LoopbackAzure) -> None:
    deploy(arm, group="a-old", state="Disabled")
    deploy(arm, group="b-new")
    arm.set(page_size=1)
    assert janitor(arm).verdict is Verdict.OK


def test_a_janitor_whose_last_run_failed_is_a_warning_with_the_code(arm: LoopbackAzure) -> None:
    arm.set(workflow_runs="Failed")
    deploy(arm)
    finding = janitor(arm)
    assert (finding.verdict, finding.text.endswith("last run 0s ago: Failed (ActionFailed)")) == (Verdict.WARN, True)
    assert finding.hint is not None and "Microsoft.Logic/workflows/gpuctl-janitor/runs" in finding.hint


def test_a_janitor_that_has_not_run_for_an_hour_is_a_warning(arm: LoopbackAzure) -> None:
    path = deploy(arm)
    body = json.loads(FILES["azure"].read_text())["resources"][2]["properties"]["template"]["resources"][0]
    never = body["properties"] | {"definition": body["properties"]["definition"] | {"triggers": {}}}
    arm.raw("PUT", f"{path}?{API}", {"location": "eastus", "tags": body["tags"], "properties": never})
    arm.now = NOON + timedelta(minutes=61)
    finding = janitor(arm)
    assert (finding.verdict, finding.text.endswith("is enabled, last run 61m ago")) == (Verdict.WARN, True)


def test_a_new_janitor_without_a_run_is_not_yet_a_warning(arm: LoopbackAzure) -> None:
    path = deploy(arm, state="Disabled")
    arm.raw("POST", f"{path}/enable?{API}")
    arm.now = NOON + timedelta(minutes=5)
    assert janitor(arm).verdict is Verdict.OK


def test_without_the_right_to_list_logic_apps_nothing_is_concluded(arm: LoopbackAzure) -> None:
    deploy(arm)
    arm.set(permissions=[{"actions": ["*"], "notActions": [RIGHT]}])
    finding = janitor(arm)
    assert (finding.verdict, "AuthorizationFailed" in finding.text) == (Verdict.UNKNOWN, True)
    assert RIGHT in finding.text


def test_without_the_right_to_read_runs_an_enabled_janitor_is_reported_without_its_last_run(arm: LoopbackAzure) -> None:
    deploy(arm)
    arm.set(permissions=[{"actions": ["*"], "notActions": [RUNS]}])
    finding = janitor(arm)
    assert finding.verdict is Verdict.OK
    assert "is enabled; its runs could not be read" in finding.text and RUNS in finding.text


@pytest.mark.parametrize("body", [b"[]", b'{"value": [{"tags": {"gpuctl-janitor": "1"}}]}'])
def test_an_unreadable_answer_spoils_no_other_finding(arm: LoopbackAzure, body: bytes) -> None:
    wire = Wire(arm.url)
    wire.arm("GET workflows", Fault(False, lambda _: (200, {"Content-Type": "application/json"}, body)))
    finding = find_janitor(AzureClients(Connection(sandbox_url=wire.url)), arm.now)
    wire.stop()
    assert (finding.verdict, "could not be read" in finding.text) == (Verdict.UNKNOWN, True)
