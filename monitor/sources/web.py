"""Fetches from the web server of a camera: one picture, or the head of an answer. FFmpeg does all that streams.

Like FFmpeg, it does not check certificates: cameras sign their own. It sends user and password only to the host that
they were given for, and it follows only a few redirects.
"""

from __future__ import annotations

import copy
import http.client
import re
import ssl
import string
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeVar
from urllib.parse import quote, unquote, urljoin, urlsplit, urlunsplit

from monitor.errors import CaptureError, StallError
from monitor.sources.proxy import proxy_of
from monitor.text.redaction import redact

_MOST_REDIRECTS = 5
_CHUNK = 65_536
_AS_IT_IS = "%/:=&?~#+!$,;'@()*[]|"
_WHY = {
    401: "the user or the password is wrong, or missing (401)",
    403: "this user is not allowed to see it (403)",
    404: "there is nothing at this path (404)",
}
_PICTURES = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")
_KIND = re.compile(r"[a-z0-9.+/\-]{1,60}")
_NO_PICTURES = ("application/json", "application/xml", "application/javascript", "application/pdf")
_Result = TypeVar("_Result")


def why_no_video(address: str, timeout_s: float) -> str | None:
    """Why a server that answers sends no video, in words; None if it is not clear.

    It asks without user and password, because some cameras lock out a user after too many logins.
    """
    try:
        answer = Web(address, timeout_s, anonymous=True).ask()
    except RefusedError as error:
        if error.code == 401:
            known = "; check those in the address" if "@" in address else ""
            return f"it asks for a user name and a password (401){known}"
        return _WHY.get(error.code)
    except RedirectError as error:
        return f"it {error.why}"
    except CaptureError:
        return None
    if answer.is_page:
        return "it sends a web page, no video: look up the path of its stream"
    what = answer.no_picture("video")
    return None if what is None else f"it {what}"


class RefusedError(CaptureError):
    """The server answers, but refuses: asking again soon does not help, and may lock the user out.

    code  the HTTP status, 400..499
    """

    def __init__(self, sentence: str, code: int) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True)
class Answer:
    """How an answer begins.

    kind    media type in lower case, such as ``image/jpeg``; empty if the server names none
    length  bytes of the whole body; None if the server does not know, as for a live stream
    begin   first bytes of the body, at most 16
    coding  how the body is compressed, such as ``gzip``; empty if it is not, which is what we ask for
    """

    kind: str
    length: int | None
    begin: bytes
    coding: str = ""

    @property
    def is_picture(self) -> bool:
        """Whether this is one picture, and no stream of them. Some servers name a wrong type, so the bytes decide."""
        known = self.begin.startswith(_PICTURES) or (self.begin[:4] == b"RIFF" and self.begin[8:12] == b"WEBP")
        return known and (self.length is not None or self.kind.startswith("image/"))

    @property
    def is_page(self) -> bool:
        """Whether this is a web page, such as a login."""
        return self.kind in ("text/html", "application/xhtml+xml") or self.begin.lstrip().lower().startswith(b"<")

    def no_picture(self, wanted: str = "picture") -> str | None:
        """What this is in place of a picture or stream, and what to do; None if it may be one."""
        if self.begin.lstrip().startswith((*_PICTURES, b"--")):  # some servers name a wrong type
            return None
        kind = f" ({self.kind})" if _KIND.fullmatch(self.kind) else ""
        if self.is_page:
            return f"answers a web page{kind}, not a {wanted}: check the path, or log in"
        if self.coding not in ("", "identity"):
            coding = f" ({self.coding})" if _KIND.fullmatch(self.coding) else ""
            return f"answers compressed data{coding}, not a {wanted}: check the path, or the settings of the server"
        if self.length == 0:
            return f"answers nothing (0 bytes), not a {wanted}: check the path"
        if self.kind.startswith("text/") or self.kind in _NO_PICTURES:
            return f"answers text{kind}, not a {wanted}: check the path"
        return None


