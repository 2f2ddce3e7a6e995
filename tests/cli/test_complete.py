"""What TAB offers: from the state and the catalog, in silence."""

from support.cli import Operator
from support.instances import NOON, a_ready_instance

from gpuctl.domain.instance import Status

ONE, TWO = "inst-000000000001", "inst-000000000002"


def offered(operator: Operator, *words: str) -> list[str]:
    ran = operator.run("complete", *words)
    assert (ran.code, ran.err) == (0, "")
    return ran.out.split()


def test_machines_are_offered_by_name_and_id_and_ended_ones_only_to_look_at(operator: Operator) -> None:
    ended = a_ready_instance(TWO, name="old", status=Status.TERMINATED, terminated_at=NOON)
    operator.store.add([a_ready_instance(ONE, name="train-7"), ended], lambda present: None)
    assert offered(operator, "ids", "terminate") == ["train-7", ONE]
    assert offered(operator, "ids", "get") == ["train-7", "old", ONE, TWO]


def test_types_that_can_be_had_and_the_regions_of_the_one_that_was_chosen(operator: Operator) -> None:
    types = offered(operator, "types", "provision")
    assert {"g4dn.xlarge", "Standard_NC4as_T4_v3"} <= set(types)
    assert "p3.2xlarge" not in types
    aws = offered(operator, "regions", "provision", "g4dn.xlarge", "--region")
    assert ("us-east-1" in aws, "eastus" in aws) == (True, False)
    assert {"us-east-1", "eastus"} <= set(offered(operator, "regions", "list", "--region"))


def test_nothing_is_said_where_nothing_can_be_told(operator: Operator) -> None:
    operator.state.parent.mkdir(exist_ok=True)
    operator.state.write_text("{")
    assert offered(operator, "ids", "get", "--wait", "--unknown") == []
    assert offered(operator, "nothing") == []
    assert operator.wire.sent == []


def test_no_help_tells_of_it(operator: Operator) -> None:
    assert "complete " not in operator.run("--help").out.replace("complete its", "")


def test_ci_with_a_random_state_is_told_once(operator: Operator) -> None:
    first = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1", environ={"CI": "true"})
    again = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1", environ={"CI": "true"})
    assert ("without GPUCTL_STATE_ID" in first.err, "without GPUCTL_STATE_ID" in again.err) == (True, False)


def test_ci_with_a_state_of_a_known_id_is_not_told(operator: Operator) -> None:
    known = {"CI": "true", "GPUCTL_STATE_ID": "ci-my-repo"}
    ran = operator.run("provision", "g4dn.xlarge", "--region", "us-east-1", environ=known)
    assert "GPUCTL_STATE_ID" not in ran.err
