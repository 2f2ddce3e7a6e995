"""Where config and state are: in the folders that the documents name, on every platform."""

import subprocess
from pathlib import Path

import pytest

from gpuctl.errors import UsageError
from gpuctl.home.environment import folder

FOLDERS = {"config": ".config/gpuctl", "state": ".local/state/gpuctl"}
FILES = {"config": "config.toml", "state": "state.json"}


@pytest.mark.parametrize("platform", ["linux", "darwin"])
@pytest.mark.parametrize("kind", FOLDERS)
def test_the_folder_is_the_documented_one_on_every_platform(kind: str, platform: str, tmp_path: Path) -> None:
    assert folder(kind, {"HOME": str(tmp_path)}, platform) == tmp_path / FOLDERS[kind]
    variable = f"XDG_{kind.upper()}_HOME"
    assert folder(kind, {"HOME": str(tmp_path), variable: "/elsewhere"}, platform) == Path("/elsewhere/gpuctl")
    assert folder(kind, {"HOME": str(tmp_path), variable: "relative"}, platform) == tmp_path / FOLDERS[kind]


@pytest.mark.parametrize("kind", FOLDERS)
def test_on_macos_a_file_in_the_library_folder_is_never_ignored(kind: str, tmp_path: Path) -> None:
    unused = tmp_path / "Library" / "Application Support" / "gpuctl" / FILES[kind]
    unused.parent.mkdir(parents=True)
    unused.touch()
    unused.with_name(f"{unused.name}.lock").touch()
    environ = {"HOME": str(tmp_path)}
    assert folder(kind, environ, "linux") == tmp_path / FOLDERS[kind]
    with pytest.raises(UsageError) as raised:
        folder(kind, environ, "darwin")
    assert str(unused) in raised.value.message and str(tmp_path / FOLDERS[kind]) in raised.value.message
    # The hint can be typed as it is.
    subprocess.run(["sh", "-c", raised.value.hint or ""], check=True)
    assert folder(kind, environ, "darwin") == tmp_path / FOLDERS[kind]
    assert sorted(path.name for path in folder(kind, environ, "darwin").iterdir()) == [
        FILES[kind],
        f"{FILES[kind]}.lock",
    ]


def test_where_both_files_exist_neither_is_chosen(tmp_path: Path) -> None:
    for text in ("Library/Application Support/gpuctl", ".config/gpuctl"):
        (tmp_path / text).mkdir(parents=True)
        (tmp_path / text / "config.toml").touch()
    with pytest.raises(UsageError) as raised:
        folder("config", {"HOME": str(tmp_path)}, "darwin")
    assert "mv" not in (raised.value.hint or "mv")


@pytest.mark.parametrize("home", ["", "~", "relative/home"])
def test_a_folder_is_never_below_the_working_folder(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.getuid", lambda: 2_000_000_000)
    with pytest.raises(UsageError, match="there is no home directory for the state file"):
        folder("state", {"HOME": home})
