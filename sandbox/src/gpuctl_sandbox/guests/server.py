"""The SSH server of one instance: who may log in, and what those who may are given."""

import asyncio
import os
import socket
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import asyncssh

from gpuctl_sandbox.guests.guest import Guest
from gpuctl_sandbox.guests.network import Network, carry
from gpuctl_sandbox.guests.shell import Session, run

_LOCAL = ("localhost", "127.0.0.1", "::1")
_LOGIN_WITHIN_S = 30


class _Server(asyncssh.SSHServer):
    """Lets in the users of the instance with the keys that its create carried, and nobody else.

    A key must also be in `login_keys`, which only the user who started the sandbox can write: a create could come from
    somebody else, and what is run here is run as that user.
    """

    def __init__(self, guest: Callable[[], Guest], login_keys: Path) -> None:
        self._guest = guest
        self._login_keys = login_keys

    def begin_auth(self, username: str) -> bool:
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        offered = " ".join(key.export_public_key("openssh").decode().split()[:2])
        try:
            allowed = self._login_keys.read_text("utf-8").splitlines()
        except OSError:
            return False
        return offered in allowed and (username, offered) in self._guest().logins

    def connection_requested(self, dest_host: str, dest_port: int, orig_host: str, orig_port: int) -> bool:
        # `ssh -L` to the instance itself, which is this computer.
        return dest_host in _LOCAL


class _Files(asyncssh.SFTPServer):
    """SFTP whose relative paths begin in the home folder."""

    def __init__(self, chan: "asyncssh.SSHServerChannel[bytes]", home: Path) -> None:
        super().__init__(chan)
        self._home = os.fsencode(home)

    def map_path(self, path: bytes) -> bytes:
        return os.path.join(self._home, path)

    def exit(self) -> None:
        # Without an exit status, scp reports a failure.
        self.channel.exit(0)


class SshServer:
    """The server of one instance on a port of 127.0.0.1. Use it in one event loop."""

    def __init__(
        self,
        guest: Callable[[], Guest],
        session: Callable[[str], Session],
        key: asyncssh.SSHKey,
        login_keys: Path,
        network: Network,
    ) -> None:
        self._guest = guest
        self._session = session
        self._key = key
        self._login_keys = login_keys
        self._network = network
        self._listener: socket.socket | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def open(self, port: int = 0) -> int:
        """Listen on that port, or on a free one if it is 0 or taken; returns the port. Raises OSError."""
        try:
            listener = socket.create_server(("127.0.0.1", port))
        except OSError:
            if port == 0:
                raise
            listener = socket.create_server(("127.0.0.1", 0))
        listener.setblocking(False)
        self._listener = listener
        asyncio.get_running_loop().add_reader(listener, self._accept, listener)
        address: tuple[str, int] = listener.getsockname()
        return address[1]

    async def close(self) -> None:
        """Stop listening, and break every connection. A second call has no effect."""
        if self._listener is not None:
            asyncio.get_running_loop().remove_reader(self._listener)
            self._listener.close()
            self._listener = None
        await self.cut()

    async def cut(self) -> None:
        """Break every connection."""
        connections = list(self._connections)
        for connection in connections:
            connection.cancel()
        await asyncio.gather(*connections, return_exceptions=True)

    @property
    def count(self) -> int:
        """How many connections are open."""
        return len(self._connections)

    def _accept(self, listener: socket.socket) -> None:
        # Not by a server of asyncio: one that is closed leaves open what it accepted in that moment.
        try:
            accepted, _ = listener.accept()
        except OSError:
            return
        connection = asyncio.get_running_loop().create_task(self._connect(accepted))
        self._connections.add(connection)
        connection.add_done_callback(partial(self._forget, accepted))

    def _forget(self, accepted: socket.socket, connection: asyncio.Task[None]) -> None:
        # A task that is cancelled before its first step closes nothing itself.
        accepted.close()
        self._connections.discard(connection)

    async def _connect(self, accepted: socket.socket) -> None:
        reader, writer = await asyncio.open_connection(sock=accepted)
        near, far = socket.socketpair()
        serving = asyncio.create_task(self._serve(far))
        try:
            inside, outside = await asyncio.open_connection(sock=near)
            await carry(reader, writer, inside, outside, self._network)
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)
            for end in (near, far):
                end.close()
            writer.close()

    async def _serve(self, far: socket.socket) -> None:
        with suppress(asyncssh.Error, OSError, asyncio.TimeoutError):
            connection = await asyncssh.run_server(
                far,
                server_factory=lambda: _Server(self._guest, self._login_keys),
                server_host_keys=[self._key],
                process_factory=lambda process: run(process, self._session(_user(process))),
                sftp_factory=lambda channel: _Files(channel, self._session(_user(channel)).home),
                encoding=None,
                line_editor=False,
                agent_forwarding=False,
                x11_forwarding=False,
                gss_host=None,
                login_timeout=_LOGIN_WITHIN_S,
                server_version="OpenSSH_gpuctl_sandbox",
            )
            try:
                await connection.wait_closed()
            finally:
                connection.abort()


def _user(item: "asyncssh.SSHServerProcess[bytes] | asyncssh.SSHServerChannel[bytes]") -> str:
    return str(item.get_extra_info("username"))


def new_host_key() -> asyncssh.SSHKey:
    """A host key that no other instance has."""
    return asyncssh.generate_private_key("ssh-ed25519")
