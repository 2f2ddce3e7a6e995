"""A proxy in front of a PostgreSQL server that loses the reply to a commit, or the commit, or delivers it late."""

import os
import socket
import tempfile
import threading
from contextlib import suppress
from enum import StrEnum
from pathlib import Path

_COMMIT = b"Q\x00\x00\x00\x0bCOMMIT\x00"
_QUERY = b"Q"
_BLOCK = 65_536


class Loss(StrEnum):
    """What happens to a commit."""

    REPLY = "the reply is lost"
    REQUEST = "the commit is lost"
    LATE = "the commit arrives after the client has lost its connection"
    SILENCE = "the commit arrives, and nothing comes back although the connection stands"


class CommitProxy:
    """Listens on a socket of its own. Each commit that is due for a loss gets it; everything else passes.

    While `is_mute`, the reply to every statement is dropped and the connection stays open.
    """

    def __init__(self, server: Path) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="pgp-", dir="/tmp"))
        self._server = server / ".s.PGSQL.5432"
        self._losses: list[Loss] = []
        self.is_mute = False
        self._lock = threading.Lock()
        self.done = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(self.folder / ".s.PGSQL.5432"))
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def lose(self, loss: Loss) -> None:
        """Do that to the next commit."""
        with self._lock:
            self._losses.append(loss)

    def stop(self) -> None:
        """Stop listening."""
        self._listener.close()
        os.unlink(self.folder / ".s.PGSQL.5432")
        self.folder.rmdir()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            server.connect(str(self._server))
            pair = _Pair(client, server)
            threading.Thread(target=self._forward, args=(pair,), daemon=True).start()
            threading.Thread(target=pair.back, daemon=True).start()

    def _forward(self, pair: "_Pair") -> None:
        with suppress(OSError):
            while block := pair.client.recv(_BLOCK):
                # Connecting still works: what is dropped is what follows.
                pair.is_mute = pair.is_mute or (self.is_mute and block.startswith(_QUERY))
                loss = self._next() if block == _COMMIT else None
                if loss is None:
                    pair.server.sendall(block)
                    continue
                pair.lose(block, loss)
                with self._lock:
                    self.done += 1
                if loss is not Loss.SILENCE:
                    return
        pair.close()

    def _next(self) -> Loss | None:
        with self._lock:
            return self._losses.pop(0) if self._losses else None


class _Pair:
    """One connection, from both sides."""

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client, self.server = client, server
        self.is_mute = self._is_silent = False

    def back(self) -> None:
        """Pass on what the server sends, until that is to be lost."""
        with suppress(OSError):
            while block := self.server.recv(_BLOCK):
                if self.is_mute:
                    continue
                if self._is_silent:
                    # The server has committed: only now is the connection lost.
                    break
                self.client.sendall(block)
        self.close()

    def lose(self, commit: bytes, loss: Loss) -> None:
        if loss is Loss.SILENCE:
            self.is_mute = True
            self.server.sendall(commit)
            return
        self._is_silent = True
        if loss is Loss.REPLY:
            self.server.sendall(commit)
            return
        if loss is Loss.LATE:
            _end(self.client)
            # Long enough for the client to have connected again and looked.
            threading.Event().wait(0.3)
            self.server.sendall(commit)
            return
        self.close()

    def close(self) -> None:
        """End both connections."""
        _end(self.client)
        _end(self.server)


def _end(connection: socket.socket) -> None:
    with suppress(OSError):
        connection.shutdown(socket.SHUT_RDWR)
    connection.close()
