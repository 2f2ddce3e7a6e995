"""What a type says about itself."""

from datetime import timedelta

import pytest

from gpuctl.catalog import Catalog


@pytest.mark.parametrize(
    ("name", "minutes"),
    [("g4dn.xlarge", 15), ("g4dn.12xlarge", 15), ("g4dn.metal", 30), ("g5g.metal", 30), ("p5.48xlarge", 30)],
)
def test_bare_metal_and_eight_gpus_are_waited_for_longer(name: str, minutes: int) -> None:
    assert Catalog().find(name).ready_within == timedelta(minutes=minutes)
