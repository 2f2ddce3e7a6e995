"""Where the state is, and where everything is kept that belongs to this computer."""

from pathlib import Path

import pytest
from support.cli import Operator

from gpuctl.clock import SystemClock
from gpuctl.errors import UsageError
from gpuctl.home.location import Home, home_of_state, state_url
from gpuctl.store.base import StateKind
from gpuctl.store.registry import open_store


def nowhere() -> Path:
    raise UsageError("there is no home directory")


def test_without_a_name_the_state_is_in_the_default_folder(tmp_path: Path) -> None:
    assert state_url(None, lambda: tmp_path) == str(tmp_path / "state.json")


def test_a_path_is_made_absolute_and_symlinks_are_resolved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "link.json").symlink_to(tmp_path / "folder" / "state.json")
    assert state_url("other.json", nowhere) == str(tmp_path / "other.json")
    assert state_url("link.json", nowhere) == str(tmp_path / "folder" / "state.json")
    assert state_url(f"file://{tmp_path}/other.json", nowhere) == str(tmp_path / "other.json")


def test_the_home_of_a_state_file_is_its_folder_and_needs_no_home_directory(tmp_path: Path) -> None:
    assert home_of_state(str(tmp_path / "state.json"), nowhere) == Home(tmp_path)


def test_the_home_of_a_state_elsewhere_is_the_default_folder(tmp_path: Path) -> None:
    url = state_url("postgresql://ana@db.example/gpuctl", nowhere)
    assert url == "postgresql://ana@db.example/gpuctl"
    assert home_of_state(url, lambda: tmp_path) == Home(tmp_path)


def test_a_store_that_is_not_there_is_named_without_its_password() -> None:
    with pytest.raises(UsageError) as error:
        open_store("redis://ana:hunter2@db.example/gpuctl", kind=StateKind.REAL, clock=SystemClock())
    assert error.value.message == "no store for `redis://`"
    assert "hunter2" not in f"{error.value.message}{error.value.hint}"


def test_with_a_state_file_named_nothing_is_written_outside_of_its_folder(operator: Operator, tmp_path: Path) -> None:
    """A container with a read-only home: files are only created where `--state` points."""
    home = tmp_path / "read-only"
    home.mkdir(mode=0o500)
    operator.environ |= {"HOME": str(home), "XDG_STATE_HOME": str(home), "XDG_CONFIG_HOME": str(home)}
    instance = operator.provision().instance
    assert operator.run("list").code == 0
    assert operator.json("terminate", instance["id"]).code == 0
    assert operator.run("reap", "--sweep").code == 0
    assert list(home.iterdir()) == []


def test_two_states_in_one_folder_share_the_key_and_nothing_else(operator: Operator) -> None:
    operator.provision()
    key = (operator.folder / "ssh" / "id_ed25519").read_bytes()
    first = operator.own_folder
    operator.state = operator.folder / "other.json"
    operator.environ["GPUCTL_STATE"] = str(operator.state)
    operator.provision()
    assert (operator.folder / "ssh" / "id_ed25519").read_bytes() == key
    assert operator.own_folder != first
