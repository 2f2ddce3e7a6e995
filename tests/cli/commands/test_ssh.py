"""Getting onto an instance: `gpuctl ssh`, and ssh itself by the names that `gpuctl ssh-config` gives."""

import os
import pty
import shutil
import subprocess
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from support.cli import Operator
from support.instances import a_ready_instance
from support.processes import rest_of
from support.reachable import Reachable
from support.sshd import Sshd

from gpuctl.remote.access import Access
from gpuctl.sandbox import ssh_options


def test_a_command_runs_there_with_its_own_output_and_code(reachable: Reachable) -> None:
    reachable.operator.provision("--name", "n")
    done = reachable.run("ssh", "n", "--", "bash", "-c", 'printf "%s|" "$@"; echo bad >&2; exit 7', "_", "a b", "$HOME")
    assert (done.returncode, done.stdout, done.stderr) == (7, b"a b|$HOME|", b"bad\n")
    assert reachable.run("ssh", "n", "echo $((6 * 7)) | tr 4 f").stdout == b"f2\n"


def test_what_begins_with_a_dash_is_an_option_of_ssh_s(reachable: Reachable) -> None:
    reachable.operator.provision("--name", "n")
    options = reachable.run("ssh", "n", "--", "-G").stdout.decode().splitlines()
    assert {f"user {reachable.sshd.user}", "stricthostkeychecking accept-new"} <= set(options)


def test_at_a_terminal_it_is_a_shell_there(reachable: Reachable) -> None:
    reachable.operator.provision("--name", "n")
    screen, terminal = pty.openpty()
    process = reachable.process("ssh", "n", stdin=terminal, stdout=terminal, stderr=terminal)
    os.close(terminal)
    os.write(screen, b"echo at-$((40 + 2)); tty; exit 3\n")
    shown = rest_of(screen)
    assert process.wait(timeout=30) == 3
    assert b"at-42" in shown and b"/dev/pts/" in shown


def test_an_instance_with_another_host_key_is_refused(reachable: Reachable, sshd: Sshd) -> None:
    first = reachable.operator.provision("--name", "n").instance["id"]
    assert reachable.run("ssh", "n", "--", "true").returncode == 0
    sshd.stop()
    sshd.new_host_key()
    sshd.start()
    changed = reachable.run("ssh", "n", "--", "touch was-here")
    assert changed.returncode == 255
    assert b"HOST IDENTIFICATION HAS CHANGED" in changed.stderr
    assert not (sshd.home / "was-here").exists()
    # Another instance at the same address is another instance: nothing is known of it yet.
    second = reachable.operator.provision().instance["id"]
    assert reachable.run("ssh", second, "--", "true").returncode == 0
    assert sorted(path.name for path in (reachable.operator.own_folder / "known_hosts").iterdir()) == sorted(
        [first, second]
    )


@pytest.mark.parametrize("user", ["-oProxyCommand=touch evil", "a b", "$(evil)"])
def test_a_user_that_is_none_is_refused(operator: Operator, user: str) -> None:
    operator.provision("--name", "n")
    ran = operator.json("ssh", "n", f"--login={user}")
    assert (ran.code, ran.json["error"]["code"]) == (2, "usage")


def test_an_instance_that_is_terminated_is_not_for_ssh(operator: Operator) -> None:
    operator.provision("--name", "n")
    operator.json("terminate", "n")
    ran = operator.json("ssh", "n")
    assert (ran.code, ran.json["error"]["code"]) == (5, "not_ready")


def test_ssh_itself_finds_an_instance_by_its_name(reachable: Reachable) -> None:
    reachable.operator.provision("--name", "n")
    home = Path(reachable.operator.environ["HOME"])
    assert reachable.run("ssh-config", "--install").returncode == 0
    done = subprocess.run(
        ["ssh", "-F", str(home / ".ssh" / "config"), "gpu-n", "echo", "hello"], capture_output=True, check=False
    )
    assert (done.returncode, done.stdout) == (0, b"hello\n"), done.stderr


def test_the_file_is_installed_once_and_follows_the_instances(operator: Operator) -> None:
    home = operator.folder / "home"
    operator.environ["HOME"] = str(home)
    operator.provision("--name", "one")
    own, theirs = operator.own_folder / "ssh_config", home / ".ssh" / "config"
    assert not own.exists()
    assert "leads to" in operator.run("ssh-config", "--install").err
    assert "already" in operator.run("ssh-config", "--install").err
    assert theirs.read_text().count("Include") == 1
    operator.provision("--name", "two")
    assert "gpu-one" in own.read_text() and "gpu-two" in own.read_text()
    operator.json("terminate", "one")
    assert "gpu-one" not in own.read_text() and "gpu-two" in own.read_text()
    operator.later(minutes=61)
    operator.run("reap")
    assert "Host" not in own.read_text()
    assert operator.run("ssh-config", "--remove").code == 0
    assert (theirs.read_text(), own.exists()) == ("", False)


def test_it_prints_what_it_would_install(operator: Operator) -> None:
    operator.provision("--name", "n")
    ran, document = operator.run("ssh-config"), operator.json("ssh-config").json
    assert ran.out.count("Host gpu-") == 1
    assert (document["config"], document["count"]) == (ran.out, 1)
    assert operator.run("ssh-config", "--install", "--remove").code == 2


def test_in_the_sandbox_ssh_goes_to_the_published_port_and_never_to_the_address(tmp_path: Path) -> None:
    (tmp_path / "sandbox").mkdir()
    access = Access(
        tmp_path / "keys",
        lambda: tmp_path / "keys",
        options=("ProxyJump=bastion",),
        route=partial(ssh_options, tmp_path / "sandbox"),
    )
    instance = a_ready_instance(public_ip="8.8.8.8")
    for published, port in (
        ("", 1),
        ("[]", 1),
        ('{"ports": {"8.8.4.4": 4022}}', 1),
        ('{"ports": {"8.8.8.8": 4022}}', 4022),
    ):
        (tmp_path / "sandbox" / "network.json").write_text(published)
        argv = access.target(instance).argv()
        first = [
            next(word for word in argv if word.startswith(f"-o{name}=")) for name in ("HostName", "Port", "ProxyJump")
        ]
        assert first == ["-oHostName=127.0.0.1", f"-oPort={port}", "-oProxyJump=none"]
    assert (tmp_path / "sandbox" / "login_keys").read_text() == f"{access.key().public}\n"
    assert (tmp_path / "sandbox" / "login_keys").stat().st_mode & 0o777 == 0o600


def test_a_check_that_this_computer_cannot_make_is_not_tried_until_the_patience_ends(
    operator: Operator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keygen = shutil.which("ssh-keygen")
    assert keygen is not None
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "ssh-keygen").symlink_to(keygen)
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    before = operator.clock.elapsed()
    ran = operator.provision("--check", "ssh", "--timeout", "15m")
    assert (ran.code, ran.json["error"]["code"]) == (5, "not_ready")
    assert "`ssh` is not installed" in ran.err
    assert operator.clock.elapsed() - before < timedelta(minutes=5)
    assert operator.active == []
