"""What may be shown of a camera's address: scheme, host, port, and the last part of its path if it is a usual word.

This is an allow-list. Passwords and tokens stand in user names, paths and parameters of any name, so nothing else is
shown. In doubt nothing but the scheme is shown, because a password may look like a host.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

HIDDEN = "***"

PLACEHOLDER = "USER:PASSWORD"

LOCAL = frozenset(["ipc", "inproc"])
"""Schemes of addresses that are paths or names on this machine. They hold no password."""

_LONGEST_SCHEME = 12
_AUTHORITY = re.compile(r"[^/?#\\]*")
_IP = r"\d{1,3}(?:\.\d{1,3}){3}|\[[0-9A-Fa-f:.]+(?:%[\w.\-]+)?\]"
_CERTAIN = re.compile(rf"(?:{_IP})(?::\d{{1,5}})?")
_HOST = re.compile(rf"({_IP}|\*|[\w.\-]+)(?::(\d{{1,5}}|\*))?")
_PLACE = re.compile(r"(?P<host>\[[^\]]*\]|.*?)(?::(?P<port>[^:]*))?", re.DOTALL)
_DIGITS = re.compile(r"[0-9]{1,9}")
_NAME = re.compile(r"[\w.\-]+")
_FOUR_NUMBERS = re.compile(r"[0-9]{1,9}(?:\.[0-9]{1,9}){3}")
_LONGEST_NAME = 253
"""Characters of a host name (RFC 1035)."""
_PARAMETER = re.compile(r"[?&;,_/][A-Za-z]\w*=[^=]")
# A user name before a port: the host was forgotten, and the port may be a password.
_USERS = frozenset(["admin", "administrator", "guest", "operator", "root", "service", "supervisor", "user", "viewer"])

_WORD = re.compile(r"[hH]26[45]|[A-Z]?[a-z]+|[A-Z]+|\d+")
_USUAL_PART = re.compile(r"[A-Za-z0-9_.\-]{1,40}")
_USUAL_WORDS = """
amp asf av avi axis back bin bmp cam camera cameras cgi ch chan channel channels clip clips day default door entry
every faststream feed first flv front garage garden gate gif h264 h265 hall hd help high hls home html image images
index ipcam jpeg jpg left live livez low m main mainstream master media medium metrics mjpeg mjpg mkv mov mp mpeg
mpg nph onvif park path photo php picture play playlist preview profile proxy push raw readyz realmonitor right
rtsp sd sdp second shot smp snap snapshot stream streaming streams street sub substream test track trackid ts tv u
unicast video videos view viewer vod web webcam webm x y yard
"""
_WORDS = frozenset(_USUAL_WORDS.split())


@dataclass(frozen=True, slots=True)
class ShownAddress:
    """The parts of an address that may be shown.

    scheme     as written, with the characters up to the host, such as ``rtsp://``
    user       ``***`` if it names a user or a password; ``USER:PASSWORD`` stays, as advice says what to write there
    host       host name or IP address, IPv6 in brackets; None if there is none, or if it is uncertain what is the host
    port       digits, or ``*``; "" if the address names none
    path       the last part of the path, ``/***/101``; "" without a path
    more       ``?***`` if parameters follow, otherwise ""
    """

    scheme: str
    user: str
    host: str | None
    port: str
    path: str
    more: str

    def __str__(self) -> str:
        if self.host is None:
            return self.scheme + HIDDEN
        user = f"{self.user}@" if self.user else ""
        port = f":{self.port}" if self.port else ""
        return f"{self.scheme}{user}{self.host}{port}{self.path}{self.more}"


def shown_address(scheme: str, rest: str) -> ShownAddress:
    """The parts to show of an address that begins with ``scheme`` (``rtsp://``); ``rest`` is everything after it."""
    if len(scheme) > _LONGEST_SCHEME + 3:
        scheme = f"{HIDDEN}://"
    authority, tail = divided(rest)
    place = authority.rpartition("@")[2]
    found = _HOST.fullmatch(place)
    if found is None or (found[2] and found[1].lower() in _USERS) or (tail.startswith("\\") and "@" in tail):
        return ShownAddress(scheme, shown_user(authority), None, "", "", "")
    path = re.split(r"[?#]", tail, maxsplit=1)[0]
    more = f"?{HIDDEN}" if path != tail else ""
    return ShownAddress(scheme, shown_user(authority), found[1], found[2] or "", _path(path), more)


def what_is_impossible(rest: str) -> str | None:
    """Why no machine can have the host or port of an address, and what to do; None if it may exist, or is uncertain.

    rest  everything after the ``://``. Nothing of it is in the sentence
    """
    place = divided(rest)[0].rpartition("@")[2]
    if not place:
        return None
    found = _PLACE.fullmatch(place)
    assert found is not None
    if found["port"] and not (_DIGITS.fullmatch(found["port"]) and 0 < int(found["port"]) < 65_536):
        return "has a port that cannot exist: write a number from 1 to 65535; user and password stand before an @"
    return (
        None
        if _may_exist(found["host"])
        else ("has a host that cannot exist: write the host name or IP address of the camera, IPv6 in []")
    )


def _may_exist(host: str) -> bool:
    """Whether a machine can have this name or IP address (IPv6 in brackets)."""
    if host.startswith("["):
        try:
            return bool(ipaddress.IPv6Address(host[1:-1]))
        except ValueError:
            return False
    if _FOUR_NUMBERS.fullmatch(host):
        return all(int(number) < 256 for number in host.split("."))
    if not _NAME.fullmatch(host):
        return False
    try:
        return len(host.encode("idna")) <= _LONGEST_NAME
    except UnicodeError:  # a part of it is empty, or has more than 63 characters
        return False


def shown_user(authority: str) -> str:
    """What is shown before the ``@``; empty without one."""
    user, at, _ = authority.rpartition("@")
    return user if user == PLACEHOLDER else HIDDEN if at else ""


def divided(rest: str) -> tuple[str, str]:
    """User and host, and everything after them. A password that is not encoded may contain ``/ ? # @``.

    The first part is empty if it is uncertain where it ends.
    """
    first = _AUTHORITY.match(rest)
    assert first is not None
    authority, tail = first[0], rest[first.end() :]
    if "@" not in tail or _CERTAIN.fullmatch(authority.rpartition("@")[2]):
        return authority, tail
    before, _, after = rest.rpartition("@")
    last = _AUTHORITY.match(after)
    assert last is not None
    user_and_host, path = f"{before}@{last[0]}", after[last.end() :]
    if _CERTAIN.fullmatch(last[0]):
        return user_and_host, path
    name, colon, port = authority.partition(":")
    if "@" not in authority and _PARAMETER.search(tail, 0, len(tail) - len(after)):
        # The @ belongs to a parameter, unless a password has the form of one.
        return ("", tail) if colon else (authority, tail)
    if "@" not in authority and colon and (not port.isdecimal() or name.lower() in _USERS):
        return user_and_host, path
    return "", tail  # host and port with an @ in the path, or user and password with a slash


def _path(path: str) -> str:
    parts = [part for part in path.split("/") if part]
    if not parts:
        return path
    last = parts[-1] if parts[-1] == HIDDEN or is_usual(parts[-1]) else HIDDEN
    if last == HIDDEN or len(parts) == 1:
        return f"/{last}"
    return f"/{HIDDEN}/{last}"


def is_usual(part: str) -> bool:
    """True if a part of a path is made of words and short numbers that cameras use: ``stream1``, ``ch01_sub.sdp``."""
    if not _USUAL_PART.fullmatch(part):
        return False
    words = _WORD.findall(part)
    if len(words) == 2 and len(words[0]) == 1 and words[0].isalpha() and words[1].isdecimal():
        return len(words[1]) <= 2
    if len(words) > 8 or sum(word.isdecimal() for word in words) > 4:
        return False
    return all(len(w) <= 3 if w.isdecimal() else w.lower() in _WORDS or len(part) == 1 for w in words)
