"""A real OpenSSH server on loopback with keys and settings of its own, and a line to it that can be cut."""

import getpass
import os
import select
import shutil
import socket
import subprocess
from pathlib import Path
from threading import Thread

SSHD = shutil.which("sshd") or shutil.which("sshd", path="/usr/sbin:/usr/local/sbin")
MISSING = "the OpenSSH server is not installed (Debian: apt-get install openssh-server)"

_SETTINGS = """\
ListenAddress 127.0.0.1
Port {port}
HostKey {folder}/host_key
AuthorizedKeysFile {folder}/authorized_keys
PidFile {folder}/sshd.pid
AuthenticationMethods publickey
PubkeyAuthentication yes
PasswordAuthentication no
KbdInteractiveAuthentication no
StrictModes no
UsePAM no
LogLevel VERBOSE
MaxStartups 100
Subsystem sftp internal-sftp
ForceCommand {folder}/enter
"""
# The account is the one that runs the tests; its home folder is not.
_ENTER = """\
#!/bin/bash
cd {home} && export HOME={home} && exec /bin/bash -c "${{SSH_ORIGINAL_COMMAND:-exec /bin/bash -l}}"
"""


class Sshd:
    """Started by making one, on a free port; ended by `stop`. What logs in lands in `home`."""

    def __init__(self, folder: Path) -> None:
        assert SSHD is not None, MISSING
        self.folder, self.home = folder, folder / "home"
        self.home.mkdir(parents=True)
        self.user = getpass.getuser()
        self.port = _free_port()
        self.new_host_key()
        (folder / "authorized_keys").touch()
        (folder / "sshd_config").write_text(_SETTINGS.format(port=self.port, folder=folder))
        (folder / "enter").write_text(_ENTER.format(home=self.home))
        (folder / "enter").chmod(0o755)
        if os.getuid() == 0:
            # Where the server keeps its unprivileged part; only the packaged service makes it.
            Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    def start(self) -> None:
        log = open(self.folder / "log", "ab")  # noqa: SIM115 - the server's for as long as it runs
        self._process = subprocess.Popen(
            [str(SSHD), "-D", "-e", "-f", str(self.folder / "sshd_config")], stdin=subprocess.DEVNULL, stderr=log
        )
        log.close()
        while not _answers(self.port):
            assert self._process.poll() is None, self.log

    def stop(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None

    def let_in(self, public_key: str) -> None:
        """That key, and no other, gets in."""
        (self.folder / "authorized_keys").write_text(f"{public_key}\n")

    def new_host_key(self) -> None:
        """Another host key, as another instance at the same address would have; it counts from the next start on."""
        key = self.folder / "host_key"
        for path in (key, key.with_suffix(".pub")):
            path.unlink(missing_ok=True)
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(key)], check=True)

    @property
    def log(self) -> str:
        return (self.folder / "log").read_text()


class Cable:
    """Carries TCP connections to a port until it is cut; `url` is where it begins.

    `cut_after` cuts each connection once that many bytes came back from the server, as often as `cuts` says.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._open: list[socket.socket] = []
        self.is_whole = True
        self.cut_after: int | None = None
        self.cuts = 0
        self.connections = 0
        self._thread = Thread(target=self._accept, daemon=True)
        self._thread.start()

    def cut(self, *, for_good: bool = False) -> None:
        """Break every connection; `for_good` lets no new one through."""
        self.is_whole = not for_good
        for item in list(self._open):
            _shut(item)

    def stop(self) -> None:
        self.cut(for_good=True)
        _shut(self._listener)
        self._listener.close()
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            if not self.is_whole:
                near.close()
                continue
            self.connections += 1
            Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        try:
            far = socket.create_connection(("127.0.0.1", self._to))
        except OSError:
            near.close()
            return
        self._open += [near, far]
        came = 0
        try:
            while True:
                ready, _, _ = select.select([near, far], [], [])
                for item in ready:
                    some = item.recv(65_536)
                    if not some:
                        return
                    if item is far:
                        came += len(some)
                        if self.cut_after is not None and self.cuts > 0 and came > self.cut_after:
                            self.cuts -= 1
                            return
                    (far if item is near else near).sendall(some)
        except OSError:
            return
        finally:
            for name in (near, far):
                _shut(name)
                name.close()
                self._open.remove(name)


def _shut(item: socket.socket) -> None:
    try:
        item.shutdown(socket.SHUT_RDWR)
    except OSError:
        return


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            return bool(connection.recv(4))
    except OSError:
        return False
