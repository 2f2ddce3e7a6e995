"""Logging in to instances of the emulated clouds: who may, what runs there, and that all of it ends with them."""

import json
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from http.client import HTTPConnection
from pathlib import Path

import pytest
from support.azure import LoopbackAzure
from support.clouds import LoopbackAws
from support.google import LoopbackGoogle
from support.guests import Guests

from gpuctl_sandbox.guests.processes import processes_of


@pytest.fixture
def guests(cloud: LoopbackAws, tmp_path: Path) -> Iterator[Guests]:
    cloud.client("ec2")
    folder = tmp_path / "ana müller's sandbox"
    folder.mkdir()
    with cloud.with_instances(folder) as instances:
        yield Guests(cloud, instances, folder)


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.02)  # what ends a connection is another process, in real time


def test_the_owner_of_the_key_gets_in_and_the_exit_code_comes_back(guests: Guests) -> None:
    guests.launch()
    ran = guests.ssh("cat; echo problem >&2; exit 7", text="input")
    assert (ran.stdout, ran.stderr, ran.returncode) == ("input", "problem\n", 7)
    home = Path(guests.ssh("pwd").stdout.strip())
    assert home.is_relative_to(guests.folder) and home != Path.home()
    assert (guests.folder / "instances").stat().st_mode & 0o077 == 0
    assert guests.ssh("bash -lc 'command -v setsid shutdown'").stdout.count("/shutdown\n") == 1


@pytest.mark.parametrize(
    ("user", "key", "options"),
    [
        ("ubuntu", "stranger", ()),
        ("root", "owner", ()),
        (os.environ.get("USER", "somebody"), "owner", ()),
        ("ubuntu", "owner", ("PubkeyAuthentication=no", "PreferredAuthentications=password,keyboard-interactive,none")),
        ("ubuntu", "owner", ("PubkeyAuthentication=no", "PreferredAuthentications=none,hostbased,gssapi-with-mic")),
    ],
)
def test_no_other_user_gets_in(guests: Guests, user: str, key: str, options: tuple[str, ...]) -> None:
    guests.launch()
    ran = guests.ssh("true", user=user, key=getattr(guests, key), options=options)
    assert ran.returncode == 255
    assert "Permission denied (publickey)" in ran.stderr


def test_a_key_that_the_user_of_the_sandbox_never_used_gets_nobody_in(guests: Guests) -> None:
    guests.launch()
    (guests.folder / "login_keys").write_text("")
    ran = guests.ssh("true")
    assert (ran.returncode, "Permission denied (publickey)" in ran.stderr) == (255, True)


@pytest.mark.parametrize(
    "header", [{"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example:80"}]
)
def test_a_web_page_cannot_use_the_sandbox(guests: Guests, header: dict[str, str]) -> None:
    connection = HTTPConnection("127.0.0.1", int(guests.cloud.url.rpartition(":")[2]), timeout=20)
    connection.request("POST", "/compute/v1/projects/p/zones/us-central1-a/instances", "{}", header)
    reply = connection.getresponse()
    assert (reply.status, b"only the user who started the sandbox" in reply.read()) == (403, True)
    connection.close()


@pytest.mark.skipif(os.getuid() != 0, reason="only root can act as another user")
def test_another_user_of_the_computer_cannot_use_the_sandbox(guests: Guests) -> None:
    fetch = "import sys, urllib.request as u; print(u.urlopen(sys.argv[1]).status)"
    argv = ["/usr/bin/python3", "-I", "-c", fetch, f"{guests.cloud.url}/gpuctl-sandbox"]
    assert subprocess.run(argv, capture_output=True, check=False).stdout == b"200\n"
    other = subprocess.run(argv, capture_output=True, check=False, user=65534, group=65534)
    assert (other.returncode, b"403" in other.stderr) == (1, True)


def test_nothing_listens_beyond_loopback(guests: Guests) -> None:
    guests.launch()
    for address in ("127.0.0.2", own_address()):
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((address, guests.port), timeout=5)
    socket.create_connection(("127.0.0.1", guests.port), timeout=5).close()


