"""DynamoDB on loopback: moto's, one request at a time, with a clock that a test moves.

moto checks a condition and writes in two steps, so requests are not let in side by side: what this leaves unproven is
that DynamoDB itself serializes them, which AWS documents.
"""

import io
import json
import socket
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from email.utils import format_datetime
from threading import Lock, Thread
from typing import Any

from werkzeug.serving import WSGIRequestHandler, make_server


class DynamoServer:
    """A served DynamoDB, started by making one. `lose` says of each request whether its reply is lost.

    `refuse` gives the code with which a request is answered instead, and whether it is carried out all the same;
    `answer` gives the status and the document of another reply to an operation and its arguments. `operations` are
    those that arrived.
    """

    def __init__(self) -> None:
        from moto.server import DomainDispatcherApplication, create_backend_app

        self.now: Callable[[], datetime]
        self.lose: Callable[[str], bool]
        self.refuse: Callable[[str], tuple[str, bool] | None]
        self.answer: Callable[[str, Any], tuple[str, Any] | None]
        self.operations: list[str]
        self.forget_faults()
        self._app: Any = DomainDispatcherApplication(create_backend_app)
        self._lock = Lock()
        clock = self

        class Handler(WSGIRequestHandler):
            def date_time_string(self, timestamp: float | None = None) -> str:
                return format_datetime(clock.now(), usegmt=True)

            def log(self, type: str, message: str, *args: object) -> None:
                return None

        self._server = make_server("127.0.0.1", 0, self._serve, threaded=True, request_handler=Handler)
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()

    @property
    def url(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self._server.port}"

    @property
    def environ(self) -> dict[str, str]:
        """The variables that lead an SDK there."""
        return {
            "AWS_ENDPOINT_URL_DYNAMODB": self.url,
            "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "a-secret-canary",
        }

    def forget_faults(self) -> None:
        """From now on answer as DynamoDB does, at the time of this computer."""
        self.now, self.operations = lambda: datetime.now(UTC), []
        self.lose, self.refuse = lambda operation: False, lambda operation: None
        self.answer = lambda operation, arguments: None

    def stop(self) -> None:
        """Stop serving."""
        self._server.shutdown()
        self._server.server_close()

    def _serve(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        operation = environ.get("HTTP_X_AMZ_TARGET", "").rpartition(".")[2]
        self.operations.append(operation)
        arguments = environ["wsgi.input"].read(int(environ.get("CONTENT_LENGTH") or 0))
        environ["wsgi.input"] = io.BytesIO(arguments)
        # Requests to other services of moto have no operation, and a body of any form.
        instead = self.answer(operation, json.loads(arguments or b"{}")) if operation else None
        if instead is not None:
            start_response(instead[0], [("Content-Type", "application/x-amz-json-1.0")])
            return [json.dumps(instead[1]).encode()]
        refusal = self.refuse(operation)
        if refusal is not None:
            code, is_done = refusal
            with self._lock:
                if is_done:
                    list(self._app(environ, lambda status, headers, *rest: None))
            start_response("400 Bad Request", [("Content-Type", "application/x-amz-json-1.0")])
            return [json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": code}).encode()]
        with self._lock:
            body = list(self._app(environ, start_response))
        if self.lose(operation):
            # What was done is done; the connection ends before the reply.
            environ["werkzeug.socket"].shutdown(socket.SHUT_RDWR)
            raise ConnectionAbortedError
        return body
