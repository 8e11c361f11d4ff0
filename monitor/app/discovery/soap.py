"""SOAP as ONVIF cameras speak it: requests with a digest of the password, and answers that are read within limits.

An answer may be anything, because any program in the network can give it: without an end, with entities that expand
to gigabytes, or with addresses of other machines. So answers are cut at a length, documents with a DTD are refused,
redirections are not followed, and only the host that was found is ever asked.

Sources: WS-Security UsernameToken Profile 1.0 (the digest); ONVIF Core Specification, sections 5.8.2 (errors) and 5.9
(security).
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import os
import ssl
import urllib.error
import urllib.request
from datetime import UTC, datetime, timedelta
from typing import Any
from xml.etree.ElementTree import Element, ParseError
from xml.sax.saxutils import escape

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

from monitor.errors import MonitorError

LARGEST = 512_000
"""Longest answer that is read, bytes. A camera with ten profiles gives about 40 kB."""
_REFUSALS = ("notauthorized", "failedauthentication", "failedcheck", "not authorized", "unauthorized")
"""How cameras write it in a fault."""

_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Header>{header}</s:Header>'
    "<s:Body>{body}</s:Body></s:Envelope>"
)
_WSS = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss"
_TOKEN = (
    f'<Security s:mustUnderstand="1" xmlns="{_WSS}-wssecurity-secext-1.0.xsd"><UsernameToken>'
    "<Username>{user}</Username>"
    f'<Password Type="{_WSS}-username-token-profile-1.0#PasswordDigest">{{digest}}</Password>'
    f'<Nonce EncodingType="{_WSS}-soap-message-security-1.0#Base64Binary">{{nonce}}</Nonce>'
    f'<Created xmlns="{_WSS}-wssecurity-utility-1.0.xsd">{{created}}</Created>'
    "</UsernameToken></Security>"
)


class DeviceError(MonitorError):
    """A camera did not answer as ONVIF says. The text completes the sentence "the camera ..."."""


class DeniedError(DeviceError):
    """The camera wants a user and a password, or rejects those that it got."""


class Login:
    """A user and a password, of which only digests are sent."""

    def __init__(self, user: str, password: str) -> None:
        self.user, self._password = user, password

    def header(self, ahead_s: float) -> str:
        """The header of a request. ahead_s: by how much the camera's clock is ahead of ours, seconds."""
        nonce = os.urandom(16)
        created = (datetime.now(UTC) + timedelta(seconds=ahead_s)).strftime("%Y-%m-%dT%H:%M:%SZ")
        digest = hashlib.sha1(nonce + created.encode() + self._password.encode()).digest()  # noqa: S324 - the standard
        return _TOKEN.format(
            user=escape(self.user),
            digest=base64.b64encode(digest).decode(),
            nonce=base64.b64encode(nonce).decode(),
            created=created,
        )

    def add_to(self, answers: urllib.request.HTTPPasswordMgr, address: str) -> None:
        """Give the password to what makes HTTP digests."""
        answers.add_password(None, address, self.user, self._password)  # type: ignore[arg-type]  # any realm


def parse(document: bytes) -> Element:
    """The root of a document without a DTD, of at most ``LARGEST`` bytes. Raises ValueError."""
    if len(document) > LARGEST:
        raise ValueError("it is too long")
    try:
        return fromstring(document, forbid_dtd=True)
    except DefusedXmlException:
        raise ValueError("it defines entities") from None
    except (ParseError, LookupError, ValueError) as error:
        raise ValueError(f"it is not XML ({error})") from None


class _Digest(urllib.request.HTTPDigestAuthHandler):
    """Answers a challenge with a digest, never with the password itself."""

    def http_error_auth_reqed(self, _header: str, _host: str, req: Any, headers: Any) -> Any:
        offered = headers.get_all("WWW-Authenticate") or ()
        wanted = next((one for one in offered if one.lower().startswith("digest ")), None)
        return None if wanted is None else self.retry_http_digest_auth(req, wanted)


class _AnyStatus(urllib.request.HTTPErrorProcessor):
    """Gives every answer to the caller; a challenge is met once per request. Nothing follows a redirection."""

    def http_response(self, request: Any, response: Any) -> Any:
        if response.status == 401 and not request.has_header("Authorization"):
            return self.parent.error("http", request, response, 401, response.msg, response.headers) or response
        return response

    https_response = http_response


def ask(address: str, body: str, login: Login | None, ahead_s: float, timeout_s: float) -> Element:
    """Send a request; return the root of the answer. Raises DeviceError, also DeniedError.

    address    http:// or https:// URL. The certificate of a camera is not checked: cameras sign their own, and the
               password is not sent
    body       XML inside the envelope's body
    timeout_s  longest time that nothing comes, seconds
    """
    content = _ENVELOPE.format(header="" if login is None else login.header(ahead_s), body=body).encode()
    request = urllib.request.Request(  # noqa: S310 - only http and https get here
        address, content, {"Content-Type": "application/soap+xml; charset=utf-8"}, method="POST"
    )
    try:
        with _opener(address, login).open(request, timeout=timeout_s) as answer:
            status, document = answer.status, answer.read(LARGEST + 1)
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise DeviceError(f"does not answer ({_reason(error)})") from None
    if status == 401:
        raise DeniedError("asks for a user and a password (401)")
    try:
        root = parse(document)
    except ValueError as error:
        raise DeviceError(f"gives an answer that cannot be read: {error}" + _status(status)) from None
    if (fault := root.find(".//{*}Fault")) is not None:
        text = " ".join(" ".join(fault.itertext()).split())[:500]
        if any(word in text.lower() for word in _REFUSALS):
            raise DeniedError("refuses the request for this user")
        raise DeviceError(f"refuses the request: {text[:120]}")
    if status >= 400:
        raise DeviceError(f"refuses the request{_status(status)}")
    return root


def _opener(address: str, login: Login | None) -> urllib.request.OpenerDirector:
    """Only what is needed: no proxy, no redirection, no other scheme."""
    opener = urllib.request.OpenerDirector()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    passwords = urllib.request.HTTPPasswordMgrWithDefaultRealm()
    if login is not None:
        login.add_to(passwords, address)
    handlers: list[urllib.request.BaseHandler] = [
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(context=context),
        _Digest(passwords),
        _AnyStatus(),
    ]
    for handler in handlers:
        opener.add_handler(handler)
    return opener


def _reason(error: Exception) -> str:
    if isinstance(error, urllib.error.URLError) and isinstance(error.reason, OSError):
        error = error.reason
    if isinstance(error, TimeoutError):
        return "no answer in time"
    return getattr(error, "strerror", None) or type(error).__name__


def _status(status: int) -> str:
    return f" (HTTP status {status})" if status != 200 else ""
