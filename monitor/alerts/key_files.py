"""Files with CURVE keys, as ZeroMQ's own tools write them: the keys in one, and the public keys of a folder."""

from __future__ import annotations

import logging
import struct
import time
from pathlib import Path

from zmq.utils import z85

from monitor.errors import ConfigError
from monitor.reading import KB, read_file
from monitor.text.commands import client_command
from monitor.text.outside import safe

log = logging.getLogger(__name__)

LARGEST_KEY_FILE = 16 * KB
_SETTLED_NS = 2_000_000_000
"""A file system may give two changes the same time if they are closer together than this."""


def load_key(file: Path) -> tuple[bytes, bytes | None]:
    """The public key in a file, and the secret key if it has one, each as 40 characters of Z85. Raises ConfigError."""
    try:
        content = read_file(file, LARGEST_KEY_FILE)
    except OSError as error:
        raise ConfigError(f"cannot read the key {file}: {error.strerror}") from error
    public, secret = (_value(content, kind) for kind in (b"public-key", b"secret-key"))
    if public is None or not _is_key(public) or (secret is not None and not _is_key(secret)):
        raise ConfigError(f"{file} is not a key file: make new keys with `{client_command('keys DIR')}`")
    return public, secret


def _value(content: bytes, kind: bytes) -> bytes | None:
    """The value in a line such as ``public-key = "..."``; None without such a line."""
    for line in content.splitlines():
        name, equals, value = line.partition(b"=")
        if equals and name.strip() == kind:
            return value.strip(b" \t'\"")
    return None


def _is_key(key: bytes) -> bool:
    try:
        return len(key) == 40 and len(z85.decode(key)) == 32
    except (ValueError, KeyError, struct.error):
        return False


class KeyFolder:
    """The public keys in the ``*.key`` files of a folder. A file that is added, changed or removed counts at once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._names: dict[bytes, str] = {}
        self._state: object = None
        self._said: set[str] = set()

    def name_of(self, key: bytes) -> str | None:
        """The name of the file with this public key, without ``.key``; None if no file has it.

        A file that cannot be used is left out, and logged when it is found. If the folder cannot be read, no key is
        known.
        """
        try:
            files = sorted(self.folder.glob("*.key"))
            # A file that is written over in place leaves the folder's own time alone, and `cp -p` sets the file's.
            states = [(file.name, *_state(file)) for file in files]
            state = self.folder.stat().st_ctime_ns, states
        except OSError as error:
            self._say({f"cannot read the allowed clients in {self.folder} ({error.strerror}): all are refused"})
            self._state = None
            return None
        if state != self._state:
            self._read(files)
            newest = max([state[0], *(changed for *_, changed in states)])
            self._state = state if newest < time.time_ns() - _SETTLED_NS else None
        return self._names.get(key)

    def _read(self, files: list[Path]) -> None:
        self._names = {}
        problems = set()
        for file in files:
            try:
                self._names[load_key(file)[0]] = safe(file.stem)
            except ConfigError as error:
                problems.add(str(error))
        self._say(problems)

    def _say(self, problems: set[str]) -> None:
        """Log what was not logged at the last look. Many connections per second may cause as many looks."""
        for problem in sorted(problems - self._said):
            log.warning("%s", safe(problem))
        self._said = problems


def _state(file: Path) -> tuple[int, int, int]:
    """What differs after any change of a file. The last number is the time of the change, ns."""
    try:
        stat = file.stat()
    except OSError:  # removed since the folder was listed, or a link to nothing
        return 0, 0, 0
    return stat.st_ino, stat.st_size, stat.st_ctime_ns
