"""Writes what was found as a config file: a group of settings per camera, and what is known of it as comments. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from monitor.app.discovery.onvif_device import FoundCamera, Stream
from monitor.sources.naming import safe_name, shortened
from monitor.text.outside import safe

ENOUGH = (640, 360)
"""Size that a stream should have at least: detectors look at 320x180, and people at the pictures of alerts."""
_SHORTEST = 4
"""Shorter passwords are not looked for in addresses: they are parts of ordinary words."""


@dataclass(frozen=True, slots=True)
class Credentials:
    """What addresses in the config file hold in place of user and password.

    user       as the cameras know it
    password   never written
    reference  ``${NAME}`` or ``${file:PATH}``: stands for the password
    """

    user: str
    password: str
    reference: str

    @property
    def needs_encoding(self) -> bool:
        """True if the password holds characters that have a meaning in an address."""
        return quote(self.password, safe="") != self.password

    def put_into(self, url: str) -> str:
        """The address with user and reference. A password that the camera itself has put there is replaced, too."""
        for spelling in {self.password, quote(self.password, safe="")}:
            if len(spelling) >= _SHORTEST:
                url = url.replace(spelling, self.reference)
        scheme, _, rest = url.partition("://")
        return f"{scheme}://{quote(self.user, safe='')}:{self.reference}@{rest}"


def best_stream(streams: Sequence[Stream]) -> Stream:
    """The smallest stream that is large enough, otherwise the largest."""
    enough = [stream for stream in streams if stream.width >= ENOUGH[0] and stream.height >= ENOUGH[1]]
    return min(enough, key=lambda stream: stream.pixels) if enough else max(streams, key=lambda stream: stream.pixels)


def config_lines(cameras: Sequence[FoundCamera], credentials: Credentials | None) -> Iterator[str]:
    """The lines of a config file with these cameras. What cannot be used is a comment."""
    if credentials is not None and credentials.needs_encoding:
        yield "# The password holds characters that an address needs encoded, such as %40 for @:"
        yield f"# {credentials.reference} must give the encoded one."
        yield ""
    for camera, name in zip(cameras, _names(cameras), strict=True):
        yield f"# {safe(camera.name) or 'camera'} at {safe(urlsplit(camera.device.address).netloc)}"
        if camera.problem:
            yield f"#   it {safe(camera.problem)}{_advice(camera, credentials)}"
        else:
            best = best_stream(camera.streams)
            for stream in camera.streams:
                yield f"#   {_described(stream)}: {stream_source(stream, credentials)}"
            yield f"[cameras.{name}]"
            smaller = len(camera.streams) > 1 and best is not camera.streams[0]
            remark = "   # a smaller stream costs less to decode" if smaller else ""
            yield f'source = "{stream_source(best, credentials)}"{remark}'
        yield ""


def stream_source(stream: Stream, credentials: Credentials | None) -> str:
    """The address of a stream as a config file has it."""
    return stream.url if credentials is None else credentials.put_into(stream.url)


def _described(stream: Stream) -> str:
    size = f"{stream.width}x{stream.height}" if stream.pixels else "unknown size"
    rate = "" if math.isnan(stream.fps) else f", at most {stream.fps:g} frames/s"
    return f"{size}{rate}{f', {stream.codec}' if stream.codec else ''}"


def _advice(camera: FoundCamera, credentials: Credentials | None) -> str:
    if not camera.denied:
        return ""
    if credentials is None:
        return ": give --user"
    return ": check --user and the password, and that this user may use ONVIF"


def _names(cameras: Sequence[FoundCamera]) -> list[str]:
    """Unique names for the config file: made of maker and model, with the address if several are alike."""
    short = [safe_name(camera.name.lower().replace(".", "-")) or "camera" for camera in cameras]
    often = Counter(short)
    names: list[str] = []
    for name, camera in zip(short, cameras, strict=True):
        wanted = name if often[name] == 1 else f"{name}-{camera.device.host.split('.')[-1]}"
        wanted = shortened((safe_name(wanted) or "camera").replace(".", "-"))
        counter = 2
        unique = wanted
        while unique in names:
            unique = f"{wanted}-{counter}"
            counter += 1
        names.append(unique)
    return names
