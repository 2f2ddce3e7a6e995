"""Disks that lack a promise, as a process meets them: the system's own calls fail, by a library that is preloaded.

Without a C compiler the same errors come from Python's functions: `test_weak_disks.py`.
"""

import errno
import json
import os
import shutil
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from support import disks
from support.cli import Operator
from support.processes import PROVISION, environment, run_commands

COMPILER = shutil.which("cc")
pytestmark = pytest.mark.skipif(COMPILER is None, reason="needs a C compiler")

EACH = {
    "locks": ("WEAK_LOCKS", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS]),
    "hard links": ("WEAK_LINKS", [errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK, errno.ENOSYS]),
    "permissions": ("WEAK_PERMISSIONS", [errno.EPERM, errno.EOPNOTSUPP]),
    "fsync of folders": ("WEAK_FOLDER_SYNC", [errno.EINVAL, errno.EOPNOTSUPP, errno.EBADF]),
    "reads of a locked file": ("WEAK_SHARED_READS", [errno.EACCES]),
}
_LIFE = """
import json, os, sys
from datetime import timedelta
from pathlib import Path
from support.clock import FakeClock
from support.instances import NOON, an_instance
from gpuctl.remote.keys import own_key
from gpuctl.store.base import StateKind
from gpuctl.store.lease import LeaseName, leased
from gpuctl.store.local import open_state
from gpuctl.store.local.promises import missing_promises
from gpuctl.store.reaper import ReapTimes

root, cases = json.loads(sys.argv[1])
missing = []
for number, (variable, value) in enumerate(cases):
    folder = Path(root) / str(number)
    folder.mkdir()
    os.environ[variable] = str(value)
    missing.append(missing_promises(folder))
    for record_id in ("inst-000000000001", "inst-000000000002"):
        state = open_state(str(folder / "state.json"), kind=StateKind.REAL, clock=FakeClock())
        state.records.add([an_instance(record_id)], lambda present: None)
    state.records.update("inst-000000000001", lambda record: record.model_copy(update={"user": "ben"}))
    assert sorted(record.user for record in state.records.snapshot().records) == ["ana", "ben"]
    (folder / "state.json").write_bytes(b"damaged")
    state.records.rebuild(state.records.state_id, [an_instance("inst-000000000003")])
    with leased(state.leases, LeaseName.REAP, "host 1", timedelta(minutes=5)) as lease:
        assert state.reaper.update(lambda _: ReapTimes(last_reap_at=NOON), lease)
    assert own_key(folder) == own_key(folder)
    del os.environ[variable]
print(json.dumps(missing))
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("library") / "weakdisk.so"
    source = Path(disks.__file__).with_name("weakdisk.c")
    subprocess.run([COMPILER or "cc", "-shared", "-fPIC", "-o", str(built), str(source)], check=True)
    return built


def test_a_state_is_used_and_rebuilt_under_every_error_and_the_probe_names_what_is_missing(
    library: Path, tmp_path: Path
) -> None:
    cases = [(variable, number) for variable, numbers in EACH.values() for number in numbers]
    expected = [[promise] for promise, (_, numbers) in EACH.items() for _ in numbers]
    done = subprocess.run(
        [sys.executable, "-c", _LIFE, json.dumps([str(tmp_path), cases])],
        env={**preloaded(library, tmp_path), "PYTHONPATH": os.pathsep.join(sys.path), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == expected


@pytest.mark.parametrize(
    "missing",
    [
        {"WEAK_LOCKS": errno.ENOLCK, "WEAK_LINKS": errno.EPERM, "WEAK_PERMISSIONS": errno.EPERM}
        | {"WEAK_FOLDER_SYNC": errno.EINVAL},
        {"WEAK_SHARED_READS": errno.EACCES},
    ],
    ids=["nothing but files", "mandatory locks"],
)
def test_every_command_works_on_such_a_disk(
    operator: Operator, library: Path, tmp_path: Path, missing: dict[str, int]
) -> None:
    operator.cloud.now = timedelta(0)
    environ = environment(operator) | preloaded(library, tmp_path)
    environ |= {name: str(number) for name, number in missing.items()}
    commands = [
        [*PROVISION, "--name", "n"],
        ["list"],
        ["extend", "n", "--by", "10m"],
        ["get", "n"],
        ["reap", "--sweep"],
        ["terminate", "n", "--no-wait"],
    ]
    assert [(ran.code, ran.err) for ran in run_commands(commands, environ) if ran.code != 0] == []
    assert operator.active == []


def preloaded(library: Path, folder: Path) -> dict[str, str]:
    """The variables that make the disk below that folder a weak one."""
    return {"LD_PRELOAD": str(library), "WEAK_FOLDER": str(folder)}
