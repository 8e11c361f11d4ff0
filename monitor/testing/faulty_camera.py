"""A camera that injects faults on command: a small RTSP server (H.264 over RTP, interleaved in the RTSP connection).

with FaultyCamera() as camera:
    ...                        # camera.url serves a moving picture
    camera.strike(Fault.SILENT)
    ...
    camera.mend()
"""

from __future__ import annotations

import base64
import functools
import hashlib
import random
import re
import select
import socket
import struct
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from types import TracebackType
from typing import Self

import av
import cv2
import numpy as np

FPS = 25.0
USER, PASSWORD, REALM, NONCE = "admin", "s3cret", "camera", "d41d8cd98f00b204"
LOSS = 0.2
"""Share of the packets that Fault.LOSS drops."""
FLAP_S = 2.0
"""Length of a connection with Fault.FLAPS, seconds."""
_PAYLOAD = 1400  # bytes of an RTP packet's payload, at most
_LOOK_S = 0.05  # a session notices within this time that it must end


class Fault(StrEnum):
    """The behaviour of the camera during a fault. A fault lasts until ``mend``; the faults in ONCE happen once."""

    REFUSES = "refuses connections"
    SILENT = "accepts and stays silent"
    DIES = "dies in the middle of a frame"
    GARBAGE = "sends garbage"
    FROZEN = "freezes the picture"
    BLACK = "is covered"
    SIZE = "comes back with another frame size"
    RESIZED = "changes its frame size in the stream"
    SLOW = "drops to 1 frame/s"
    FLAPS = "hangs up every 2 s"
    LOSS = "loses 20% of its packets"
    PASSWORD = "has another password"  # noqa: S105
    CODEC = "sends a codec that no one knows"
    DECODER = "its decoder is killed"  # not caused by the camera: the caller kills the decoder process of the monitor


ONCE = (Fault.DIES, Fault.SIZE)
_ENDS_SESSIONS = (Fault.REFUSES, Fault.PASSWORD, Fault.CODEC)


@dataclass(frozen=True)
class Clip:
    """Encoded pictures: the NAL units of each. The first picture is a key frame with its parameter sets."""

    pictures: tuple[tuple[bytes, ...], ...]

    @property
    def parameter_sets(self) -> str:
        """SPS and PPS in base64, in the format of an SDP."""
        sets = [unit for unit in self.pictures[0] if unit[0] & 31 in (7, 8)]
        return ",".join(base64.b64encode(unit).decode() for unit in sets)