def own_address() -> str:
    """An address of this computer that is not 127.0.0.1; no packet is sent."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))
        except OSError:
            return "127.0.0.3"
        address: str = probe.getsockname()[0]
        return address


def test_an_instance_whose_port_22_is_not_open_to_this_computer_is_not_reached(guests: Guests) -> None:
    guests.launch(SecurityGroupIds=[])
    assert guests.ports == {}


def test_it_is_gone_with_its_instance(guests: Guests) -> None:
    instance_id = guests.launch()
    folder = next((guests.folder / "instances").iterdir())
    argv = ["ssh", *guests.options(), "ubuntu@127.0.0.1", "setsid sleep 600 & echo up; sleep 600"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as session:
        assert session.stdout is not None and session.stdout.readline() == b"up\n"
        port = guests.port
        guests.cloud.interrupt(instance_id)
        assert session.wait(timeout=20) == 255
    assert (guests.ports, folder.exists(), processes_of(folder)) == ({}, False, [])
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=5)


def test_a_stopped_instance_keeps_its_files_and_its_host_key(guests: Guests) -> None:
    instance_id = guests.launch()
    guests.ssh("echo kept > file")
    guests.cloud.client("ec2").stop_instances(InstanceIds=[instance_id])
    assert guests.ports == {}
    guests.cloud.client("ec2").start_instances(InstanceIds=[instance_id])
    assert guests.ssh("cat file").stdout == "kept\n"


@pytest.mark.parametrize("command", ["sudo shutdown -h now", "poweroff", "systemctl poweroff -i", "bash -lc 'halt -p'"])
def test_a_power_off_is_that_of_the_instance(guests: Guests, command: str) -> None:
    guests.launch()
    guests.ssh(command)
    until(lambda: guests.cloud.instances()[0]["state"] != "running")
    assert guests.ports == {}


def test_a_power_off_in_some_minutes_can_be_cancelled(guests: Guests) -> None:
    guests.launch()
    assert guests.ssh("shutdown +5 && ls ../../power && shutdown -c && ls ../../power").returncode == 2
    assert guests.cloud.instances()[0]["state"] == "running"


def test_a_terminal_has_a_size_and_ends_with_its_shell(guests: Guests) -> None:
    guests.launch()
    ran = guests.ssh("-tt", text="tty; who; echo $((40 + 2))\nexit 3\n")
    assert ran.returncode == 3
    assert "/dev/pts/" in ran.stdout and "ubuntu pts/" in ran.stdout and "42" in ran.stdout


@pytest.mark.parametrize("protocol", [(), ("-O",)])
def test_scp_copies_there_and_back(guests: Guests, tmp_path: Path, protocol: tuple[str, ...]) -> None:
    guests.launch()
    (tmp_path / "data" / "more").mkdir(parents=True)
    (tmp_path / "data" / "more" / "file").write_bytes(bytes(range(256)) * 1000)
    scp = ["scp", "-q", "-r", *protocol, *guests.options()]
    subprocess.run([*scp, str(tmp_path / "data"), "ubuntu@127.0.0.1:"], check=True, timeout=60)
    subprocess.run([*scp, "ubuntu@127.0.0.1:data", str(tmp_path / "back")], check=True, timeout=60)
    assert (tmp_path / "back" / "more" / "file").read_bytes() == (tmp_path / "data" / "more" / "file").read_bytes()


def test_connections_are_slow_or_break_where_that_is_set_up(guests: Guests) -> None:
    guests.launch()
    guests.cloud.ask("POST", "/gpuctl-sandbox/network", {"cuts": 1, "cut_after": 0})
    assert guests.ssh("true").returncode == 255
    assert guests.ssh("true").returncode == 0
    guests.cloud.ask("POST", "/gpuctl-sandbox/network", {"delay_s": 0.1})
    began = time.monotonic()
    assert guests.ssh("true").returncode == 0
    assert time.monotonic() - began > 0.5
    with pytest.raises(AssertionError, match="400"):
        guests.cloud.ask("POST", "/gpuctl-sandbox/network", {"delay": 1})


def test_azure_lets_in_its_admin_user(guests: Guests, served_azure: LoopbackAzure) -> None:
    served_azure.register()
    keys = [{"path": "/home/ana/.ssh/authorized_keys", "keyData": guests.public_key}]
    linux = {"disablePasswordAuthentication": True, "ssh": {"publicKeys": keys}}
    served_azure.launch(osProfile={"computerName": "vm", "adminUsername": "ana", "linuxConfiguration": linux})
    assert guests.ssh("nvidia-smi -L", user="ana").stdout.startswith("GPU 0: Tesla T4 (UUID: GPU-")
    assert guests.ssh("true").returncode == 255


def test_google_cloud_lets_in_the_users_of_its_metadata(guests: Guests, google: LoopbackGoogle) -> None:
    google.launch(metadata={"ssh-keys": f"ana:{guests.public_key} a comment", "color": "blue"})
    service = "http://169.254.169.254/computeMetadata/v1/instance/attributes/color"
    fetch = f"curl -s -o /dev/null -w '%{{http_code}} ' {service}; curl -s -H 'Metadata-Flavor: Google' {service}"
    assert guests.ssh(fetch, user="ana").stdout == "403 blue"
    assert guests.ssh("true").returncode == 255


def test_what_keeps_an_instance_from_booting_is_published_and_the_cloud_goes_on(guests: Guests) -> None:
    blocked = guests.folder / "instances"
    blocked.write_text("a file where the folder of the instances would be")
    guests.launch()
    (problem,) = json.loads((guests.folder / "network.json").read_text())["failures"].values()
    assert "File exists" in problem and guests.ports == {}
    blocked.unlink()
    guests.instances.settle()
    assert json.loads((guests.folder / "network.json").read_text())["failures"] == {}
    assert guests.ssh("true").returncode == 0
