"""What ssh is told of an instance: nothing from a cloud, a name or a setting can pass for an option or a command."""

import subprocess
from pathlib import Path

import pytest
from support.instances import a_ready_instance

from gpuctl.errors import NotReadyError, UsageError
from gpuctl.remote.line import BATCH, failure
from gpuctl.remote.sshconfig import exclude, include, text_of, write
from gpuctl.remote.target import Target, target, words_of

KEY, KNOWN = Path("/state/key"), Path("/state/known")


def of(**facts: object) -> Target:
    fields = {"public_ip": "203.0.113.7", "name": "train-7", **facts}
    return target(a_ready_instance(**fields), KEY, KNOWN, None, ())


@pytest.mark.parametrize(
    "address",
    [
        "-oProxyCommand=touch /tmp/evil",
        "203.0.113.7 -oProxyCommand=evil",
        "$(evil)",
        "evil.example.com",
        "203.0.113.7\nProxyCommand evil",
        "",
        None,
    ],
)
def test_an_address_is_an_address_or_nothing(address: str | None) -> None:
    with pytest.raises(NotReadyError, match="no IP address"):
        of(public_ip=address)


@pytest.mark.parametrize("user", ["-oProxyCommand=evil", "a b", "root@other", "$(evil)", "A", "x" * 40, "a\nb"])
def test_a_user_is_a_user(user: str) -> None:
    with pytest.raises(UsageError, match="--login must"):
        target(a_ready_instance(public_ip="203.0.113.7"), KEY, KNOWN, user, ())


@pytest.mark.parametrize(
    "option",
    [
        "ProxyCommand",
        "-oProxyCommand=evil",
        "Port=22\nProxyCommand=evil",
        "=x",
        "StrictHostKeyChecking=no",
        "stricthostkeychecking=off",
        "UserKnownHostsFile=/dev/null",
        "HostKeyAlias=other",
        "GlobalKnownHostsFile=/x",
    ],
)
def test_an_option_is_one_option_and_never_one_that_decides_whom_to_trust(option: str) -> None:
    with pytest.raises(UsageError, match="ssh.options"):
        target(a_ready_instance(public_ip="203.0.113.7"), KEY, KNOWN, None, (option,))


@pytest.mark.parametrize("path", ['/state/"key', "/state/${HOME}/key", "/state/a\nb"])
def test_a_path_that_ssh_would_read_as_something_else_is_refused(path: str) -> None:
    with pytest.raises(UsageError, match="cannot use the path"):
        target(a_ready_instance(public_ip="203.0.113.7"), Path(path), KNOWN, None, ()).argv()


def test_a_path_that_the_locale_cannot_decode_is_used_as_it_is() -> None:
    key = Path("/state/m\udcc3\udcbcller/key")
    argv = target(a_ready_instance(public_ip="203.0.113.7"), key, KNOWN, None, ()).argv()
    assert f'IdentityFile="{key}"' in " ".join(argv)


def test_ssh_itself_takes_it_as_it_is_meant(tmp_path: Path) -> None:
    folder = tmp_path / "100% of it"
    folder.mkdir()
    vm = target(
        a_ready_instance(public_ip="203.0.113.7"), folder / "key", folder / "known", "ana", ("ProxyJump=bastion",)
    )
    ssh, *options = vm.argv()
    document = subprocess.run([ssh, "-G", *options], capture_output=True, text=True, check=True).stdout.splitlines()
    expected = {
        "hostname 203.0.113.7",
        "user ana",
        "stricthostkeychecking accept-new",
        "hostkeyalias inst-000000000001",
        "identitiesonly yes",
        "proxyjump bastion",
        f"userknownhostsfile {folder / 'known'}",
    }
    assert expected - set(document) == set()


EVERY_HOST = """\
Host *
    Port 2222
    User root
    RequestTTY force
    RemoteCommand tmux
    ControlMaster auto
    ControlPath /tmp/cm-%r@%h:%p
    PubkeyAuthentication no
"""
OURS = {"port 22", "user ubuntu", "requesttty auto"}


def effective_options(config: Path, *argv: str) -> set[str]:
    """The options that ssh would use, with this configuration file of the user."""
    done = subprocess.run(["ssh", "-G", "-F", str(config), *argv], capture_output=True, text=True, check=True)
    return set(done.stdout.splitlines())


def test_settings_for_every_host_do_not_reach_through(tmp_path: Path) -> None:
    theirs, instance = tmp_path / "config", of()
    theirs.write_text(EVERY_HOST)
    include(theirs, write(tmp_path / "ssh", [instance]))
    for options in (effective_options(theirs, "gpu-train-7"), effective_options(theirs, *instance.argv()[1:])):
        assert OURS - options == set()
        assert options & {"pubkeyauthentication yes", "pubkeyauthentication true"}
        assert not [line for line in options if line.startswith(("controlpath", "remotecommand"))]


def test_the_options_of_the_config_go_before_ours(tmp_path: Path) -> None:
    options = ("Port=2222", "ControlPath=/tmp/cm-%k", "RequestTTY=force")
    vm = target(a_ready_instance(public_ip="203.0.113.7", name="train-7"), KEY, KNOWN, None, options)
    theirs = write(tmp_path / "ssh", [vm])
    assert {"port 2222", "requesttty force"} - effective_options(theirs, "gpu-train-7") == set()


