"""A fake ONVIF camera on a loopback address: it answers probes and requests, checks digests, and lies on command."""

from __future__ import annotations

import base64
import hashlib
import re
import socket
import struct
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Self
from xml.sax.saxutils import escape

Answer = Callable[[BaseHTTPRequestHandler], object]
MAIN, SUB = ("main-token", 2560, 1440, 25), ("sub-token", 640, 360, 15)
"""Token, width, height, frames per second of a profile."""

_ENVELOPE = (
    '<?xml version="1.0" encoding="UTF-8"?><s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:tds="http://www.onvif.org/ver10/device/wsdl" xmlns:trt="http://www.onvif.org/ver10/media/wsdl" '
    'xmlns:tt="http://www.onvif.org/ver10/schema" xmlns:ter="http://www.onvif.org/ver10/error" '
    'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery"><s:Body>{body}</s:Body></s:Envelope>'
)
_DENIED = (
    "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:NotAuthorized</s:Value></s:Subcode></s:Code>"
    "<s:Reason><s:Text>Sender not Authorized</s:Text></s:Reason></s:Fault>"
)


class OnvifCamera:
    """A context manager. It serves HTTP at ``address`` and, with a group, answers probes.

    login        user and password that it asks for, or None
    group        multicast address and port to listen at for probes, on the loopback interface; None: no probes
    http_digest  True: it asks for the password by HTTP, not in the envelope
    ahead_s      its clock is ahead by this much, seconds
    host         its loopback address

    Attributes that tests change: ``profiles``, ``stream`` (template of a stream's address), ``media`` (address that it
    names for its media service), ``xaddrs`` (address that it names in answers to probes), ``probe_answers`` (datagrams
    in place of its own), ``answer`` (called in place of answering a request). ``asked`` holds the requests so far.
    """

    def __init__(
        self,
        *,
        login: tuple[str, str] | None = None,
        group: tuple[str, int] | None = None,
        http_digest: bool = False,
        ahead_s: float = 0.0,
        host: str = "127.0.0.1",
        model: str = "P1375",
    ) -> None:
        self._login, self._http_digest, self._ahead_s, self._model = login, http_digest, ahead_s, model
        self.profiles = [MAIN, SUB]
        self.asked: list[str] = []
        self.refused = 0
        self.answer: Answer | None = None
        self.probe_answers: list[bytes] | None = None
        self.stopped = threading.Event()
        camera = self

        class Handler(BaseHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                camera._serve(self)

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True

            def handle_error(self, *_: object) -> None:
                pass

        self._server = Quiet((host, 0), Handler)
        self.place = f"{host}:{self._server.server_port}"
        self.address = f"http://{self.place}/onvif/device_service"
        self.xaddrs, self.media = self.address, f"http://{self.place}/onvif/media"
        self.stream = f"rtsp://{host}:554/onvif/{{token}}"
        self._group = group
        self._threads = [threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True)]
        if group is not None:
            self._probed = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._probed.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._probed.bind(group)
            loopback = socket.if_nametoindex("lo")
            member = struct.pack("@4s4si", socket.inet_aton(group[0]), socket.inet_aton(host), loopback)
            self._probed.setsockopt(socket.IPPROTO_IP, socket.IP_ADD_MEMBERSHIP, member)
            self._answers = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self._answers.bind((host, 0))
            self._threads.append(threading.Thread(target=self._answer_probes, daemon=True))

    def __enter__(self) -> Self:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopped.set()
        self._server.shutdown()
        self._server.server_close()
        if self._group is not None:
            self._wake(self._group)
        for thread in self._threads:
            thread.join(5)
        if self._group is not None:
            self._probed.close()
            self._answers.close()

    def hang(self, _: BaseHTTPRequestHandler) -> None:
        """An ``answer`` that never comes."""
        self.stopped.wait(600)

    def _wake(self, group: tuple[str, int]) -> None:
        """End the wait for a probe: closing the socket would not."""
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as waker:
            loopback = struct.pack("@4s4si", bytes(4), bytes(4), socket.if_nametoindex("lo"))
            waker.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, loopback)
            waker.sendto(b"", group)

    def _answer_probes(self) -> None:
        while True:
            probe, asker = self._probed.recvfrom(65_535)
            if self.stopped.is_set():
                return
            if b"NetworkVideoTransmitter" not in probe:
                continue
            for answer in self.probe_answers if self.probe_answers is not None else [self.own_probe_answer()]:
                self._answers.sendto(answer, asker)

    def own_probe_answer(self) -> bytes:
        """What it answers to a probe."""
        body = (
            "<d:ProbeMatches><d:ProbeMatch><d:Types>dn:NetworkVideoTransmitter</d:Types>"
            "<d:Scopes>onvif://www.onvif.org/type/video_encoder onvif://www.onvif.org/name/Front%20door</d:Scopes>"
            f"<d:XAddrs>{escape(self.xaddrs)}</d:XAddrs></d:ProbeMatch></d:ProbeMatches>"
        )
        return _ENVELOPE.format(body=body).encode()

    def _serve(self, handler: BaseHTTPRequestHandler) -> None:
        request = handler.rfile.read(int(handler.headers["Content-Length"])).decode()
        body = request.partition(":Body>")[2]
        name = re.search(r"<(\w+)", body)
        assert name is not None
        self.asked.append(name[1])
        if self.answer is not None:
            self.answer(handler)
            return
        if name[1] != "GetSystemDateAndTime" and not self._allowed(request, handler):
            self.refused += 1
            if self._http_digest:
                handler.send_response(401)
                handler.send_header("WWW-Authenticate", 'Basic realm="camera"')
                handler.send_header(
                    "WWW-Authenticate", 'Digest realm="camera", qop="auth", nonce="a1b2", algorithm=MD5'
                )
                handler.send_header("Content-Length", "0")
                handler.end_headers()
            else:
                self.reply(handler, _DENIED, 400)
            return
        token = re.search(r"<ProfileToken>([^<]+)", body)
        self.reply(handler, self._content(name[1], token[1] if token else ""))

    def reply(self, handler: BaseHTTPRequestHandler, body: str, status: int = 200) -> None:
        """Send an envelope."""
        content = _ENVELOPE.format(body=body).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/soap+xml")
        handler.send_header("Content-Length", str(len(content)))
        handler.end_headers()
        handler.wfile.write(content)

    def _content(self, name: str, token: str) -> str:
        match name:
            case "GetSystemDateAndTime":
                now = datetime.now(UTC) + timedelta(seconds=self._ahead_s)
                clock = f"<tt:Hour>{now.hour}</tt:Hour><tt:Minute>{now.minute}</tt:Minute>"
                clock += f"<tt:Second>{now.second}</tt:Second>"
                day = f"<tt:Year>{now.year}</tt:Year><tt:Month>{now.month}</tt:Month><tt:Day>{now.day}</tt:Day>"
                return f"<tt:UTCDateTime><tt:Time>{clock}</tt:Time><tt:Date>{day}</tt:Date></tt:UTCDateTime>"
            case "GetDeviceInformation":
                return f"<tds:Manufacturer>Axis</tds:Manufacturer><tds:Model>{escape(self._model)}</tds:Model>"
            case "GetCapabilities":
                return f"<tt:Media><tt:XAddr>{escape(self.media)}</tt:XAddr></tt:Media>"
            case "GetProfiles":
                return "".join(
                    f'<trt:Profiles token="{token}"><tt:VideoEncoderConfiguration><tt:Encoding>H264</tt:Encoding>'
                    f"<tt:Resolution><tt:Width>{width}</tt:Width><tt:Height>{height}</tt:Height></tt:Resolution>"
                    f"<tt:RateControl><tt:FrameRateLimit>{fps}</tt:FrameRateLimit></tt:RateControl>"
                    "</tt:VideoEncoderConfiguration></trt:Profiles>"
                    for token, width, height, fps in self.profiles
                )
            case "GetStreamUri":
                return f"<tt:Uri>{escape(self.stream.format(token=token))}</tt:Uri>"
        return ""

    def _allowed(self, request: str, handler: BaseHTTPRequestHandler) -> bool:
        if self._login is None:
            return True
        user, password = self._login
        if self._http_digest:
            return _http_digest_fits(handler.headers.get("Authorization", ""), user, password)
        parts = [
            re.search(rf"<{part}(?: [^>]*)?>([^<]*)<", request) for part in ("Username", "Password", "Nonce", "Created")
        ]
        if not all(parts):
            return False
        name, digest, nonce, created = (part[1] for part in parts if part is not None)
        wanted = hashlib.sha1(base64.b64decode(nonce) + created.encode() + password.encode()).digest()  # noqa: S324
        sent = datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
        late_s = abs((datetime.now(UTC) + timedelta(seconds=self._ahead_s) - sent).total_seconds())
        return name == user and digest == base64.b64encode(wanted).decode() and late_s < 60


def _http_digest_fits(header: str, user: str, password: str) -> bool:
    """Whether an Authorization header holds the right digest (RFC 2617, MD5, qop=auth)."""
    given: dict[str, str] = {
        name: quoted or plain for name, quoted, plain in re.findall(r'(\w+)=(?:"([^"]*)"|([^,\s]+))', header)
    }
    if not header.startswith("Digest ") or given.get("username") != user:
        return False
    first = _md5(f"{user}:camera:{password}")
    second = _md5(f"POST:{given['uri']}")
    between = f"{given['nonce']}:{given['nc']}:{given['cnonce']}:{given['qop']}"
    return given["response"] == _md5(f"{first}:{between}:{second}")


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()  # noqa: S324
