"""WS-Discovery: asks all devices in the network at once which of them are cameras.

Source: Web Services Dynamic Discovery (2005/04), with the types of the ONVIF Core Specification, section 7.
"""

from __future__ import annotations

import ipaddress
import selectors
import socket
import struct
import time
import uuid
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from monitor.app.discovery.soap import parse
from monitor.errors import UsageError
from monitor.text.outside import safe

GROUP = ("239.255.255.250", 3702)
"""Address and port at which devices listen."""
MOST_DEVICES = 256
"""More are not asked. A /24 network has 254 addresses."""
_MOST_ANSWERS = 4096
"""More datagrams are not read: devices answer once or twice per interface."""
_SENT = (0.0, 0.4)
"""When the probe is sent, seconds from the start: a datagram may be lost."""
_DATAGRAM = 65_535
_LONGEST = 200
_PATH = "/onvif/device_service"
"""Where ONVIF cameras listen, unless they say otherwise."""

_PROBE = (
    '<?xml version="1.0" encoding="UTF-8"?>'
    '<e:Envelope xmlns:e="http://www.w3.org/2003/05/soap-envelope" '
    'xmlns:w="http://schemas.xmlsoap.org/ws/2004/08/addressing" '
    'xmlns:d="http://schemas.xmlsoap.org/ws/2005/04/discovery" '
    'xmlns:dn="http://www.onvif.org/ver10/network/wsdl">'
    "<e:Header><w:MessageID>uuid:{id}</w:MessageID>"
    "<w:To>urn:schemas-xmlsoap-org:ws:2005:04:discovery</w:To>"
    "<w:Action>http://schemas.xmlsoap.org/ws/2005/04/discovery/Probe</w:Action></e:Header>"
    "<e:Body><d:Probe><d:Types>dn:NetworkVideoTransmitter</d:Types></d:Probe></e:Body></e:Envelope>"
)


@dataclass(frozen=True, slots=True)
class Device:
    """A device that may be a camera.

    host     its IP address, or the host that the user gave
    address  of its ONVIF service, a URL at this host
    name     what it calls itself; empty if it says nothing
    """

    host: str
    address: str
    name: str = ""


def device_at(text: str) -> Device:
    """The device at ``HOST`` or ``HOST:PORT``, or at the URL of its ONVIF service. Raises UsageError."""
    url = text if "://" in text else f"http://{text}"
    try:
        parts = urlsplit(url)
        _ = parts.port
    except ValueError:
        parts = urlsplit("")
    plain = url.isprintable() and " " not in url
    if parts.scheme not in ("http", "https") or not parts.hostname or "@" in parts.netloc or not plain:
        raise UsageError(f"'{safe(text)}' is no address of a camera: write HOST, HOST:PORT or http://HOST/PATH")
    return Device(parts.hostname, f"{parts.scheme}://{parts.netloc}{parts.path.rstrip('/') or _PATH}")


def find_devices(interface: str | None, seconds: float, group: tuple[str, int] = GROUP) -> list[Device]:
    """Ask the network; return who has answered within ``seconds``, at most ``MOST_DEVICES``, one per IP address.

    interface  name or IPv4 address of the interface to ask at; None: all of them, except the loopback
    group      where devices listen

    Raises UsageError if there is no such interface.
    """
    found: dict[str, Device] = {}
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        sockets = _sockets(interface, stack)
        for each in sockets:
            selector.register(each, selectors.EVENT_READ)
        started = time.monotonic()
        to_send = [started + after_s for after_s in _SENT]
        # The same identity in both probes: a device answers the second one only if it has missed the first.
        probe = _PROBE.format(id=uuid.uuid4()).encode()
        answers = 0
        while (now := time.monotonic()) < started + seconds and len(found) < MOST_DEVICES and answers < _MOST_ANSWERS:
            if to_send and now >= to_send[0]:
                to_send.pop(0)
                _send(sockets, probe, group)
            until = min([started + seconds, *to_send[:1]])
            for key, _ in selector.select(max(0.0, until - time.monotonic())):
                assert isinstance(key.fileobj, socket.socket)
                try:
                    document, sender = key.fileobj.recvfrom(_DATAGRAM)
                except OSError:  # an answer of the network, such as "port unreachable"
                    continue
                answers += 1
                device = _device(document, sender[0])
                if device is not None:
                    found.setdefault(device.host, device)
    return sorted(found.values(), key=lambda device: ipaddress.ip_address(device.host))


def _device(document: bytes, sender: str) -> Device | None:
    """The device that has sent an answer; None for anything else.

    Whatever address it names, it is asked at the one that the answer came from: otherwise an answer could send us, and
    the digest of a password, to any machine.
    """
    try:
        root = parse(document)
    except ValueError:
        return None
    match = root.find(".//{*}ProbeMatch")
    if match is None:
        return None
    addresses = [url for url in (match.findtext("{*}XAddrs") or "").split()[:16] if _plausible(url)]
    own = [url for url in addresses if urlsplit(url).hostname == sender]
    # Plain HTTP first: the certificate of a camera proves nothing, and needs time.
    best = min(own or addresses, key=lambda url: urlsplit(url).scheme, default=f"http://{sender}{_PATH}")
    scopes = (match.findtext("{*}Scopes") or "").split()[:64]
    names = (scope.partition("/name/")[2] for scope in scopes if scope.startswith("onvif://www.onvif.org/name/"))
    name = next((unquote(name) for name in names if name), "")
    return Device(sender, at_host(best, sender), safe(name)[:_LONGEST])


def at_host(url: str, host: str) -> str:
    """The URL with this host in place of its own; user and password are left out."""
    parts = urlsplit(url)
    shown = f"[{host}]" if ":" in host else host
    port = f":{parts.port}" if parts.port else ""
    query = f"?{parts.query}" if parts.query else ""
    return f"{parts.scheme}://{shown}{port}{parts.path}{query}"


def _plausible(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0 and len(url) <= _LONGEST
    except ValueError:
        return False


def _send(sockets: Sequence[socket.socket], probe: bytes, group: tuple[str, int]) -> None:
    for each in sockets:
        try:
            each.sendto(probe, group)
        except OSError:  # an interface without an address, or without a route
            continue


def _sockets(interface: str | None, stack: ExitStack) -> list[socket.socket]:
    """A socket per interface. Raises UsageError."""
    names = {name: index for index, name in socket.if_nameindex()}
    if interface is None:
        return [_at_index(index, stack) for name, index in names.items() if name != "lo"]
    if interface in names:
        return [_at_index(names[interface], stack)]
    try:
        address = str(ipaddress.IPv4Address(interface))
        opened = _opened(stack)
        opened.bind((address, 0))
        opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, socket.inet_aton(address))
    except (ValueError, OSError):
        raise UsageError(
            f"this machine has no interface '{safe(interface)}': choose from {', '.join(names)}, or give its address"
        ) from None
    return [opened]


def _at_index(index: int, stack: ExitStack) -> socket.socket:
    opened = _opened(stack)
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, struct.pack("@4s4si", bytes(4), bytes(4), index))
    return opened


def _opened(stack: ExitStack) -> socket.socket:
    opened = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
    opened.setblocking(False)
    opened.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_TTL, 1)
    return opened
