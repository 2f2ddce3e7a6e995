"""`gpuctl run` without a signal, where the state cannot be used when the command ends."""

import io

import pytest
from support.reachable import Reachable

from gpuctl.cli.main import main
from gpuctl.cli.terminal.streams import Streams


@pytest.mark.parametrize(("own", "code"), [(0, 209), (7, 7)])
def test_the_provider_is_requested_to_terminate_the_instance(reachable: Reachable, own: int, code: int) -> None:
    operator = reachable.operator
    operator.cloud.now = operator.clock.now
    err = io.StringIO()
    streams = Streams(io.StringIO(), io.StringIO(), err)
    command = f"echo no state >{operator.state}; exit {own}"
    words = ["run", "g4dn.xlarge", "--region", "us-east-1", "--name", "n", "--", command]
    assert main(words, clock=operator.clock, environ=operator.environ, streams=streams) == code, err.getvalue()
    assert operator.alive == []
    assert "was terminated" in err.getvalue()
    assert "the record was saved as" in err.getvalue()
    assert "n is STOPPING" in err.getvalue()
