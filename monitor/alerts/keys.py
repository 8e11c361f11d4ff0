"""CURVE keys: they encrypt the network traffic and admit only the clients on a list.

``make_keys`` writes one folder for the monitor and one folder per client. Copy each folder to its machine:

    keys/monitor/server.key_secret     the monitor's secret key
    keys/monitor/clients/NAME.key      public keys of the allowed clients, one file each; remove one to refuse its owner
    keys/monitor/controllers/NAME.key  the same for clients that may also change things
    keys/NAME/NAME.key_secret          a client's secret key
    keys/NAME/server.key               the monitor's public key: with it the client verifies the monitor
"""

from __future__ import annotations

import logging
import os
import re
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.auth
from zmq.utils import z85

from monitor.alerts.bus.zmtp import RefusedKeyError
from monitor.alerts.key_files import LARGEST_KEY_FILE, KeyFolder, load_key
from monitor.errors import ConfigError
from monitor.reading import read_file
from monitor.text.commands import client_command

log = logging.getLogger(__name__)

ZAP_ADDRESS = "inproc://zeromq.zap.01"
"""The address within a context at which ZeroMQ asks whether a key may connect."""
ZAP_DOMAIN = "monitor"

HANDSHAKE_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_WATCHED = HANDSHAKE_FAILED | zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_MONITOR_STOPPED


def make_keys(folder: Path, name: str = "client", *, control: bool = False) -> list[Path]:
    """Make a client's keys, and the monitor's keys if ``folder`` has none. Returns the written files (mode 0600).

    control: whether the client may change things

    Raises ConfigError if a client with this name exists, or if the folder cannot be written.
    """
    if name == "monitor" or not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", name):
        raise ConfigError(
            f"{name!r} cannot be a client's name: use letters, digits, '-', '_' and '.', but not 'monitor'"
        )
    server, client, clients = folder / "monitor", folder / name, folder / "monitor" / "clients"
    allowed = server / "controllers" if control else clients
    written: list[Path] = []
    try:
        for place in (folder, server, clients, allowed, client):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            if not (server / "server.key_secret").exists():
                written += [_put(made, server / made.name) for made in _new_pair(Path(work), "server")]
            public, secret = _new_pair(Path(work), name)
            written.append(_put(secret, client / secret.name))
            written.append(_put(public, allowed / public.name))
            copy = Path(work) / "copy"
            copy.write_bytes(read_file(server / "server.key", LARGEST_KEY_FILE))
            written.append(_put(copy, client / "server.key"))
    except FileExistsError as error:
        raise ConfigError(
            f"{error.filename2 or error.filename} already exists and is never overwritten: choose another --name or "
            "another folder"
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot write keys to {folder}: {error.strerror}") from error
    return written


def _new_pair(folder: Path, name: str) -> tuple[Path, Path]:
    """Make a new pair of key files: public, secret."""
    public, secret = (Path(file) for file in zmq.auth.create_certificates(folder, name))
    return public, secret


def _put(made: Path, target: Path) -> Path:
    """Give a finished file its final name. Raises FileExistsError if that name is taken."""
    made.chmod(0o600)
    os.link(made, target)
    return target


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """A client's key pair and the monitor's public key, each as 40 characters of Z85."""

    public: bytes
    secret: bytes
    server: bytes

    @classmethod
    def load(cls, folder: Path) -> ClientKeys:
        """Load the keys from a folder with ``server.key`` and one ``*.key_secret``. Raises ConfigError."""
        secrets = sorted(folder.glob("*.key_secret"))
        if len(secrets) != 1:
            raise ConfigError(
                f"{folder} must contain the keys of a client, server.key and one NAME.key_secret: make them with "
                f"`{client_command('keys DIR')}` and use DIR/client"
            )
        public, secret = _load_pair(secrets[0])
        return cls(public, secret, load_key(folder / "server.key")[0])

    def apply(self, connecting: zmq.Socket[bytes]) -> None:
        """Set the keys on a socket before it connects."""
        connecting.curve_publickey, connecting.curve_secretkey = self.public, self.secret
        connecting.curve_serverkey = self.server


class ServerKeys:
    """The monitor's key pair and the folder of allowed clients. The folder is read again when it changes.

    Raises ConfigError if the folder lacks ``server.key_secret`` or ``clients``.
    """

    def __init__(self, folder: Path) -> None:
        self.clients = folder / "clients"
        if not (folder / "server.key_secret").is_file() or not self.clients.is_dir():
            raise ConfigError(
                f"{folder} must contain the monitor's keys, server.key_secret and the folder clients: make them with "
                f"`{client_command('keys DIR')}` and use DIR/monitor"
            )
        self.public, self.secret = _load_pair(folder / "server.key_secret")
        self._allowed = KeyFolder(self.clients)
        self._controllers = KeyFolder(folder / "controllers")

    @property
    def pair(self) -> tuple[bytes, bytes]:
        """The monitor's public and secret key, 32 bytes each."""
        return z85.decode(self.public), z85.decode(self.secret)

    def admit(self, key: bytes, address: str) -> None:
        """Log that the client with this public key (32 bytes) connects. Raises RefusedKeyError if it may not."""
        name = self.name_of(key)
        if name is None:
            shown = z85.encode(key).decode()
            raise RefusedKeyError(f"its public key {shown} is not in any file of {self.clients}")
        log.info("%s connects from %s", name, address)

    def name_of(self, key: bytes) -> str | None:
        """Return the name of the client with this public key (32 bytes); None if it may not connect."""
        if len(key) != 32:
            return None
        return self._allowed.name_of(z85.encode(key)) or self.controller(key)

    def controller(self, key: bytes) -> str | None:
        """Return the name of the client with this public key (32 bytes) if it may change things; None otherwise."""
        if len(key) != 32 or not self._controllers.folder.is_dir():
            return None
        return self._controllers.name_of(z85.encode(key))


def _load_pair(file: Path) -> tuple[bytes, bytes]:
    public, secret = load_key(file)
    if secret is None:
        raise ConfigError(f"{file} contains no secret key: use a NAME.key_secret file")
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        log.warning("other users can read the secret key %s: run chmod 600 on it", file)
    return public, secret
