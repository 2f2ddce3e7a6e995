"""An address on loopback to which hooks post."""

from support.serving import Request, Server, body_of, send


class Receiver(Server):
    """A server on loopback that keeps what is posted to it and answers with `status` and `headers`."""

    def __init__(self) -> None:
        self.got: list[tuple[str, dict[str, str], bytes]] = []
        self.status, self.headers = 204, {}  # type: tuple[int, dict[str, str]]
        super().__init__(self._keep)

    def _keep(self, request: Request) -> None:
        self.got.append((request.path, dict(request.headers), body_of(request)))
        send(request, self.status, headers=self.headers)
