"""A camera's web server for tests: pictures one by one, and answers that go wrong."""

from __future__ import annotations

import base64
import hashlib
import re
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self

USER, PASSWORD = "admin", "s e/cret@1"
Answer = tuple[int, dict[str, str], bytes]


class WebCamera:
    """A context manager that serves on a loopback port.

    answers  path -> what is sent, called at each request: status, headers, body. A header ``Content-Length`` may lie
    login    ``basic``, ``digest``, or None for no login
    asked    paths of all requests so far, in order
    refused  number of requests without a right login
    """

    def __init__(self, answers: dict[str, Callable[[], Answer]], login: str | None = None) -> None:
        self.asked: list[str] = []
        self.refused = 0
        self.login = login
        self._answers = answers
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_GET(self) -> None:
                camera._serve(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)

    def url(self, path: str, who: str = "") -> str:
        """The address of a path. who: ``user:password@`` or nothing."""
        return f"http://{who}127.0.0.1:{self._server.server_port}{path}"

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.append(handler.path)
        if self.login is not None and not self._may(handler):
            self.refused += 1
            handler.send_response(401)
            for offer in self._offers():
                handler.send_header("WWW-Authenticate", offer)
            handler.send_header("Content-Length", "0")
            handler.end_headers()
            return
        answer = self._answers.get(handler.path.partition("?")[0])
        status, headers, body = answer() if answer else (404, {}, b"")
        handler.send_response(status)
        for name, value in ({"Content-Length": str(len(body))} | headers).items():
            if value:
                handler.send_header(name, value)
        handler.end_headers()
        try:
            handler.wfile.write(body)
        except OSError:  # the client has heard enough
            handler.close_connection = True

    def _offers(self) -> tuple[str, ...]:
        if self.login == "basic":
            return ('Basic realm="cam"',)
        # As some cameras do: one kind that few clients know comes first.
        return (
            'Digest realm="cam", qop="auth", algorithm=SHA-256, nonce="abc"',
            'Digest realm="cam", qop="auth", algorithm=MD5, nonce="def"',
        )

    def _may(self, handler: BaseHTTPRequestHandler) -> bool:
        given = handler.headers.get("Authorization") or ""
        if self.login == "basic":
            return given == "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        fields = dict(re.findall(r'(\w+)="?([^",]*)"?', given.removeprefix("Digest ")))
        if fields.get("nonce") != "def":
            return False
        ours, theirs = _md5(f"{USER}:cam:{PASSWORD}"), _md5(f"GET:{handler.path}")
        parts = (ours, "def", fields.get("nc", ""), fields.get("cnonce", ""), "auth", theirs)
        return fields.get("response") == _md5(":".join(parts))


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()  # noqa: S324 - HTTP digest authentication is defined so
