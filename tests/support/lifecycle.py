"""A life that leaves a file of every kind."""

from support.cli import Operator
from support.programs import CRONTAB, with_programs
from support.wire import LOST

from gpuctl.domain.instance import ProviderName
from gpuctl.domain.money.prices import PriceBook
from gpuctl.home.prices import LocalPrices
from gpuctl.home.rescue import RescueFolder


def a_lifecycle_that_makes_every_file(operator: Operator) -> None:
    """The state, its lock, backups, the archive, the reaper's memory, two locks, and what damage leaves."""
    operator.environ["GPUCTL_HOOKS_READY"] = "exit 0"
    operator.wire.arm("RunInstances", LOST)
    instance = operator.provision().instance
    operator.run("ssh-config", "--install", environ={"HOME": str(operator.folder / "somebodys-home")})
    operator.later(minutes=11)
    operator.json("extend", instance["id"], "--by", "5m")
    operator.json("reap", "--sweep")
    operator.json("terminate", instance["id"])
    operator.later(days=8)
    operator.provision()
    operator.later(minutes=61)
    LocalPrices(operator.state.parent / "prices").write(PriceBook(ProviderName.AWS, operator.clock.now(), {}))
    with_programs(operator, crontab=CRONTAB)
    operator.json("schedule", "install")
    operator.json("reap", "--sweep", "--log", str(operator.own_folder / "reap.log"))
    operator.json("archive", "--older-than", "1d", "--to", str(operator.folder / "old.jsonl.gz"))
    RescueFolder(lambda: operator.own_folder).save(operator.records[-1])
    operator.state.write_bytes(operator.state.read_bytes()[:-1])
    assert operator.json("recover", "--yes").code == 0
    operator.provision()
    names = {path.relative_to(operator.state.parent).parts[0] for path in operator.state.parent.rglob("*")}
    ends = ("", ".lock", ".backups", ".archive", ".reap.json", ".reap.lock", ".hooks.lock")
    assert names >= {f"state.json{end}" for end in ends}
