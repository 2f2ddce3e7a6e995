"""A life that leaves a file of every kind."""

from support.cli import Operator
from support.wire import LOST


def a_life_that_makes_every_file(operator: Operator) -> None:
    """The state, its lock, backups, the archive, the reaper's memory and its lock."""
    operator.wire.arm("RunInstances", LOST)
    machine = operator.provision().instance
    operator.later(minutes=11)
    operator.json("extend", machine["id"], "--by", "5m")
    operator.json("reap", "--sweep")
    operator.json("terminate", machine["id"])
    operator.later(days=8)
    operator.provision()
    operator.later(minutes=61)
    operator.json("reap", "--sweep")
    names = {path.relative_to(operator.state.parent).parts[0] for path in operator.state.parent.rglob("*")}
    assert names >= {f"state.json{end}" for end in ("", ".lock", ".backups", ".archive", ".reap.json", ".reap.lock")}
