"""CURVE keys: they encrypt the network traffic and admit only the clients on a list.

``make_keys`` writes one folder for the monitor and one folder per client. Copy each folder to its machine:

    keys/monitor/server.key_secret     the monitor's secret key
    keys/monitor/clients/NAME.key      public keys of the allowed clients, one file each; remove one to refuse its owner
    keys/NAME/NAME.key_secret          a client's secret key
    keys/NAME/server.key               the monitor's public key: with it the client verifies the monitor
"""

from __future__ import annotations

import logging
import os
import re
import socket
import stat
import struct
import tempfile
import threading
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.auth
from zmq.utils import z85

from monitor.alerts.complaints import Complaints
from monitor.alerts.key_files import LARGEST_KEY_FILE, KeyFolder, load_key
from monitor.errors import ConfigError
from monitor.reading import read_file
from monitor.text.commands import python_command

log = logging.getLogger(__name__)

ZAP_ADDRESS = "inproc://zeromq.zap.01"
"""The address within a context at which ZeroMQ asks whether a key may connect."""
ZAP_DOMAIN = "monitor"

HANDSHAKE_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_WATCHED = HANDSHAKE_FAILED | zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_MONITOR_STOPPED


def make_keys(folder: Path, name: str = "client") -> list[Path]:
    """Make a client's keys, and the monitor's keys if ``folder`` has none. Returns the written files (mode 0600).

    Raises ConfigError if a client with this name exists, or if the folder cannot be written.
    """
    if name == "monitor" or not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", name):
        raise ConfigError(
            f"{name!r} cannot be a client's name: use letters, digits, '-', '_' and '.', but not 'monitor'"
        )
    server, client, clients = folder / "monitor", folder / name, folder / "monitor" / "clients"
    written: list[Path] = []
    try:
        for place in (folder, server, clients, client):
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as work:
            if not (server / "server.key_secret").exists():
                written += [_put(made, server / made.name) for made in _new_pair(Path(work), "server")]
            public, secret = _new_pair(Path(work), name)
            written.append(_put(secret, client / secret.name))
            written.append(_put(public, clients / public.name))
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
                f"`{python_command('-m monitor.client keys DIR')}` and use DIR/client"
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
                f"`{python_command('-m monitor.client keys DIR')}` and use DIR/monitor"
            )
        self.public, self.secret = _load_pair(folder / "server.key_secret")
        self._allowed = KeyFolder(self.clients)

    def apply(self, binding: zmq.Socket[bytes]) -> None:
        """Set the keys on a socket before it binds.

        The context must already have a ZAP handler: without one, ZeroMQ accepts every key.
        """
        binding.curve_server = True
        binding.curve_publickey, binding.curve_secretkey = self.public, self.secret
        binding.setsockopt_string(zmq.ZAP_DOMAIN, ZAP_DOMAIN)

    def name_of(self, key: bytes) -> str | None:
        """Return the name of the client with this public key (32 bytes); None if it may not connect."""
        return self._allowed.name_of(z85.encode(key)) if len(key) == 32 else None


def _load_pair(file: Path) -> tuple[bytes, bytes]:
    public, secret = load_key(file)
    if secret is None:
        raise ConfigError(f"{file} contains no secret key: use a NAME.key_secret file")
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        log.warning("other users can read the secret key %s: run chmod 600 on it", file)
    return public, secret


class Gatekeeper:
    """Decides for ZeroMQ which clients may connect (ZAP, RFC 27), and logs the address of each refused client."""

    def __init__(self, keys: ServerKeys) -> None:
        self._keys = keys
        self._complaints = Complaints()

    def answer(self, parts: Sequence[bytes]) -> list[bytes] | None:
        """Return the reply to a ZAP request; None if ``parts`` is not a ZAP request."""
        if len(parts) < 7 or parts[0] != b"1.0":
            return None
        request_id, address, mechanism, key = parts[1], parts[3].decode(errors="replace"), parts[5], parts[6]
        name = self._keys.name_of(key) if mechanism == b"CURVE" else None
        if name is not None:
            log.info("%s connects from %s", name, address)
            return [b"1.0", request_id, b"200", b"OK", name.encode(errors="replace"), b""]
        shown = z85.encode(key).decode() if len(key) == 32 else "none"
        self._complaints.say(address, f"its public key {shown} is not in any file of {self._keys.clients}")
        return [b"1.0", request_id, b"400", b"key not allowed", b"", b""]


class HandshakeWatch:
    """Logs the address of each client that fails the handshake before its key is checked.

    ZeroMQ reports only the connection's file descriptor. The address can be read only while the connection is open,
    which is less than a millisecond. Therefore a thread reads the events. It owns only the sockets that it reads, and
    it can still be too late.
    """

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], watched: Sequence[zmq.Socket[bytes]]) -> None:
        self._watched = watched
        self._context = context
        self._complaints = Complaints()
        self._ended = threading.Event()
        self._addresses = [f"inproc://handshakes-{number}" for number in range(len(watched))]
        for binding, address in zip(watched, self._addresses, strict=True):
            binding.monitor(address, _WATCHED)
        self._thread = threading.Thread(target=self._run, name="handshakes", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Stop the thread. Call this before the context is closed."""
        self._ended.set()
        for binding in self._watched:
            binding.disable_monitor()
        self._thread.join()

    def _run(self) -> None:
        with ExitStack() as stack:
            poller = zmq.Poller()
            peers: dict[zmq.Socket[bytes], dict[int, str]] = {}
            failed: set[zmq.Socket[bytes]] = set()
            for address in self._addresses:
                pair = stack.enter_context(self._context.socket(zmq.PAIR))
                pair.linger = 0
                pair.connect(address)
                poller.register(pair, zmq.POLLIN)
                peers[pair] = {}
            while not self._ended.is_set():
                for pair, _ in poller.poll(500):
                    kind, value = struct.unpack("=Hi", pair.recv_multipart()[0])  # at once: the connection may close
                    if kind == zmq.EVENT_ACCEPTED:
                        peers[pair][value] = _peer(value)
                    elif kind == zmq.EVENT_DISCONNECTED:
                        peer = peers[pair].pop(value, _GONE)
                        if pair in failed:
                            self._complaints.say(peer, _NO_HANDSHAKE)
                        failed.discard(pair)
                    elif kind != zmq.EVENT_HANDSHAKE_FAILED_AUTH:  # the gatekeeper has already logged that one
                        failed.add(pair)


_NO_HANDSHAKE = "it uses no keys, or a public key of another monitor, or it is not a ZeroMQ program"
_GONE = "an unknown address (the connection closed too soon)"


def _peer(descriptor: int) -> str:
    """Return the address of the other end of an open connection."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            name = connection.getpeername()
    except OSError:
        return _GONE
    return str(name[0]) if isinstance(name, tuple) else "this machine"
