"""Who may see the page: sessions of browsers, tokens of programs, and a limit on attempts to log in."""

from __future__ import annotations

import hashlib
import ipaddress
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from monitor.web.user_file import Role, UserFile, Who

IDLE_S = 12 * 3600.0
"""A session that is not used for this long ends."""
LONGEST_S = 7 * 86_400.0
MOST_SESSIONS = 500
ATTEMPTS_PER_ADDRESS = 5
ATTEMPTS_PER_NAME = 20
ATTEMPT_EVERY_S = 30.0
"""After as many failures, one more attempt is allowed per this time."""
_MOST_KEYS = 10_000
HERE = Who("this machine", Role.OPERATOR)


@dataclass
class _Session:
    name: str
    began_at: float
    used_at: float


class Attempts:
    """Counts failures per key: at first some are allowed, then one per ``ATTEMPT_EVERY_S``. The keys are bounded."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[float, float]] = OrderedDict()  # key -> failures left over, when

    def wait_s(self, key: str, most: int) -> float:
        """Seconds until the next attempt is allowed; 0 if it is now."""
        return max(0.0, (self._left(key) - most + 1) * ATTEMPT_EVERY_S)

    def failed(self, key: str) -> None:
        """Count a failure."""
        self._failures[key] = (self._left(key) + 1, self._clock())
        self._failures.move_to_end(key)
        while len(self._failures) > _MOST_KEYS:
            self._failures.popitem(last=False)

    def forget(self, key: str) -> None:
        """After a success."""
        self._failures.pop(key, None)

    def _left(self, key: str) -> float:
        failures, at = self._failures.get(key, (0.0, 0.0))
        return max(0.0, failures - (self._clock() - at) / ATTEMPT_EVERY_S)


class Access:
    """Only the event loop's thread may use it, except for ``check_password``.

    users  None: everyone on this machine may do everything; the page must then be bound to loopback
    clock  seconds that never go back
    """

    def __init__(self, users: UserFile | None, clock: Callable[[], float] = time.monotonic) -> None:
        self.users = users
        self._clock = clock
        self._sessions: OrderedDict[str, _Session] = OrderedDict()  # by the hash of the cookie, oldest first
        self._attempts = Attempts(clock)

    def of_cookie(self, cookie: str) -> Who | None:
        """Who has this session; None if it is over, or if the user is no longer in the file."""
        hashed = _hashed(cookie)
        session = self._sessions.get(hashed)
        if session is None or self.users is None:
            return None
        now = self._clock()
        who = self.users.who(session.name, session=True)
        if who is None or now - session.used_at > IDLE_S or now - session.began_at > LONGEST_S:
            del self._sessions[hashed]
            return None
        session.used_at = now
        return who

    def of_token(self, token: str, address: str) -> Who | None:
        """Who has this token; None if nobody, or after too many attempts."""
        key = _group(address)
        if self.users is None or self._attempts.wait_s(f"token {key}", ATTEMPTS_PER_NAME) > 0:
            return None
        who = self.users.with_token(token)
        if who is None:
            self._attempts.failed(f"token {key}")
        return who

    def wait_s(self, name: str, address: str) -> float:
        """Seconds until somebody at this address may try to log in with this name."""
        by_address = self._attempts.wait_s(_group(address), ATTEMPTS_PER_ADDRESS)
        return max(by_address, self._attempts.wait_s(f"name {name}", ATTEMPTS_PER_NAME))

    def attempt(self, name: str, address: str) -> None:
        """Count an attempt, before the password is checked: many at once must not all be allowed."""
        self._attempts.failed(_group(address))
        self._attempts.failed(f"name {name}")

    def check_password(self, name: str, password: str) -> Role | None:
        """The role of the user; None if the password or the name is wrong. Takes some 30 ms, for a thread."""
        return None if self.users is None else self.users.with_password(name, password)

    def log_in(self, name: str, address: str) -> str:
        """Begin a session after the right password; returns the cookie."""
        self._attempts.forget(_group(address))
        self._attempts.forget(f"name {name}")
        cookie, now = secrets.token_urlsafe(32), self._clock()
        self._sessions[_hashed(cookie)] = _Session(name, now, now)
        while len(self._sessions) > MOST_SESSIONS:
            self._sessions.popitem(last=False)
        return cookie

    def log_out(self, cookie: str) -> None:
        """End a session."""
        self._sessions.pop(_hashed(cookie), None)

    def log_out_all(self) -> int:
        """End all sessions; returns their number."""
        count = len(self._sessions)
        self._sessions.clear()
        return count


def _hashed(cookie: str) -> str:
    return hashlib.sha256(cookie.encode(errors="replace")).hexdigest()


def _group(address: str) -> str:
    """The address; for IPv6 its network of 64 bits, because one machine has all addresses in it."""
    try:
        found = ipaddress.ip_address(address)
    except ValueError:
        return address
    if found.version == 6:
        return str(ipaddress.ip_network((int(found) >> 64 << 64, 64)))
    return address
