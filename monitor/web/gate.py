"""What every request passes first: right host, no forged request, somebody who may; and what every answer carries.

Everything needs authorisation, except the few paths in ``OPEN``. A new path is closed until it is named there.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import cookie_parser
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.web.access import HERE, Access
from monitor.web.user_file import Who
from monitor.web.web_settings import is_loopback

MOST_BODY_BYTES = 16_384
OPEN_FILES = ("/static/page.css", "/static/login.js", "/static/icon.svg")
OPEN = {*(("GET", path) for path in ("/login", *OPEN_FILES)), ("POST", "/api/v1/session")}
"""Needed to log in. They show nothing of what the monitor sees."""
OWN_HEADER = "x-true-sight"
"""A page of another site cannot send it without asking this server first, which never agrees."""
_SAFE_METHODS = ("GET", "HEAD")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def cookie_name(*, tls: bool) -> str:
    """With TLS, the prefix makes browsers refuse a cookie that another host or an unencrypted page has set."""
    return "__Host-true-sight" if tls else "true-sight"


class Gate:
    """An ASGI application around the page's.

    access  who may see the page
    tls     True if it is served by https
    """

    def __init__(self, app: ASGIApp, access: Access, *, tls: bool) -> None:
        self._app, self._access, self._tls = app, access, tls

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request through, or refuse it."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        if scope["type"] != "http":  # a websocket, which the page does not use
            return
        headers = Headers(scope=scope)
        refusal = self._refusal(scope, headers)
        if refusal is None:
            scope.setdefault("state", {})["who"] = who = self.who(headers, _address(scope))
            if who is None and (scope["method"], scope["path"]) not in OPEN:
                refusal = _unknown(scope["path"])
        answer = _with_headers(send, scope["path"])
        if refusal is not None:
            await refusal(scope, receive, answer)
            return
        await self._app(scope, _bounded(receive), answer)

    def who(self, headers: Headers, address: str) -> Who | None:
        """Who sends a request with these headers; None if nobody who may see the page."""
        if self._access.users is None:
            return HERE
        kind, _, token = headers.get("authorization", "").partition(" ")
        if kind.lower() == "bearer":
            return self._access.of_token(token.strip(), address)
        cookie = self.cookie(headers)
        return self._access.of_cookie(cookie) if cookie else None

    def still_may(self, who: Who, headers: Headers) -> bool:
        """Whether somebody who has sent a request with these headers may still see the page."""
        if self._access.users is None:
            return True
        now = self._access.of_cookie(self.cookie(headers)) if who.session else self._access.users.who(who.name)
        return now is not None and now.cameras == who.cameras

    def cookie(self, headers: Headers) -> str:
        """The session's cookie; empty if there is none."""
        found = cookie_parser(headers.get("cookie", ""))
        # Browsers take a name with the prefix from https only, so it is always safe. A proxy may have ended the TLS.
        plain = "" if self._tls else found.get(cookie_name(tls=False), "")
        return found.get(cookie_name(tls=True), "") or plain

    def _refusal(self, scope: Scope, headers: Headers) -> Response | None:
        """The answer to a request that nobody may send; None for any other."""
        host = headers.get("host", "")
        # Without passwords, a site whose name leads to 127.0.0.1 would be taken for a page of this machine.
        if self._access.users is None and not _is_local(host):
            return _refused(421, "open this page as http://127.0.0.1 or http://localhost, with its port")
        unsafe = scope["method"] not in _SAFE_METHODS
        from_elsewhere = headers.get("sec-fetch-site", "none") not in ("same-origin", "none")
        if from_elsewhere and (unsafe or scope["path"].startswith("/api/")):
            return _refused(403, "another site has sent this request: open the page itself")
        if unsafe:
            origin = headers.get("origin")
            if origin is not None and (urlsplit(origin).netloc != host or urlsplit(origin).scheme != scope["scheme"]):
                return _refused(403, "another site has sent this request: open the page itself")
            if OWN_HEADER not in headers:
                return _refused(403, "send the header X-True-Sight: 1 with a request that changes something")
            length = headers.get("content-length", "0")
            if not length.isdecimal() or int(length) > MOST_BODY_BYTES:
                return _refused(413, f"send at most {MOST_BODY_BYTES} bytes")
        return None


def _is_local(host: str) -> bool:
    try:
        return is_loopback(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return str(client[0]) if client else ""


def _unknown(path: str) -> Response:
    if path.startswith(("/api/", "/static/")):
        return JSONResponse({"detail": "log in first, or send a token"}, 401, {"WWW-Authenticate": "Bearer"})
    return RedirectResponse("/login", 303)


def _refused(status: int, sentence: str) -> Response:
    return JSONResponse({"detail": sentence}, status)


def _bounded(receive: Receive) -> Receive:
    """Ends a request whose body is larger than it said."""
    taken = 0

    async def bounded() -> Message:
        nonlocal taken
        message = await receive()
        taken += len(message.get("body", b""))
        return message if taken <= MOST_BODY_BYTES else {"type": "http.disconnect"}

    return bounded


def _with_headers(send: Send, path: str) -> Send:
    async def with_headers(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers[name] = value
            # Nothing of what cameras see stays in a cache.
            headers["Cache-Control"] = "no-cache" if path.startswith("/static/") else "no-store"
        await send(message)

    return with_headers
