"""A PostgreSQL server of the tests' own, on a socket in a temporary folder, and a database for each test."""

import glob
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import uuid4

_FOLDERS = sorted(glob.glob("/usr/lib/postgresql/*/bin"), reverse=True)
_PATH = os.pathsep.join([*os.environ.get("PATH", "").split(os.pathsep), *_FOLDERS])
POSTGRES = shutil.which("postgres", path=_PATH)
MISSING = "postgres is not installed"
# Without fsync: that guards against a power failure, and what is killed here are processes.
_SETTINGS = {"listen_addresses": "''", "max_connections": "60", "fsync": "off", "shared_buffers": "16MB"}


@dataclass
class PostgresServer:
    """A server that runs as an ordinary user, because PostgreSQL refuses to run as root."""

    folder: Path = field(default_factory=lambda: Path(tempfile.mkdtemp(prefix="pg-", dir="/tmp")))
    settings: dict[str, str] = field(default_factory=dict)
    _process: "subprocess.Popen[bytes] | None" = None

    def __post_init__(self) -> None:
        self.folder.chmod(0o755)
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            os.chown(self.folder, nobody.pw_uid, nobody.pw_gid)
        initialize = ["-D", str(self.data), "-U", "owner", "-A", "trust", "--no-sync", "-E", "UTF8", "--locale=C"]
        self._run("initdb", *initialize)
        self.start()

    @property
    def data(self) -> Path:
        """The folder of the cluster."""
        return self.folder / "data"

    @property
    def pid(self) -> int:
        """The process ID of the server."""
        assert self._process is not None
        return self._process.pid

    def start(self) -> None:
        """Start the server, and return when it accepts connections."""
        options = [f"-c{name}={value.strip(chr(39))}" for name, value in (_SETTINGS | self.settings).items()]
        command = [_program("postgres"), "-D", str(self.data), "-k", str(self.folder), *options]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log, **_as_user())
        deadline = 200
        while not self.accepts():
            deadline -= 1
            assert self._process.poll() is None and deadline, (self.folder / "log").read_text()
            subprocess.run(["sleep", "0.05"], check=True)

    def accepts(self) -> bool:
        """Whether it accepts connections now."""
        import psycopg

        try:
            psycopg.connect(self.url()).close()
        except psycopg.OperationalError:
            return False
        return True

    def kill(self) -> None:
        """End the server and all its processes at once, as a power failure does."""
        assert self._process is not None
        pids = [self._process.pid, *_children(self._process.pid)]
        for pid in pids:
            os.kill(pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """End the server and remove its folder."""
        if self._process is not None and self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            self._process.wait()
        shutil.rmtree(self.folder, ignore_errors=True)

    def url(self, *schemas: str, user: str = "owner") -> str:
        """The URL of a connection that looks for names in those schemas."""
        path = f"&options=-csearch_path%3D{','.join(schemas)}" if schemas else ""
        return f"postgresql://{user}@/postgres?host={self.folder}{path}"

    def new_schema(self) -> str:
        """The name of a new and empty schema, which is as good as a database, and made a hundred times as fast."""
        name = f"t{uuid4().hex[:12]}"
        self.execute(self.url(), f"CREATE SCHEMA {name}")
        return name

    def execute(self, url: str, *statements: str) -> list[tuple[object, ...]]:
        """Run these, and return the rows of the last one."""
        import psycopg

        rows: list[tuple[object, ...]] = []
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in statements:
                cursor = connection.execute(statement.encode())
                rows = cursor.fetchall() if cursor.description else []
        return rows

    def _run(self, program: str, *arguments: str) -> None:
        subprocess.run([_program(program), *arguments], check=True, capture_output=True, **_as_user())


def _program(name: str) -> str:
    path = shutil.which(name, path=_PATH)
    assert path is not None, f"{name} is missing beside postgres"
    return path


def _as_user() -> dict[str, object]:
    if os.geteuid() != 0:
        return {"cwd": "/"}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": [], "cwd": "/"}


def _children(pid: int) -> Sequence[int]:
    path = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(word) for word in path.read_text().split()] if path.exists() else []
