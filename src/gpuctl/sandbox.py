"""Start, find and stop the server of the emulated clouds (`gpuctl_sandbox`); imports nothing that is slow."""

import fcntl
import json
import os
import re
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from gpuctl import __version__
from gpuctl.distribution import install_extra
from gpuctl.errors import UnreachableError, UsageError
from gpuctl.files import disk_hint, private_folder

PATIENCE = timedelta(seconds=30)
ANSWER_WITHIN = timedelta(seconds=5)

_PAUSE = timedelta(milliseconds=50)
_NO_PORT = 1
_PASSED_ON = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV")
_LOOPBACK = re.compile(r"http://127\.0\.0\.1:(?P<port>[1-9]\d{0,4})")


class SandboxError(UnreachableError):
    """The sandbox cannot be used."""


@dataclass(frozen=True)
class ServerAddress:
    """Where a server said it answers, and the name it was started under; whether it still does only `verify` knows."""

    url: str
    pid: int
    nonce: str
    started_at: datetime
    version: str | None = None


def read_address(folder: Path) -> ServerAddress | None:
    """The content of the address file, without a request. None if there is none or it cannot be read.

    SandboxError if it belongs to another user or names an address that is not loopback.
    """
    path = folder / "address.json"
    body = _own_file(path)
    if body is None:
        return None
    try:
        document = json.loads(body)
        started_at, version = datetime.fromisoformat(document["startedAt"]), document.get("version")
        address = ServerAddress(str(document["url"]), int(document["pid"]), str(document["nonce"]), started_at, version)
    except (ValueError, KeyError, TypeError):
        return None
    if address.pid < 2 or address.started_at.tzinfo is None:
        return None
    if not _LOOPBACK.fullmatch(address.url):
        raise SandboxError(f"`{path}` names a server that is not on loopback", hint=f"rm {path}")
    return address


def ssh_options(folder: Path, address: str, key: str) -> tuple[str, ...]:
    """The options of ssh that lead to the sandbox instance with that public address, as its server published them.

    From now on the server lets in that public key, if the instance was created with it: anyone else who uses the server
    could create an instance with a key of their own. An instance that cannot be reached leads to a port at which
    nothing answers, never to its address, which belongs to other people. Raises SandboxError as `read_address` does,
    and if the key cannot be written; UsageError if the server could not boot the instance.
    """
    _let_in(folder / "login_keys", key)
    try:
        network = json.loads(_own_file(folder / "network.json") or b"{}")
        if (problem := network.get("failures", {}).get(address)) is not None:
            raise UsageError(f"the sandbox could not boot the instance: {problem}", hint=f"cat {folder / 'server.log'}")
        port = int(network["ports"].get(address, _NO_PORT))
    except (ValueError, KeyError, TypeError, AttributeError):
        port = _NO_PORT
    return ("HostName=127.0.0.1", f"Port={port if 0 < port < 65_536 else _NO_PORT}", "ProxyJump=none")


def state_folder(folder: Path) -> Path:
    """The folder for the state of the server in the address file: each server has a state of its own.

    UsageError where `read_address` raises SandboxError."""
    try:
        server = read_address(folder)
    except SandboxError as error:
        raise UsageError(error.message, hint=error.hint) from error
    return folder / (server.nonce if server else "none")


def verify(address: ServerAddress, timeout: timedelta = ANSWER_WITHIN) -> bool:
    """Whether the very server of this address answers there now: same nonce, same process. Never raises."""
    reply = _ask(address, "GET", "/gpuctl-sandbox", timeout)
    return reply is not None and reply.get("nonce") == address.nonce and reply.get("pid") == address.pid


def status(folder: Path) -> ServerAddress | None:
    """The server that runs for this folder, verified. None if none does."""
    address = read_address(folder)
    return address if address is not None and verify(address) else None


def ensure(folder: Path, patience: timedelta = PATIENCE) -> ServerAddress:
    """The server of this folder, verified: the running one, or a new and empty one if none runs.

    Callers at the same time get the same server. Raises SandboxError if it cannot be started within `patience`, and
    UsageError if the extra `sandbox` is not installed or the running server is of another version of gpuctl.
    """
    _require_own(folder)
    running = status(folder)
    if running is None:
        with _locked(folder, patience):
            running = status(folder) or _start(folder, patience)
    if running.version != __version__:
        # Another version may lack what this one relies on: then instances would never become ready.
        other = f"gpuctl {running.version}" if running.version else "an older version of gpuctl"
        raise UsageError(f"the sandbox was started by {other}; this is {__version__}", hint="gpuctl sandbox reset")
    return running


def stop(folder: Path) -> bool:
    """End the server of this folder and wait until it is gone. False if none runs; nothing else is ever signalled."""
    address = status(folder)
    if address is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(address.pid, signal.SIGTERM)
    for _ in range(_attempts_within(timedelta(seconds=10))):
        if not verify(address):
            return True
        _wait()
    raise SandboxError(f"the sandbox server (process {address.pid}) does not exit", hint=f"kill -9 {address.pid}")


