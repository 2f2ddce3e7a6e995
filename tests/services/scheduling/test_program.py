"""The program that a schedule names survives upgrades, and is missed when it is gone; and whether cron runs at all."""

from pathlib import Path

import pytest

from gpuctl.services.scheduling.cron import runs_cron
from gpuctl.services.scheduling.program import is_cached, missing_program, stable_path


def a_script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def test_the_link_on_path_is_named_because_its_target_is_renamed_by_upgrades(tmp_path: Path) -> None:
    script = a_script(tmp_path / "Cellar" / "gpuctl" / "0.1.0" / "bin" / "gpuctl", "#!/bin/sh\n")
    link = tmp_path / "bin" / "gpuctl"
    link.parent.mkdir()
    link.symlink_to(script)
    assert stable_path(script, str(link)) == link
    other = a_script(tmp_path / "other" / "gpuctl", "#!/bin/sh\n")
    assert stable_path(script, str(other)) == script
    assert stable_path(script, "bin/gpuctl") == script
    assert stable_path(script, None) == script


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/home/ana/.cache/uv/archive-v0/x/bin/gpuctl", True),
        ("/Users/ana/Library/Caches/pipx/x/bin/gpuctl", True),
        ("/home/ana/.local/pipx/.cache/x/bin/gpuctl", True),
        ("/var/uv/archive-v0/x/bin/gpuctl", True),
        ("/home/ana/.local/share/uv/tools/gpuctl-cloud/bin/gpuctl", False),
        ("/opt/homebrew/bin/gpuctl", False),
    ],
)
def test_a_program_below_a_cache_folder_does_not_stay(path: str, expected: bool) -> None:
    assert is_cached(Path(path), {"UV_CACHE_DIR": "/var/uv", "XDG_CACHE_HOME": "relative"}) is expected


def test_a_program_is_missing_with_its_interpreter(tmp_path: Path) -> None:
    missing = tmp_path / "gone" / "python"
    whole = a_script(tmp_path / "a" / "gpuctl", "#!/bin/sh\n")
    broken = a_script(tmp_path / "b" / "gpuctl", f"#!{missing}\n")
    long = a_script(tmp_path / "c" / "gpuctl", f"#!/bin/sh\n'''exec' \"{missing}\" \"$0\" \"$@\"\n' '''\n")
    dangling = tmp_path / "gpuctl"
    dangling.symlink_to(missing)
    assert missing_program(str(whole)) is None
    assert missing_program(str(tmp_path / "d")) == str(tmp_path / "d")
    assert missing_program(str(dangling)) == str(dangling)
    assert missing_program(str(broken)) == str(missing)
    assert missing_program(str(long)) == str(missing)
    assert missing_program("/bin/sh") is None


def a_system(root: Path, files: dict[str, str]) -> Path:
    for name, text in {"proc/self/comm": "python3\n", **files}.items():
        a_script(root / name, text)
    return root


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"proc/1/comm": "systemd\n", "proc/77/comm": "cron\n"}, True),
        ({"proc/1/comm": "sh\n", "proc/77/comm": "crond\n"}, True),
        ({"proc/1/comm": "sh\n", "run/crond.pid": "77\n", "proc/77/comm": "busybox\n"}, True),
        ({"proc/1/comm": "sh\n", "run/crond.pid": "77\n"}, False),
        ({"proc/1/comm": "sh\n", "run/crond.pid": "\n"}, False),
        ({"proc/1/comm": "sh\n", "proc/77/comm": "cronjob\n"}, False),
        ({"proc/1/comm": "sh\n"}, False),
        ({"proc/77/comm": "sh\n"}, None),
    ],
)
def test_a_cron_daemon_is_seen_among_the_processes(
    files: dict[str, str], expected: bool | None, tmp_path: Path
) -> None:
    assert runs_cron(a_system(tmp_path, files)) is expected


def test_where_processes_cannot_be_seen_nothing_is_claimed(tmp_path: Path) -> None:
    assert runs_cron(tmp_path) is None