class Web:
    """Asks one address. It keeps nothing open between two requests.

    url        http:// or https://, may hold ``user:password@``
    timeout_s  longest time of one request, seconds
    anonymous  do not send user and password

    Raises CaptureError for an address that is not valid.
    """

    def __init__(self, url: str, timeout_s: float, *, anonymous: bool = False) -> None:
        proxy = proxy_of(url)
        self._label = redact(url) + (f" (asked through the proxy {proxy[0]}:{proxy[1]})" if proxy else "")
        self._timeout_s = timeout_s
        try:
            parts = urlsplit(url)
        except ValueError:
            raise CaptureError(f"{self._label} is not a valid address") from None
        who, _, where = parts.netloc.rpartition("@")
        path, query = (quote(part, safe=_AS_IT_IS, errors="replace") for part in (parts.path, parts.query))
        self._url = urlunsplit(parts._replace(netloc=where, path=path, query=query, fragment=""))
        passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
        if who and not anonymous:
            user, _, password = who.partition(":")
            passwords.add_password(None, f"{parts.scheme}://{where}", unquote(user), unquote(password))
        opener = urllib.request.OpenerDirector()
        for handler in (
            urllib.request.ProxyHandler(),
            urllib.request.UnknownHandler(),
            urllib.request.HTTPHandler(),
            urllib.request.HTTPSHandler(context=_any_certificate()),
            urllib.request.HTTPDefaultErrorHandler(),
            urllib.request.HTTPErrorProcessor(),
            _Redirects(self._label),
            _Digest(passwords),
            _Basic(passwords),
        ):
            opener.add_handler(handler)
        self._opener = opener

    def ask(self) -> Answer:
        """Return how the answer begins. Raises CaptureError, RefusedError or StallError."""
        return self._request(lambda answer, _: Answer(*_head(answer), answer.read(16) or b"", _coding(answer)))

    def peek(self, most: int) -> bytes:
        """Return the beginning of the body, at most ``most`` bytes; b"" if there is none in time."""
        try:
            return self._request(lambda answer, _: answer.read1(most) + answer.read1(most))[:most]
        except CaptureError:
            return b""

    def fetch(self, most: int) -> bytes:
        """Return the body, at most ``most`` bytes. Raises CaptureError, RefusedError or StallError."""
        return self._request(lambda answer, deadline: self._body(answer, deadline, most))

    def _body(self, answer: http.client.HTTPResponse, deadline: float, most: int) -> bytes:
        length = _head(answer)[1]
        if length is not None and length > most:
            raise CaptureError(f"{self._label} sends {length} bytes, more than a picture has")
        parts: list[bytes] = []
        size = 0
        while data := answer.read1(_CHUNK):  # returns what has come, so that a slow server cannot stretch the deadline
            parts.append(data)
            size += len(data)
            if size > most:
                raise CaptureError(f"{self._label} sends more than {most} bytes, more than a picture has")
            if time.monotonic() > deadline:
                raise TimeoutError
        if length is not None and size < length:
            raise CaptureError(f"{self._label} closed the connection within a picture")
        return b"".join(parts)

    def _request(self, read: Callable[[http.client.HTTPResponse, float], _Result]) -> _Result:
        deadline = time.monotonic() + self._timeout_s
        try:
            request = urllib.request.Request(self._url, headers={"User-Agent": "true-sight", "Accept": "*/*"})  # noqa: S310 - only http and https have handlers
            with self._opener.open(request, timeout=self._timeout_s) as answer:
                return read(answer, deadline)
        except urllib.error.HTTPError as error:
            error.close()
            why = _WHY.get(error.code, f"the server answers {error.code}")
            if 400 <= error.code < 500:
                raise RefusedError(f"{self._label} sends nothing: {why}", error.code) from None
            raise CaptureError(f"{self._label} sends nothing: {why}") from None
        except (TimeoutError, urllib.error.URLError) as error:
            reason = getattr(error, "reason", error)
            if isinstance(reason, TimeoutError):
                raise StallError(f"{self._label} did not answer within {self._timeout_s:g} s") from None
            raise CaptureError(f"{self._label} cannot be reached: {_words(reason)}") from None
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise CaptureError(f"{self._label} cannot be read: {_words(error)}") from None