def test_what_gpuctl_itself_needs_of_ssh_comes_before_the_options_of_the_config() -> None:
    options = ("ControlPath=/tmp/cm-%k", "ControlMaster=auto", "BatchMode=no", "LocalForward=8080 localhost:80")
    vm = target(a_ready_instance(public_ip="203.0.113.7"), KEY, KNOWN, None, options)
    effective = effective_options(Path("/dev/null"), *vm.argv(first=BATCH)[1:])
    assert "batchmode yes" in effective
    assert not [line for line in effective if line.startswith(("controlpath", "localforward"))]


@pytest.mark.parametrize(
    "message",
    [
        f"ControlPath too long ('/tmp/{'a' * 120}' >= 108 bytes)",
        f'unix_listener: path "/tmp/{"a" * 90}.Xq8vbyZ5Rk3nTf0p" too long for Unix domain socket',
    ],
)
def test_a_control_path_that_is_too_long_is_no_reason_to_try_again(message: str) -> None:
    error = failure(of(), f"{message}\n".encode())
    assert isinstance(error, UsageError)
    assert message in error.message


def test_what_a_person_adds_comes_before_our_defaults_and_after_what_must_hold() -> None:
    vm = target(
        a_ready_instance(public_ip="203.0.113.7"), KEY, KNOWN, None, ("HostName=127.0.0.1", "User=root", "Port=2222")
    )
    keys = [key for key, _ in vm.settings()]
    assert keys.index("StrictHostKeyChecking") < keys.index("Port") < keys.index("IdentityFile")
    assert next(value for key, value in vm.settings() if key == "HostName") == "127.0.0.1"


def test_a_host_key_that_is_known_must_be_the_one(tmp_path: Path) -> None:
    known = tmp_path / "known"
    vm = target(a_ready_instance(public_ip="203.0.113.7"), KEY, known, None, ())
    assert dict(vm.settings())["StrictHostKeyChecking"] == "accept-new"
    known.write_text("inst-000000000001 ssh-ed25519 AAAA\n")
    assert dict(vm.settings())["StrictHostKeyChecking"] == "yes"


def test_several_words_reach_the_shell_there_as_exactly_these() -> None:
    words = ["printf", "%s|", "a b", "$HOME", "`id`", ";reboot", "'", "-n"]
    done = subprocess.run(["sh", "-c", words_of(words)], capture_output=True, text=True, check=True)
    assert done.stdout == "".join(f"{word}|" for word in words[2:])
    assert words_of(["a | b"]) == "a | b"


def test_the_file_names_each_instance_by_id_and_name_and_ssh_reads_it(tmp_path: Path) -> None:
    second = target(a_ready_instance("inst-000000000002", public_ip="2001:db8::7"), KEY, KNOWN, "ana", ("Port=2222",))
    path = write(tmp_path / "ssh", [of(), second])
    assert path.stat().st_mode & 0o777 == 0o600
    for name, expected in {
        "gpu-train-7": {"hostname 203.0.113.7", "user ubuntu", "port 22"},
        "gpu-inst-000000000001": {"hostname 203.0.113.7"},
        "gpu-inst-000000000002": {"hostname 2001:db8::7", "user ana", "port 2222"},
    }.items():
        options = subprocess.run(["ssh", "-G", "-F", str(path), name], capture_output=True, text=True, check=True)
        assert expected - set(options.stdout.splitlines()) == set()


THEIRS = "Host work\n    User ana\n\nMatch all\n    ForwardAgent no\n"


@pytest.mark.parametrize(
    "before",
    [
        None,
        b"",
        THEIRS.encode(),
        b"# no newline at the end",
        THEIRS.replace("\n", "\r\n").encode(),
        b"Host a\r\n    User b\n\rHost c\x0c\n# caf\xe9 \x85\r\n",
    ],
)
def test_leading_to_the_file_is_done_once_and_undone_without_a_trace(tmp_path: Path, before: bytes | None) -> None:
    theirs, own = tmp_path / ".ssh" / "config", tmp_path / "with space" / "config"
    if before is not None:
        theirs.parent.mkdir()
        theirs.write_bytes(before)
        theirs.chmod(0o640)
    assert [include(theirs, own) for _ in range(3)] == [True, False, False]
    first, second = theirs.read_bytes().removesuffix(before or b"").splitlines(keepends=True)
    end = b"\r\n" if b"\r\n" in (before or b"") else b"\n"
    assert second == f'Include "{own}"'.encode() + end
    assert first.endswith(end)
    assert theirs.stat().st_mode & 0o777 == (0o600 if before is None else 0o640)
    assert [exclude(theirs, own) for _ in range(2)] == [True, False]
    assert theirs.read_bytes() == (before or b"")


def test_another_state_s_line_is_left_alone(tmp_path: Path) -> None:
    theirs = tmp_path / "config"
    include(theirs, tmp_path / "one")
    include(theirs, tmp_path / "two")
    exclude(theirs, tmp_path / "one")
    assert [line for line in theirs.read_text().splitlines() if line.startswith("Include")] == [
        f'Include "{tmp_path / "two"}"'
    ]


def test_a_link_is_written_where_it_leads(tmp_path: Path) -> None:
    real, theirs = tmp_path / "dotfiles", tmp_path / "config"
    real.write_text(THEIRS)
    theirs.symlink_to(real)
    include(theirs, tmp_path / "own")
    assert theirs.is_symlink() and real.read_text().endswith(THEIRS)


def test_a_path_that_would_include_more_than_one_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot use the path"):
        include(tmp_path / "config", tmp_path / "*" / "config")


def test_no_instance_is_an_empty_file() -> None:
    assert "Host" not in text_of([])
