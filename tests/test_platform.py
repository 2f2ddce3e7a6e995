"""What tells one operating system from another, and the commands that hints name there."""

from pathlib import Path

import pytest

from gpuctl.platform import Platform, read_platform

WSL2 = "5.15.167.4-microsoft-standard-WSL2"
WSL1 = "4.4.0-19041-Microsoft"
DEBIAN = "6.1.0-28-amd64"


def a_root(folder: Path, kernel: str, *marks: str) -> Path:
    for name, text in {"proc/sys/kernel/osrelease": f"{kernel}\n", **dict.fromkeys(marks, "")}.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


@pytest.mark.parametrize(("kernel", "is_wsl"), [(WSL2, True), (WSL1, True), (DEBIAN, False)])
def test_wsl_is_known_by_its_kernel(kernel: str, is_wsl: bool, tmp_path: Path) -> None:
    assert read_platform(name="linux", root=a_root(tmp_path, kernel)).is_wsl is is_wsl


@pytest.mark.parametrize("mark", [".dockerenv", "run/.containerenv"])
def test_a_container_in_wsl_is_a_container(mark: str, tmp_path: Path) -> None:
    platform = read_platform(name="linux", root=a_root(tmp_path, WSL2, mark))
    assert (platform.is_wsl, platform.is_container) == (False, True)


def test_kubernetes_is_a_container_and_a_system_without_proc_is_neither(tmp_path: Path) -> None:
    assert read_platform({"KUBERNETES_SERVICE_HOST": "10.0.0.1"}, root=tmp_path).is_container
    assert read_platform(name="darwin", root=tmp_path) == Platform("darwin", root=tmp_path)


@pytest.mark.parametrize(
    ("platform", "program", "command"),
    [
        ("linux", "apt-get", "sudo apt-get install openssh-client"),
        ("linux", "apk", "sudo apk add openssh-client"),
        ("linux", "dnf", "sudo dnf install openssh-clients"),
        ("linux", "none", "install the OpenSSH client"),
        ("darwin", "brew", "brew install openssh"),
        ("darwin", "apt-get", "install the OpenSSH client"),
    ],
)
def test_hints_name_the_package_manager_that_is_present(platform: str, program: str, command: str) -> None:
    assert Platform(platform).install_ssh(lambda name: f"/bin/{name}" if name == program else None) == command


def test_hints_name_the_way_to_set_the_clock() -> None:
    assert "timedatectl" in Platform("linux", DEBIAN).set_clock
    assert "sntp" in Platform("darwin").set_clock
    assert "wsl --shutdown" in Platform("linux", WSL2).set_clock