def interrupt(folder: Path, cloud_id: str) -> bool:
    """Take that spot instance back, as its provider would. False if no spot instance has that ID, or no server runs."""
    from urllib.parse import quote

    address, query = status(folder), f"id={quote(cloud_id, safe='')}"
    return bool(address and _ask(address, "POST", f"/gpuctl-sandbox/interrupt?{query}", PATIENCE))


def _own_file(path: Path) -> bytes | None:
    """The content of a file that the server wrote; None if there is none."""
    try:
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), "rb") as file:
            owner, body = os.fstat(file.fileno()).st_uid, file.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise SandboxError(f"cannot read `{path}`: {_reason(error)}", hint=f"rm {path}") from error
    if owner != os.getuid():
        raise SandboxError(f"`{path}` belongs to another user", hint=f"rm {path}")
    return body


def _let_in(path: Path, key: str) -> None:
    if key.encode() in (_own_file(path) or b"").splitlines():
        return
    try:
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_NOFOLLOW, 0o600), "ab") as file:
            file.write(f"{key}\n".encode())
    except OSError as error:
        raise SandboxError(f"cannot write `{path}`: {_reason(error)}", hint=disk_hint(error, path.parent)) from error


def _check_installed() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("gpuctl_sandbox", "moto", "flask", "werkzeug", "asyncssh") if find_spec(name) is None]
    if missing:
        raise UsageError(f"the sandbox needs `{missing[0]}`, which is not installed", hint=install_extra("sandbox"))


def _require_own(folder: Path) -> None:
    try:
        private_folder(folder.parent)
        folder.mkdir(mode=0o700, exist_ok=True)
        if folder.stat().st_uid != os.getuid():
            raise SandboxError(f"`{folder}` belongs to another user", hint=f"ls -ld {folder}")
        folder.chmod(0o700)
    except OSError as error:
        raise SandboxError(f"cannot use `{folder}`: {_reason(error)}", hint=disk_hint(error, folder)) from error


@contextmanager
def _locked(folder: Path, patience: timedelta) -> Iterator[None]:
    lock = os.open(folder / "start.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        # A start under way may take all its patience; the margin lets us see how it ended.
        for _ in range(_attempts_within(patience + timedelta(seconds=5))):
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                _wait()
        else:
            hint = f"cat {folder / 'server.log'}, then try again"
            raise SandboxError("another process is still starting the sandbox", hint=hint)
        yield
    finally:
        os.close(lock)


def _start(folder: Path, patience: timedelta) -> ServerAddress:
    import subprocess
    import sys
    from threading import Thread

    _check_installed()
    nonce, log = os.urandom(16).hex(), folder / "server.log"
    command = [sys.executable, "-P", "-m", "gpuctl_sandbox.server", "--folder", str(folder.resolve()), "--nonce", nonce]
    with open(os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            env=_environment(),
            start_new_session=True,
        )
    for _ in range(_attempts_within(patience)):
        address = read_address(folder)
        if address is not None and address.nonce == nonce and verify(address):
            # A caller that outlives the server must not keep it as a zombie.
            Thread(target=process.wait, daemon=True).start()
            return address
        try:
            process.wait(timeout=_PAUSE.total_seconds())
        except subprocess.TimeoutExpired:
            continue
        raise SandboxError(f"the sandbox server exited at once: {_last_line(log)}", hint=f"cat {log}")
    process.kill()
    process.wait()
    within = f"{patience.total_seconds():g} s"
    raise SandboxError(f"the sandbox server did not answer within {within}: {_last_line(log)}", hint=f"cat {log}")


def _environment() -> dict[str, str]:
    """What the server needs to find Python and its modules, and nothing that could lead its emulators elsewhere."""
    from importlib.util import find_spec

    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ}
    # The caller may import them from a folder that its environment does not name, or names relative to its own folder.
    package = find_spec("gpuctl_sandbox")
    assert package is not None
    source = Path(str(package.origin)).resolve().parents[1]
    folders = [os.path.abspath(name) for name in environment.get("PYTHONPATH", "").split(os.pathsep) if name]
    environment["PYTHONPATH"] = os.pathsep.join(
        folders if source.name.endswith("-packages") else [*folders, str(source)]
    )
    return environment


def _ask(address: ServerAddress, method: str, path: str, timeout: timedelta) -> dict[str, Any] | None:
    """The JSON object that the server answers with status 200, over a plain socket that no proxy setting can divert."""
    from http.client import HTTPConnection, HTTPException

    place = _LOOPBACK.fullmatch(address.url)
    if place is None:
        return None
    connection = HTTPConnection("127.0.0.1", int(place["port"]), timeout=timeout.total_seconds())
    try:
        connection.request(method, path)
        reply = connection.getresponse()
        document = json.loads(reply.read(4096))
    except (OSError, HTTPException, ValueError, OverflowError):
        return None
    finally:
        connection.close()
    return document if reply.status == 200 and isinstance(document, dict) else None


def _last_line(log: Path) -> str:
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
    except OSError:
        lines = []
    return next((line.strip() for line in reversed(lines) if line.strip()), "its log is empty")


def _reason(error: OSError) -> str:
    return (error.strerror or str(error)).lower()


def _attempts_within(span: timedelta) -> int:
    return max(1, int(span / _PAUSE))


def _wait() -> None:
    from threading import Event

    Event().wait(_PAUSE.total_seconds())