@functools.cache
def encoded(width: int, height: int, level: int = 128, frames: int = 50) -> Clip:
    """A disc that moves over noise around a grey ``level`` (a black picture for 0), with one key frame per second."""
    codec = av.CodecContext.create("libx264", "w")
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.time_base = Fraction(1, round(FPS))
    codec.options = {"preset": "ultrafast", "tune": "zerolatency", "g": "25", "keyint_min": "25"}
    rng = np.random.default_rng(0)
    packets = []
    for index in range(frames):
        picture = rng.normal(level, 12.0 if level else 0.0, (height, width, 3)).clip(0, 255).astype(np.uint8)
        if level:
            cv2.circle(picture, (index * width // frames, height // 2), height // 5, (255, 255, 255), -1)
        packets += codec.encode(av.VideoFrame.from_ndarray(picture, "bgr24"))
    packets += codec.encode(None)
    pictures = [tuple(unit for unit in re.split(b"\0\0\0?\1", bytes(packet)) if unit) for packet in packets]
    return Clip(tuple(pictures))


class FaultyCamera:
    """Serves on its own loopback port inside the ``with`` block. It requires user and password (digest)."""

    def __init__(self, size: tuple[int, int] = (160, 120), other_size: tuple[int, int] = (320, 240)) -> None:
        self.clip, self.bigger, self.black = encoded(*size), encoded(*other_size), encoded(*size, level=0)
        self.fault: Fault | None = None
        self.closing = threading.Event()
        self.rng = random.Random(7)
        self.port = 0
        self._listener: socket.socket | None = None
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._changed = threading.Lock()

    @property
    def url(self) -> str:
        """The address with the correct password."""
        return f"rtsp://{USER}:{PASSWORD}@127.0.0.1:{self.port}/live"

    def __enter__(self) -> Self:
        self._listen()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.closing.set()
        self._thread.join(5.0)
        self._hang_up()

    def strike(self, fault: Fault) -> None:
        """Have this fault from now on."""
        self.fault = fault
        if fault is Fault.REFUSES:
            self._hang_up()
        if fault is Fault.SIZE:
            self.clip = self.bigger

    def mend(self) -> None:
        """End the fault: work normally again."""
        self.fault = None
        if self._listener is None:
            self._listen()

    def _listen(self) -> None:
        listener = socket.create_server(("127.0.0.1", self.port), backlog=16)
        listener.setblocking(False)
        self.port = listener.getsockname()[1]
        with self._changed:
            self._listener = listener

    def _hang_up(self) -> None:
        with self._changed:
            if self._listener is not None:
                self._listener.close()
            self._listener = None

    def _accept(self) -> None:
        sessions = []
        while not self.closing.wait(_LOOK_S / 5):
            with self._changed:
                try:
                    connection = self._listener.accept()[0] if self._listener is not None else None
                except BlockingIOError:
                    continue
            if connection is not None:
                session = threading.Thread(target=_Session(self, connection).run, daemon=True)
                sessions.append(session)
                session.start()
        for session in sessions:
            session.join(5.0)


class _Session:
    """One connection: it answers requests. After PLAY it sends each picture when it is due."""

    def __init__(self, camera: FaultyCamera, connection: socket.socket) -> None:
        self._camera = camera
        self._connection = connection
        self._opened = time.monotonic()
        self._received = b""
        self._playing = False
        self._next_s = 0.0
        self._clip, self._at = camera.clip, 0
        self._sequence = 0

    def run(self) -> None:
        """Serve until either side closes the connection."""
        with self._connection:
            self._connection.settimeout(2.0)
            try:
                while not self._camera.closing.is_set() and self._goes_on():
                    pass
            except OSError:
                return

    def _goes_on(self) -> bool:
        fault, now = self._camera.fault, time.monotonic()
        if fault is Fault.SILENT:
            return not self._camera.closing.wait(_LOOK_S)
        if (self._playing and fault in _ENDS_SESSIONS) or (fault is Fault.FLAPS and now - self._opened > FLAP_S):
            return False
        if fault is not Fault.SLOW:
            self._next_s = min(self._next_s, now + 1.0 / FPS)
        wait_s = min(_LOOK_S, max(0.0, self._next_s - now)) if self._playing else _LOOK_S
        if select.select([self._connection], [], [], wait_s)[0]:
            received = self._connection.recv(65536)
            self._received += received
            return bool(received) and self._answer_all(fault)
        if self._playing and time.monotonic() >= self._next_s:
            return self._send_picture(fault)
        return True

    # Requests

    def _answer_all(self, fault: Fault | None) -> bool:
        while self._received:
            if self._received[:1] == b"$":  # RTCP reports of the viewer
                if len(self._received) < 4 or len(self._received) < 4 + int.from_bytes(self._received[2:4], "big"):
                    return True
                self._received = self._received[4 + int.from_bytes(self._received[2:4], "big") :]
                continue
            head, found, rest = self._received.partition(b"\r\n\r\n")
            if not found:
                return True
            self._received = rest
            if not self._answer(head.decode(), fault):
                return False
        return True

    def _answer(self, request: str, fault: Fault | None) -> bool:
        method, address = request.split(" ", 2)[:2]
        counter = re.search(r"(?im)^CSeq: *(\d+)", request)
        lines = [f"CSeq: {counter.group(1) if counter else 0}"]
        if fault is Fault.GARBAGE:
            self._connection.sendall(self._camera.rng.randbytes(4000))
            return True
        if method != "OPTIONS" and not self._is_allowed(method, request, fault):
            lines.append(f'WWW-Authenticate: Digest realm="{REALM}", nonce="{NONCE}"')
            return self._respond("401 Unauthorized", lines)
        body = ""
        if method == "OPTIONS":
            lines.append("Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN")
        elif method == "DESCRIBE":
            body = self._description(fault)
            lines += [f"Content-Base: {address}/", "Content-Type: application/sdp"]
        elif method == "SETUP":
            lines += ["Transport: RTP/AVP/TCP;unicast;interleaved=0-1", "Session: 1"]
        elif method == "PLAY":
            lines.append("Session: 1")
            self._playing, self._next_s = True, time.monotonic()
        return self._respond("200 OK", lines, body) and method != "TEARDOWN"

    def _is_allowed(self, method: str, request: str, fault: Fault | None) -> bool:
        if fault is Fault.PASSWORD:
            return False
        uri = re.search(r'uri="([^"]*)"', request)
        given = re.search(r'response="([0-9a-f]*)"', request)
        if not uri or not given:
            return False
        first, second = _md5(f"{USER}:{REALM}:{PASSWORD}"), _md5(f"{method}:{uri.group(1)}")
        return given.group(1) == _md5(f"{first}:{NONCE}:{second}")

    def _description(self, fault: Fault | None) -> str:
        codec = "X-UNKNOWN" if fault is Fault.CODEC else "H264"
        sets = self._camera.clip.parameter_sets
        lines = ["v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=camera", "t=0 0", "m=video 0 RTP/AVP 96"]
        lines += [f"a=rtpmap:96 {codec}/90000", f"a=fmtp:96 packetization-mode=1;sprop-parameter-sets={sets}"]
        lines += [f"a=framerate:{FPS:g}", "a=control:track1"]
        return "".join(line + "\r\n" for line in lines)

    def _respond(self, status: str, lines: list[str], body: str = "") -> bool:
        head = "\r\n".join([f"RTSP/1.0 {status}", *lines, f"Content-Length: {len(body)}"])
        self._connection.sendall(f"{head}\r\n\r\n{body}".encode())
        return True

    # Pictures

    def _send_picture(self, fault: Fault | None) -> bool:
        camera = self._camera
        self._next_s = max(self._next_s + 1.0 / FPS, time.monotonic() - 0.5)
        if fault is Fault.SLOW:
            self._next_s = time.monotonic() + 1.0
        clip = camera.bigger if fault is Fault.RESIZED else camera.black if fault is Fault.BLACK else camera.clip
        if clip is not self._clip or fault is Fault.FROZEN:
            self._clip, self._at = clip, 0
        packets = list(self._packets(clip.pictures[self._at], round(time.monotonic() * 90_000)))
        self._at = (self._at + 1) % len(clip.pictures)
        if fault in ONCE:
            camera.fault = None
            self._connection.sendall(packets[0][: len(packets[0]) // 2])
            return False
        for packet in packets:
            if fault is Fault.LOSS and camera.rng.random() < LOSS:
                continue
            if fault is Fault.GARBAGE:
                packet = packet[:16] + camera.rng.randbytes(len(packet) - 16)
            self._connection.sendall(packet)
        return True

    def _packets(self, units: tuple[bytes, ...], timestamp: int) -> Iterator[bytes]:
        """The RTP packets of a picture (RFC 6184), each with the header that interleaves it in the RTSP connection."""
        for number, unit in enumerate(units):
            parts = [unit]
            if len(unit) > _PAYLOAD:
                kind, pieces = unit[0], [unit[at : at + _PAYLOAD] for at in range(1, len(unit), _PAYLOAD)]
                last = len(pieces) - 1
                parts = [
                    bytes([(kind & 0xE0) | 28, (kind & 31) | (at == 0) << 7 | (at == last) << 6]) + piece
                    for at, piece in enumerate(pieces)
                ]
            for at, part in enumerate(parts):
                marker = number == len(units) - 1 and at == len(parts) - 1
                head = struct.pack(">BBHII", 0x80, 96 | marker << 7, self._sequence, timestamp & 0xFFFFFFFF, 1)
                self._sequence = (self._sequence + 1) & 0xFFFF
                yield struct.pack(">cBH", b"$", 0, len(head) + len(part)) + head + part


def _md5(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()  # noqa: S324 - RTSP's digest requires MD5
