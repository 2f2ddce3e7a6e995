"""What a self-test may cost once its image is known."""

import pytest
from support.cli import Operator, Ran
from support.wire import refuse

from gpuctl_sandbox.aws.images import RED_HAT, WITH_DATA_DISK, StockedImage

REGION = "us-east-1"
NO_ROOM = [refuse("InsufficientInstanceCapacity", 500)] * 40


def selftest(operator: Operator, *argv: str) -> Ran:
    return operator.json("selftest", "g4dn.xlarge", "--region", REGION, *argv)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (RED_HAT, "the price of the instance is unknown, so the cost cannot be limited"),
        (WITH_DATA_DISK, "the self-test may cost $0.75, more than $0.70"),
    ],
    ids=["license", "disks"],
)
def test_the_cost_limit_is_kept_with_what_the_image_adds(operator: Operator, image: StockedImage, message: str) -> None:
    operator.wire.arm("RunInstances", *NO_ROOM)
    ran = selftest(operator, "--max-cost", "0.70", "--image", image.image_id(REGION))
    assert (ran.code, operator.wire.calls("RunInstances"), operator.state.exists()) == (2, [], False)
    assert ran.json["error"]["message"] == message
    assert ran.json["error"]["hint"] in ("leave out `--image`", "add `--max-cost 0.76`")


def test_the_cost_limit_is_kept_where_another_type_is_tried(operator: Operator) -> None:
    operator.wire.arm("RunInstances", *NO_ROOM)
    image = WITH_DATA_DISK.image_id(REGION)
    ran = operator.json("selftest", "--provider", "aws", "--region", REGION, "--max-cost", "1", "--image", image)
    types = {sent.form["InstanceType"] for sent in operator.wire.calls("RunInstances")}
    assert (ran.code, types) == (5, {"g4dn.xlarge"}), ran.err
    assert "g4dn.2xlarge in us-east-1 is not tried: it may cost more than $1.00" in ran.err
    assert "trying `g4dn.2xlarge`" not in ran.err