class RedirectError(CaptureError):
    """A server leads to another address that is not followed.

    why  what it does, and what to do; for a sentence that begins with "it"
    """

    def __init__(self, label: str, why: str) -> None:
        super().__init__(f"{label} {why}")
        self.why = why


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows a few redirects to the web. The body of an answer that redirects is not read: it may have no end."""

    def __init__(self, label: str) -> None:
        self._label = label

    def http_error_302(self, req: Any, fp: Any, code: int, msg: str, headers: http.client.HTTPMessage) -> Any:
        """Follow a redirect. Raises RedirectError if it leads to another scheme, nowhere, or to one after another."""
        fp.close()
        given = headers.get("Location")
        if not given:
            raise RedirectError(self._label, f"redirects without saying where ({code}): give another address")
        try:
            # The header was decoded as ISO-8859-1. Its original bytes are encoded for the request.
            target = urljoin(
                req.full_url, quote(given, encoding="iso-8859-1", errors="replace", safe=string.punctuation)
            )
            parts = urlsplit(target)
        except ValueError:
            raise RedirectError(self._label, f"redirects to what is no address ({code}): give another one") from None
        if parts.scheme not in ("http", "https") or not parts.netloc:
            stream = parts.scheme in ("rtsp", "rtsps")
            what = (
                f"{redact(target)}: give that address" if stream else f"{_scheme(parts.scheme)}, which is not followed"
            )
            raise RedirectError(self._label, f"redirects to {what}{'' if stream else ': give another address'}")
        visited: dict[str, int] = getattr(req, "redirect_dict", {})
        if len(visited) >= _MOST_REDIRECTS or target in visited:
            loop = "in a circle" if target in visited else f"more than {_MOST_REDIRECTS} times"
            raise RedirectError(self._label, f"redirects {loop}, at last to {redact(target)}: give the address itself")
        new = self.redirect_request(req, fp, code, msg, headers, target)
        if new is None:
            return None
        new.redirect_dict = visited | {target: 1}  # type: ignore[attr-defined]
        return self.parent.open(new, timeout=req.timeout)

    http_error_301 = http_error_303 = http_error_307 = http_error_308 = http_error_302


def _scheme(scheme: str) -> str:
    return f"a {scheme}:// address" if _KIND.fullmatch(scheme) else "an address of another kind"


class _Basic(urllib.request.HTTPBasicAuthHandler):
    def http_error_401(self, req: Any, fp: Any, code: int, msg: str, headers: http.client.HTTPMessage) -> Any:
        """Log in, if the server offers this kind of login."""
        if not any(str(offer).lower().startswith("basic") for offer in headers.get_all("www-authenticate", [])):
            return None
        fp.close()
        return super().http_error_401(req, fp, code, msg, headers)


class _Digest(urllib.request.HTTPDigestAuthHandler):
    """Chooses the offer that it understands. A camera may offer several kinds, each in a header of its own."""

    def http_error_401(self, req: Any, fp: Any, code: int, msg: str, headers: http.client.HTTPMessage) -> Any:
        if req.has_header("Authorization") and "stale=true" not in str(headers).lower():
            return None  # urllib would send the wrong password five more times, and some cameras lock out the user
        offers = [str(offer) for offer in headers.get_all("www-authenticate", [])]
        digests = [offer for offer in offers if _UNDERSTOOD.match(offer)]
        if not digests:
            return None  # basic authentication is next
        chosen = copy.copy(headers)
        del chosen["www-authenticate"]
        chosen["www-authenticate"] = digests[0]
        fp.close()
        return super().http_error_401(req, fp, code, msg, chosen)


_UNDERSTOOD = re.compile(r'digest (?!.*algorithm="?(?!(?:MD5|SHA)"?\s*(?:,|$)))', re.IGNORECASE | re.DOTALL)


@cache
def _any_certificate() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _head(answer: http.client.HTTPResponse) -> tuple[str, int | None]:
    kind = (answer.headers.get("Content-Type") or "").partition(";")[0].strip().lower()
    length = answer.headers.get("Content-Length") or ""
    return kind, int(length) if length.isascii() and length.isdecimal() and len(length) < 16 else None


def _coding(answer: http.client.HTTPResponse) -> str:
    return (answer.headers.get("Content-Encoding") or "").strip().lower()


def _words(error: object) -> str:
    """The system's words for an error. The words of urllib may hold the address, so they are not used."""
    return getattr(error, "strerror", None) or type(error).__name__
