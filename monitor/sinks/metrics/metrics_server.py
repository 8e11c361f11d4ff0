"""A small HTTP server for a few fixed pages. It serves GET only, few clients at once, and waits for none of them."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from monitor.errors import BindError
from monitor.text.outside import safe

TIMEOUT_S = 5.0
"""A client that sends or takes nothing for this long is left."""
MOST_CLIENTS = 16
"""Clients at once; further ones are closed."""
_POLL_S = 0.1


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer to a request: HTTP status, body, and type of the body."""

    status: int
    body: bytes
    content_type: str


Page = Callable[[bool], Answer]
"""Makes an answer in a thread of the server. Its argument: whether the client asks for details (``?verbose``)."""


class MetricsServer:
    """A context manager around the server and its threads.

    host, port  where to serve; port 0: any free one
    pages       path -> page

    On entry, raises BindError.
    """

    def __init__(self, host: str, port: int, pages: Mapping[str, Page]) -> None:
        self._host, self._port, self._pages = host, port, pages
        self._thread: threading.Thread | None = None
        self.address = ""
        """``http://HOST:PORT``; empty before the start."""

    def __enter__(self) -> Self:
        shown = f"[{self._host}]" if ":" in self._host else self._host
        try:
            self._server = _Server(self._host, self._port, self._pages)
        except OSError as error:
            raise BindError(
                f"metrics cannot be served at {shown}:{self._port} ({safe(error.strerror or error)}): "
                "choose another address with --metrics or [metrics] listen"
            ) from error
        self.address = f"http://{shown}:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_S,), name="metrics", daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.end_clients()
        self._server.server_close()  # joins the threads of the clients
        if self._thread is not None:
            self._thread.join()


class _Server(ThreadingHTTPServer):
    daemon_threads = False
    block_on_close = True
    # A monitor that starts again must not wait until its old connections are forgotten.
    allow_reuse_address = True

    def __init__(self, host: str, port: int, pages: Mapping[str, Page]) -> None:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        self.address_family = found[0][0]
        self.pages = pages
        self._clients: set[socket.socket] = set()
        self._lock = threading.Lock()
        super().__init__((host, port), _Handler)

    def server_bind(self) -> None:
        """Bind without looking up the host's name, which may take seconds."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def verify_request(self, request: Any, client_address: Any) -> bool:  # noqa: ARG002 - the base names them
        """Refuse a client if there are many."""
        with self._lock:
            if len(self._clients) >= MOST_CLIENTS:
                return False
            self._clients.add(request)
            return True

    def shutdown_request(self, request: Any) -> None:
        """Close a connection."""
        with self._lock:
            self._clients.discard(request)
        super().shutdown_request(request)

    def end_clients(self) -> None:
        """End the waits of all connections."""
        with self._lock:
            for client in self._clients:
                try:
                    client.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue  # it is closed already

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: a client that goes away is usual."""


class _Handler(BaseHTTPRequestHandler):
    timeout = TIMEOUT_S
    server: _Server
    server_version = "TrueSight"
    sys_version = ""

    def do_GET(self) -> None:
        """Answer with a page."""
        asked = urlsplit(self.path)
        page = self.server.pages.get(asked.path)
        if page is None:
            text = f"not found: there are {', '.join(self.server.pages)}\n"
            self._send(Answer(404, text.encode(), "text/plain; charset=utf-8"))
            return
        self._send(page("verbose" in parse_qs(asked.query, keep_blank_values=True, max_num_fields=20)))

    do_HEAD = do_GET  # noqa: N815 - the base names it

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the base names it
        """Log nothing: a scrape comes every few seconds."""

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        self.send_header("Content-Type", answer.content_type)
        self.send_header("Content-Length", str(len(answer.body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)
