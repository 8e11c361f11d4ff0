"""A receiver of webhooks for tests: it records requests, and answers wrongly on command."""

from __future__ import annotations

import json
import ssl
import threading
from collections.abc import Callable
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self


@dataclass(frozen=True)
class Received:
    """One request. headers: names in lower case."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The decoded body."""
        return json.loads(self.body)


Answer = Callable[[BaseHTTPRequestHandler], object]


class WebhookServer:
    """A context manager that serves on a loopback port.

    received  all requests so far, in order
    status    what is answered
    answer    called instead of answering with ``status``
    stopped   set at the end, so that a hanging ``answer`` can end
    """

    def __init__(self, tls: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> None:
        self.received: list[Received] = []
        self.status = 200
        self.headers: dict[str, str] = {}
        self.answer: Answer | None = None
        self.stopped = threading.Event()
        self.arrived = threading.Condition()
        server = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                server._serve(self)

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass

        self._server = Quiet((host, 0), Handler)
        if tls is not None:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "http" if tls is None else "https"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    @property
    def url(self) -> str:
        """The address of a hook."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_port}/hook/token-1234?to=you"

    @property
    def ids(self) -> list[str]:
        """The idempotency keys of all requests, in order."""
        return [request.headers["webhook-id"] for request in self.received]

    def await_requests(self, count: int, timeout_s: float = 60.0) -> None:
        """Wait until this many requests have come. Raises AssertionError if they do not."""
        with self.arrived:
            assert self.arrived.wait_for(lambda: len(self.received) >= count, timeout_s), len(self.received)

    def hang(self, _: BaseHTTPRequestHandler) -> None:
        """An ``answer`` that never comes."""
        self.stopped.wait(600)

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        body = handler.rfile.read(int(handler.headers["Content-Length"]))
        headers = {name.lower(): value for name, value in handler.headers.items()}
        with self.arrived:
            self.received.append(Received(handler.path, headers, body))
            self.arrived.notify_all()
        if self.answer is not None:
            self.answer(handler)
            return
        handler.send_response(self.status)
        for name, value in ({"Content-Length": "0"} | self.headers).items():
            handler.send_header(name, value)
        handler.end_headers()
