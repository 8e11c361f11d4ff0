"""The file of users and tokens: one line each, with a name, a role, and a hash. No password can be read from it.

ann operator $argon2id$v=19$...
wall-screen viewer sha256:9f86d0... ["door", "yard"]

After the hash, a list may name the cameras that the user may see, as JSON; without it, all.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import stat
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from monitor.errors import ConfigError
from monitor.private_files import make_private_folder, write_private
from monitor.reading import KB, read_file

_LARGEST = 256 * KB
_NAME = re.compile(r"[A-Za-z0-9_.@-]{1,64}")
_TOKEN_HASH = re.compile(r"sha256:[0-9a-f]{64}")
LEAST_LETTERS = 10
MOST_LETTERS = 1000
_HEADING = "# Users and tokens of the page. python -m monitor.web password FILE NAME changes it.\n"
# OWASP's second choice (Password Storage Cheat Sheet): 19 MiB, so that a login does not take the memory of the machine.
_HASHER = PasswordHasher(time_cost=2, memory_cost=19 * 1024, parallelism=1)


class Role(StrEnum):
    """What somebody may do. An operator may do all that a viewer may."""

    VIEWER = "viewer"
    OPERATOR = "operator"


@dataclass(frozen=True, slots=True)
class Who:
    """Somebody who may see the page.

    session  True if a browser logged in; False for a token or this machine
    cameras  the cameras that this somebody may see; None: all
    """

    name: str
    role: Role
    session: bool = False
    cameras: frozenset[str] | None = None

    def sees(self, camera: str) -> bool:
        """Whether this somebody may see a camera, and everything about it."""
        return self.cameras is None or camera in self.cameras

    @property
    def may_change(self) -> bool:
        """Whether this somebody may change what the monitor does."""
        return self.role is Role.OPERATOR


@dataclass(frozen=True, slots=True)
class _Line:
    role: Role
    hash: str
    cameras: frozenset[str] | None = None


class UserFile:
    """The file, read again whenever it has changed: somebody who is no longer in it may see nothing more.

    Raises ConfigError if the file cannot be used: it is missing, other users may read it, or a line is wrong.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._stamp = self._stamped()
        self._lines = _read(path)
        self._nobody = _HASHER.hash(secrets.token_urlsafe())

    def role_of(self, name: str) -> Role | None:
        """The role of a user or token; None if there is none with this name."""
        line = self._current().get(name)
        return None if line is None else line.role

    def who(self, name: str, *, session: bool = False) -> Who | None:
        """The user or token with this name; None if there is none."""
        line = self._current().get(name)
        return None if line is None else Who(name, line.role, session, line.cameras)

    def with_password(self, name: str, password: str) -> Role | None:
        """The role of the user with this name and password; None otherwise. Takes the same time for unknown names."""
        line = self._current().get(name)
        known = line is not None and not line.hash.startswith("sha256:")
        try:
            _HASHER.verify(line.hash if known and line else self._nobody, password[:MOST_LETTERS])
        except (VerificationError, InvalidHashError):
            return None
        return line.role if known and line else None

    def with_token(self, token: str) -> Who | None:
        """Who has this token; None if nobody."""
        hashed = token_hash(token)
        for name, line in self._current().items():
            if secrets.compare_digest(line.hash.encode(), hashed.encode()):
                return Who(name, line.role, cameras=line.cameras)
        return None

    def _current(self) -> dict[str, _Line]:
        stamp = self._stamped()
        if stamp != self._stamp:
            try:
                self._lines = _read(self._path)
            except ConfigError:  # while it is being edited, nobody may do anything
                self._lines = {}
            self._stamp = stamp
        return self._lines

    def _stamped(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return (found.st_mtime_ns, found.st_size, found.st_ino)


def token_hash(token: str) -> str:
    """A token is 256 random bits, so a plain hash protects it."""
    return f"sha256:{hashlib.sha256(token.encode()).hexdigest()}"


def set_password(path: Path, name: str, role: Role, password: str, cameras: Iterable[str] = ()) -> None:
    """Add a user to the file, or change the password. cameras: that the user may see; none: all. Raises ConfigError."""
    if not LEAST_LETTERS <= len(password) <= MOST_LETTERS:
        raise ConfigError(f"the password has {len(password)} letters: choose {LEAST_LETTERS} to {MOST_LETTERS}")
    _set(path, name, _Line(role, _HASHER.hash(password), frozenset(cameras) or None))


def new_token(path: Path, name: str, role: Role, cameras: Iterable[str] = ()) -> str:
    """Add a token to the file, or replace the one with this name; returns it. cameras: as above. Raises ConfigError."""
    token = secrets.token_urlsafe(32)
    _set(path, name, _Line(role, token_hash(token), frozenset(cameras) or None))
    return token


def _set(path: Path, name: str, line: _Line) -> None:
    if not _NAME.fullmatch(name):
        raise ConfigError(f"{name!r} is not a name: use 1 to 64 letters, digits, dots, @, - and _")
    lines = _read(path) if path.exists() else {}
    lines[name] = line
    text = _HEADING + "".join(_text(key, each) for key, each in lines.items())
    partial = path.with_name(f".{path.name}.partial")
    try:
        make_private_folder(path.parent)
        write_private(partial, text.encode())
        os.replace(partial, path)  # noqa: PTH105 - as Path.replace, which would follow no link either
    except OSError as error:
        raise ConfigError(f"{path} cannot be written ({error.strerror}): choose another place") from error


def _text(name: str, line: _Line) -> str:
    cameras = "" if line.cameras is None else f" {json.dumps(sorted(line.cameras))}"
    return f"{name} {line.role} {line.hash}{cameras}\n"


def _cameras(text: str) -> frozenset[str] | None:
    """The cameras at the end of a line. Raises ValueError."""
    if not text.strip():
        return None
    found = json.loads(text)
    if not (isinstance(found, list) and found and all(isinstance(name, str) and name for name in found)):
        raise ValueError("it is no list of names")
    return frozenset(found)


def _read(path: Path) -> dict[str, _Line]:
    make = f"create it with `python -m monitor.web password {path} NAME`"
    try:
        mode = path.stat().st_mode
        text = read_file(path, _LARGEST).decode()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"the file of users {path} cannot be read ({reason}): {make}") from error
    if stat.S_IMODE(mode) & 0o077:
        raise ConfigError(f"other users of this machine can read the file of users {path}: run `chmod 600 {path}`")
    lines: dict[str, _Line] = {}
    for number, row in enumerate(text.splitlines(), 1):
        if not row.strip() or row.startswith("#"):
            continue
        name, _, rest = row.partition(" ")
        role, _, rest = rest.partition(" ")
        hashed, _, cameras = rest.partition(" ")
        try:
            sees = _cameras(cameras)
        except (ValueError, RecursionError):
            raise ConfigError(
                f'line {number} of {path}: write the cameras after the hash as ["door", "yard"], or nothing for all'
            ) from None
        right = _NAME.fullmatch(name) and role in list(Role)
        if not right or not (_TOKEN_HASH.fullmatch(hashed) or hashed.startswith("$argon2")):
            raise ConfigError(f"line {number} of {path} is not a user: {make}")
        lines[name] = _Line(Role(role), hashed, sees)
    if not lines:
        raise ConfigError(f"the file of users {path} names nobody: {make}")
    return lines
