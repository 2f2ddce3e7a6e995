"""Starting, finding, emptying and ending the server, with real processes; each test's folder is its own."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest
from support.clouds import LoopbackAws

import gpuctl
import gpuctl_sandbox
from gpuctl import sandbox
from gpuctl.errors import UsageError
from gpuctl.sandbox import (
    SandboxError,
    ServerAddress,
    ensure,
    interrupt,
    read_address,
    ssh_options,
    status,
    stop,
    verify,
)

SOURCE = Path(sandbox.__file__).parents[1]
EMULATORS = Path(gpuctl_sandbox.__file__).parents[1]
# The discard service's port: nothing answers there.
NOWHERE = "http://127.0.0.1:9"


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "state" / "sandbox"
    yield folder
    with suppress(SandboxError):
        stop(folder)


def write_address(folder: Path, **changes: Any) -> None:
    body = {"url": NOWHERE, "pid": os.getpid(), "nonce": "loopback", "startedAt": "2026-11-24T10:00:00+00:00"}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "address.json").write_text(json.dumps({**body, **changes}))


def run_instance(address: ServerAddress) -> int:
    scope = "20261124/us-east-1/ec2/aws4_request"
    connection = HTTPConnection(address.url.removeprefix("http://"), timeout=30)
    connection.request(
        "POST",
        "/",
        "Action=RunInstances&Version=2016-11-15&ImageId=ami-1&InstanceType=g5.xlarge&MinCount=1&MaxCount=1",
        {
            "Authorization": f"AWS4-HMAC-SHA256 Credential=sandbox/{scope}, SignedHeaders=host, Signature=0",
            "Content-Type": "application/x-www-form-urlencoded",
        },
    )
    code = connection.getresponse().status
    connection.close()
    return code


def instances(address: ServerAddress) -> list[dict[str, Any]]:
    connection = HTTPConnection(address.url.removeprefix("http://"), timeout=30)
    connection.request("GET", "/gpuctl-sandbox/instances")
    actual = json.loads(connection.getresponse().read())
    connection.close()
    return actual


def test_two_callers_at_once_get_the_one_server_and_later_ones_get_it_too(folder: Path) -> None:
    with ThreadPoolExecutor(2) as callers:
        first, second = callers.map(ensure, [folder, folder])

    assert first == second == ensure(folder) == status(folder) == read_address(folder)
    assert (folder.stat().st_mode & 0o777, (folder / "address.json").stat().st_mode & 0o777) == (0o700, 0o600)


def test_a_server_of_another_version_is_not_used_and_can_be_stopped(folder: Path) -> None:
    address = ensure(folder)
    assert address.version == gpuctl_sandbox.__version__ == gpuctl.__version__
    document = json.loads((folder / "address.json").read_text())
    for version, text in ((None, "an older version of gpuctl"), ("0.0.9", "gpuctl 0.0.9")):
        write_address(folder, **{**document, "version": version})

        with pytest.raises(UsageError, match=f"the sandbox was started by {text}; this is") as failure:
            ensure(folder)

        assert failure.value.hint == "gpuctl sandbox reset"
    assert stop(folder) is True


def test_an_instance_that_does_not_boot_is_an_error_that_no_retry_helps(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "network.json").write_text('{"ports": {}, "failures": {"54.1.2.3": "no space left"}}')

    assert "Port=1" in ssh_options(folder, "54.1.2.4", "ssh-ed25519 AAAA")
    with pytest.raises(UsageError, match="could not boot the instance: no space left"):
        ssh_options(folder, "54.1.2.3", "ssh-ed25519 AAAA")


def test_after_a_stop_nothing_answers_and_the_next_server_is_another_one(folder: Path) -> None:
    before = ensure(folder)

    assert stop(folder) is True

    assert (verify(before), read_address(folder), status(folder)) == (False, None, None)
    assert (stop(folder), interrupt(folder, "i-1")) == (False, False)
    assert ensure(folder).nonce != before.nonce


def test_neither_proxies_nor_cloud_settings_of_the_caller_reach_the_server(
    folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "ALL_PROXY", "AWS_ENDPOINT_URL"):
        monkeypatch.setenv(name, NOWHERE)
    monkeypatch.setenv("AWS_PROFILE", "missing")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "missing"))
    monkeypatch.setenv("MOTO_ENABLE_AMI_VALIDATION", "true")

    address = ensure(folder)

    assert verify(address)
    assert run_instance(address) == 200


def test_a_pipe_around_the_caller_closes_while_the_server_runs(folder: Path) -> None:
    program = f"from gpuctl.sandbox import ensure; from pathlib import Path; print(ensure(Path({str(folder)!r})).pid)"

    caller = subprocess.run(
        [sys.executable, "-c", program],
        env={**os.environ, "PYTHONPATH": f"{SOURCE}{os.pathsep}{EMULATORS}"},
        stdin=subprocess.PIPE,
        capture_output=True,
        timeout=60,
        check=True,
    )

    running = status(folder)
    assert running is not None
    assert int(caller.stdout) == running.pid


def test_a_server_of_another_name_is_not_adopted_and_not_terminated(folder: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    foreign = ensure(elsewhere)
    write_address(folder, url=foreign.url, pid=foreign.pid, nonce="another")

    used = (status(folder), stop(folder), interrupt(folder, "i-1"))
    mine = ensure(folder)

    assert used == (None, False, False)
    assert mine.pid != foreign.pid
    assert status(elsewhere) == foreign
    stop(elsewhere)


def test_a_process_that_does_not_answer_for_itself_is_never_signalled(folder: Path, cloud: LoopbackAws) -> None:
    bystander = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    write_address(folder, url=cloud.url, pid=bystander.pid)

    stopped = stop(folder)

    assert stopped is False
    assert bystander.poll() is None
    bystander.communicate(b"\n")
    assert bystander.returncode == 0


@pytest.mark.parametrize(
    "left_behind",
    [
        "",
        "{}",
        "[]",
        "null",
        '{"url": "http://127.0.0.1:9", "pid": -1, "nonce": "n", "startedAt": "2026-11-24T10:00:00Z"}',
        '{"url": "http://127.0.0.1:9", "pid": 99, "nonce": "n", "startedAt": "yesterday"}',
    ],
)
def test_an_address_file_that_says_nothing_is_no_address(folder: Path, left_behind: str) -> None:
    folder.mkdir(parents=True)
    (folder / "address.json").write_text(left_behind)

    assert read_address(folder) is None


def test_an_address_where_nothing_answers_is_replaced(folder: Path) -> None:
    write_address(folder)
    assert read_address(folder) == ServerAddress(
        NOWHERE, os.getpid(), "loopback", datetime(2026, 11, 24, 10, tzinfo=UTC)
    )

    address = ensure(folder)

    assert read_address(folder) == address
    assert verify(address)


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1:80",
        "https://127.0.0.1:80",
        "http://127.0.0.1.example.com:80",
        "http://127.0.0.1:80@example.com",
        "http://localhost:80",
        "http://127.0.0.1:80/\n",
    ],
)
def test_an_address_off_loopback_is_refused_by_everyone(folder: Path, url: str) -> None:
    write_address(folder, url=url)

    for use in (read_address, status, ensure, stop):
        with pytest.raises(SandboxError, match="names a server that is not on loopback"):
            use(folder)


def test_an_address_file_that_is_a_link_is_refused(folder: Path, tmp_path: Path) -> None:
    write_address(tmp_path)
    folder.mkdir(parents=True)
    (folder / "address.json").symlink_to(tmp_path / "address.json")

    with pytest.raises(SandboxError, match="cannot read"):
        ensure(folder)


def test_a_server_that_exits_at_once_is_reported_with_its_last_line(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "moto").mkdir()
    (tmp_path / "moto" / "__init__.py").write_text("raise ImportError('broken on purpose')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(SandboxError) as failure:
        ensure(folder)

    assert failure.value.message == "the sandbox server exited at once: ImportError: broken on purpose"
    assert failure.value.hint == f"cat {folder}/server.log"
    assert status(folder) is None


def test_a_server_that_takes_too_long_is_terminated(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "moto").mkdir()
    (tmp_path / "moto" / "__init__.py").write_text("from threading import Event\nEvent().wait()\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    with pytest.raises(SandboxError, match=r"did not answer within 0\.5 s"):
        ensure(folder, patience=timedelta(seconds=0.5))

    assert status(folder) is None


def test_without_moto_the_error_names_what_to_install(folder: Path) -> None:
    program = (
        f"import sys; sys.path.insert(0, {str(SOURCE)!r})\n"
        "from pathlib import Path\n"
        "from gpuctl.errors import UsageError\n"
        "from gpuctl.sandbox import ensure\n"
        f"try: ensure(Path({str(folder)!r}))\n"
        "except UsageError as error: print(error.hint)\n"
    )

    # -S leaves out site-packages, and with it moto.
    text = subprocess.run([sys.executable, "-I", "-S", "-c", program], capture_output=True, text=True, check=True)

    assert "install" in text.stdout and "[sandbox]" in text.stdout


def test_control_imports_nothing_slow() -> None:
    program = f"import sys; sys.path.insert(0, {str(SOURCE)!r}); import gpuctl.sandbox; print(*sys.modules)"

    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.split()

    assert set(loaded).isdisjoint(
        {"moto", "flask", "werkzeug", "boto3", "botocore", "http.client", "subprocess", "socket"}
    )
