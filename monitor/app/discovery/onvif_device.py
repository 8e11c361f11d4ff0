"""Asks an ONVIF camera for its name and its streams.

Source: ONVIF Device Management and Media Service Specifications (ver10).
"""

from __future__ import annotations

import math
import re
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import urlsplit
from xml.etree.ElementTree import Element
from xml.sax.saxutils import escape

from monitor.app.discovery.probing import Device, at_host
from monitor.app.discovery.soap import DeniedError, DeviceError, Login, ask
from monitor.sources.finding import SCHEMES
from monitor.text.outside import safe

MOST_STREAMS = 16
"""Profiles of a camera that are asked for their address."""
_LONGEST_URL = 400
_LONGEST_NAME = 80
_TIMEOUT_S = 4.0
_URL = re.compile(r"[A-Za-z0-9\-._~:/?#\[\]@!$&'()*+,;=%]+")
"""The characters that an address may have (RFC 3986)."""

_DEVICE = 'xmlns="http://www.onvif.org/ver10/device/wsdl"'
_MEDIA = 'xmlns="http://www.onvif.org/ver10/media/wsdl"'
_TIME = f"<GetSystemDateAndTime {_DEVICE}/>"
_WHO = f"<GetDeviceInformation {_DEVICE}/>"
_ABLE = f"<GetCapabilities {_DEVICE}><Category>Media</Category></GetCapabilities>"
_PROFILES = f"<GetProfiles {_MEDIA}/>"
_STREAM = (
    f'<GetStreamUri {_MEDIA}><StreamSetup><Stream xmlns="http://www.onvif.org/ver10/schema">RTP-Unicast</Stream>'
    '<Transport xmlns="http://www.onvif.org/ver10/schema"><Protocol>RTSP</Protocol></Transport></StreamSetup>'
    "<ProfileToken>{token}</ProfileToken></GetStreamUri>"
)


@dataclass(frozen=True, slots=True)
class Stream:
    """A stream that a camera offers.

    url            its address, without user and password, always at the host that was asked
    width, height  pixels; 0 if the camera does not say
    fps            highest frames per second; NaN if the camera does not say
    codec          the camera's name for it, such as ``H264``; may be empty
    """

    url: str
    width: int
    height: int
    fps: float
    codec: str

    @property
    def pixels(self) -> int:
        """Pixels of a frame."""
        return self.width * self.height


@dataclass(frozen=True, slots=True)
class FoundCamera:
    """What is known of a device.

    name     maker and model, or what it calls itself; may be empty
    streams  the largest first; empty if there is a problem
    problem  completes the sentence "the camera ..."; empty for none
    denied   True if the problem is a user or a password
    """

    device: Device
    name: str
    streams: tuple[Stream, ...] = ()
    problem: str = ""
    denied: bool = False


def describe(device: Device, login: Login | None, timeout_s: float = _TIMEOUT_S) -> FoundCamera:
    """Ask a device for its streams. A camera that refuses a password is not asked again: it may lock the account.

    timeout_s  longest time that nothing comes, per request, seconds
    """
    name = device.name
    try:
        ahead_s = _clock_ahead(device, timeout_s)

        def answer(body: str, address: str = device.address) -> Element:
            try:
                return ask(address, body, login, ahead_s, timeout_s)
            except DeniedError:
                raise
            except DeviceError as error:
                if address == device.address:
                    raise
                at = urlsplit(address)
                raise DeviceError(f"has its media service at {at.scheme}://{at.netloc}, which {error}") from None

        name = _name(answer(_WHO)) or name
        media = _media_service(answer(_ABLE), device)
        profiles = answer(_PROFILES, media).findall(".//{*}Profiles")[:MOST_STREAMS]
        streams = []
        for profile in profiles:
            token = profile.get("token")
            if token and profile.find("{*}VideoEncoderConfiguration") is not None:
                found = answer(_STREAM.format(token=escape(token)), media)
                streams.append(_stream(found.findtext(".//{*}Uri") or "", profile, device.host))
    except DeniedError as error:
        return FoundCamera(device, name, problem=str(error), denied=True)
    except DeviceError as error:
        return FoundCamera(device, name, problem=str(error))
    usable = {stream.url: stream for stream in streams if stream is not None}
    if not usable:
        return FoundCamera(device, name, problem="names no stream with an address that can be used")
    ordered = sorted(usable.values(), key=lambda stream: -stream.pixels)
    return FoundCamera(device, name, tuple(ordered))


def _clock_ahead(device: Device, timeout_s: float) -> float:
    """By how much the camera's clock is ahead, seconds: it refuses digests of another time. Asked without a user."""
    try:
        root = ask(device.address, _TIME, None, 0.0, timeout_s)
    except DeniedError:
        return 0.0
    utc = root.find(".//{*}UTCDateTime")
    if utc is None:
        return 0.0
    try:
        year, month, day = (int(utc.findtext(f"{{*}}Date/{{*}}{part}", "")) for part in ("Year", "Month", "Day"))
        hour, minute, second = (
            int(utc.findtext(f"{{*}}Time/{{*}}{part}", "")) for part in ("Hour", "Minute", "Second")
        )
        shown = datetime(year, month, day, hour, minute, second, tzinfo=UTC).timestamp()
    except (ValueError, OverflowError):
        return 0.0
    ahead_s: float = shown - time.time()
    return ahead_s if abs(ahead_s) > 2.0 and abs(ahead_s) < 20 * 365 * 86_400.0 else 0.0


def _name(root: Element) -> str:
    maker, model = (safe((root.findtext(f".//{{*}}{part}") or "").strip()) for part in ("Manufacturer", "Model"))
    name = model if model.lower().startswith(maker.lower()) else f"{maker} {model}"
    return name.strip()[:_LONGEST_NAME]


def _media_service(root: Element, device: Device) -> str:
    """Where the media service is: at the host that was asked, whatever the camera says."""
    named = (root.findtext(".//{*}Media/{*}XAddr") or "").strip()
    try:
        if len(named) <= _LONGEST_URL and urlsplit(named).scheme in ("http", "https") and _URL.fullmatch(named):
            return at_host(named, device.host)
    except ValueError:
        pass
    return device.address


def _stream(url: str, profile: Element, host: str) -> Stream | None:
    """The stream of a profile; None if its address cannot be used."""
    url = url.strip()
    try:
        usable = urlsplit(url).scheme in SCHEMES and bool(urlsplit(url).hostname) and urlsplit(url).port != 0
    except ValueError:
        return None
    if not usable or len(url) > _LONGEST_URL or not _URL.fullmatch(url):
        return None
    encoder = "{*}VideoEncoderConfiguration/{*}"
    return Stream(
        at_host(url, host),
        _number(profile.findtext(f"{encoder}Resolution/{{*}}Width")),
        _number(profile.findtext(f"{encoder}Resolution/{{*}}Height")),
        float(_number(profile.findtext(f"{encoder}RateControl/{{*}}FrameRateLimit"))) or math.nan,
        safe((profile.findtext(f"{encoder}Encoding") or "").strip())[:16],
    )


def _number(text: str | None) -> int:
    """A number from 0 to 100,000; 0 for anything else."""
    return int(text) if text is not None and re.fullmatch(r"\d{1,5}", text.strip(), re.ASCII) else 0
