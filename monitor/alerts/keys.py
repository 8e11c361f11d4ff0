"""CURVE: keys that encrypt what goes over the network, and let in only those who are on a list.

``make_keys`` writes one folder for the monitor and one for each client, to be copied to where they belong:

    keys/monitor/server.key_secret     the monitor's own key
    keys/monitor/clients/NAME.key      who may connect: public keys, one file each; remove one to shut its owner out
    keys/NAME/NAME.key_secret          a client's own key
    keys/NAME/server.key               the monitor's public key, so that the client knows whom it talks to
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
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import zmq
import zmq.auth
from zmq.utils import z85

from monitor.errors import ConfigError
from monitor.text.commands import python_command

log = logging.getLogger(__name__)

ZAP_ADDRESS = "inproc://zeromq.zap.01"
"""Where ZeroMQ asks, within a context, whether a key may connect."""
ZAP_DOMAIN = "monitor"
COMPLAIN_EVERY_S = 60.0
"""A client that is refused tries again and again; it is logged once in so long."""

HANDSHAKE_FAILED = (
    zmq.EVENT_HANDSHAKE_FAILED_PROTOCOL | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_HANDSHAKE_FAILED_AUTH
)
_WATCHED = HANDSHAKE_FAILED | zmq.EVENT_ACCEPTED | zmq.EVENT_DISCONNECTED | zmq.EVENT_MONITOR_STOPPED


def make_keys(folder: Path, name: str = "client") -> list[Path]:
    """Make the monitor's key, if ``folder`` has none yet, and a client's; returns the files written (mode 0600).

    Raises ConfigError if there is a client of that name already, or the folder cannot be written.
    """
    if name == "monitor" or not re.fullmatch(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*", name):
        raise ConfigError(f"{name!r} is no name for a client: use letters, digits, '-', '_' and '.', and not 'monitor'")
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
            copy.write_bytes((server / "server.key").read_bytes())
            written.append(_put(copy, client / "server.key"))
    except FileExistsError as error:
        raise ConfigError(
            f"{error.filename2 or error.filename} exists already and is never overwritten: choose another --name, or "
            "another folder"
        ) from error
    except OSError as error:
        raise ConfigError(f"cannot write keys to {folder}: {error.strerror}") from error
    return written


def _new_pair(folder: Path, name: str) -> tuple[Path, Path]:
    """A new public and secret key file."""
    public, secret = (Path(file) for file in zmq.auth.create_certificates(folder, name))
    return public, secret


def _put(made: Path, target: Path) -> Path:
    """Give a finished file its name, unless that is taken."""
    made.chmod(0o600)
    os.link(made, target)
    return target


@dataclass(frozen=True, slots=True)
class ClientKeys:
    """A client's own key pair, and the public key of the monitor; each 40 letters of Z85."""

    public: bytes
    secret: bytes
    server: bytes

    @classmethod
    def load(cls, folder: Path) -> ClientKeys:
        """From a folder with ``server.key`` and one ``*.key_secret``. Raises ConfigError."""
        secrets = sorted(folder.glob("*.key_secret"))
        if len(secrets) != 1:
            raise ConfigError(
                f"{folder} must hold a client's keys, server.key and one NAME.key_secret: make them with "
                f"`{python_command('-m monitor.client keys DIR')}` and take DIR/client"
            )
        public, secret = _load_pair(secrets[0])
        return cls(public, secret, _load(folder / "server.key")[0])

    def apply(self, connecting: zmq.Socket[bytes]) -> None:
        """To a socket, before it connects."""
        connecting.curve_publickey, connecting.curve_secretkey = self.public, self.secret
        connecting.curve_serverkey = self.server


class ServerKeys:
    """The monitor's own key pair, and the folder of the clients that may connect, which is read again when it changes.

    Raises ConfigError for a folder without ``server.key_secret`` and ``clients``.
    """

    def __init__(self, folder: Path) -> None:
        self.clients = folder / "clients"
        if not (folder / "server.key_secret").is_file() or not self.clients.is_dir():
            raise ConfigError(
                f"{folder} must hold the monitor's keys, server.key_secret and the folder clients: make them with "
                f"`{python_command('-m monitor.client keys DIR')}` and take DIR/monitor"
            )
        self.public, self.secret = _load_pair(folder / "server.key_secret")
        self._names: dict[bytes, str] = {}
        self._read_at: int | None = None

    def apply(self, binding: zmq.Socket[bytes]) -> None:
        """To a socket, before it binds. Its context must have a ZAP handler by then, or every key would do."""
        binding.curve_server = True
        binding.curve_publickey, binding.curve_secretkey = self.public, self.secret
        binding.setsockopt_string(zmq.ZAP_DOMAIN, ZAP_DOMAIN)

    def name_of(self, key: bytes) -> str | None:
        """The name of the client with this public key (32 bytes); None if it may not connect."""
        try:
            changed_at = self.clients.stat().st_mtime_ns
            if changed_at != self._read_at:
                self._names, self._read_at = _load_clients(self.clients), changed_at
        except OSError as error:
            log.warning("cannot read the allowed clients in %s: nobody new is let in (%s)", self.clients, error)
            return None
        return self._names.get(z85.encode(key)) if len(key) == 32 else None


def _load_clients(folder: Path) -> dict[bytes, str]:
    names = {}
    for file in sorted(folder.glob("*.key")):
        try:
            names[_load(file)[0]] = file.stem
        except ConfigError as error:
            log.warning("%s", error)
    return names


def _load_pair(file: Path) -> tuple[bytes, bytes]:
    public, secret = _load(file)
    if secret is None:
        raise ConfigError(f"{file} holds no secret key: it must be a NAME.key_secret")
    if file.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        log.warning("the secret key %s can be read by other users: chmod 600 it", file)
    return public, secret


def _load(file: Path) -> tuple[bytes, bytes | None]:
    try:
        public, secret = zmq.auth.load_certificate(file)
        good = all(len(key) == 40 and len(z85.decode(key)) == 32 for key in (public, secret) if key is not None)
    except OSError as error:
        raise ConfigError(f"cannot read the key {file}: {error.strerror or 'no such file'}") from error
    except (ValueError, KeyError, struct.error):
        good = False
    if not good:
        raise ConfigError(f"{file} is no key file: make new keys with `{python_command('-m monitor.client keys DIR')}`")
    return public, secret


class Gatekeeper:
    """Answers ZeroMQ's question who may connect (ZAP, RFC 27), and logs by address who may not."""

    def __init__(self, keys: ServerKeys) -> None:
        self._keys = keys
        self._complaints = Complaints()

    def answer(self, parts: Sequence[bytes]) -> list[bytes] | None:
        """The reply to a ZAP request; None to what is none."""
        if len(parts) < 7 or parts[0] != b"1.0":
            return None
        request_id, address, mechanism, key = parts[1], parts[3].decode(errors="replace"), parts[5], parts[6]
        name = self._keys.name_of(key) if mechanism == b"CURVE" else None
        if name is not None:
            log.info("%s connects from %s", name, address)
            return [b"1.0", request_id, b"200", b"OK", name.encode(), b""]
        shown = z85.encode(key).decode() if len(key) == 32 else "none"
        self._complaints.say(address, f"its public key {shown} is in no file of {self._keys.clients}")
        return [b"1.0", request_id, b"400", b"key not allowed", b"", b""]


class Complaints:
    """Logs who was refused and why, each once a minute."""

    def __init__(self) -> None:
        self._said: dict[tuple[str, str], float] = {}

    def say(self, address: str, reason: str) -> None:
        """A client at ``address`` was refused."""
        now = time.monotonic()
        self._said = {key: at for key, at in self._said.items() if now - at < COMPLAIN_EVERY_S}
        if (address, reason) not in self._said:
            self._said[address, reason] = now
            log.warning("refused a client at %s: %s", address, reason)


class HandshakeWatch:
    """Logs by address the clients whose handshake fails before any key could be looked up.

    ZeroMQ tells only which connection it was, and only while that is open can its address be found: for less than a
    millisecond. Hence a thread, which owns the sockets that it reads and nothing else; it can still come too late.
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
        """End the thread; before the context is closed."""
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
                    kind, value = struct.unpack("=Hi", pair.recv_multipart()[0])  # at once: it is a race
                    if kind == zmq.EVENT_ACCEPTED:
                        peers[pair][value] = _peer(value)
                    elif kind == zmq.EVENT_DISCONNECTED:
                        peer = peers[pair].pop(value, _GONE)
                        if pair in failed:
                            self._complaints.say(peer, _NO_HANDSHAKE)
                        failed.discard(pair)
                    elif kind != zmq.EVENT_HANDSHAKE_FAILED_AUTH:  # of that one the gatekeeper has said more
                        failed.add(pair)


_NO_HANDSHAKE = "it uses no keys, or not this monitor's public key, or is no ZeroMQ program"
_GONE = "an address that was gone before it could be read"


def _peer(descriptor: int) -> str:
    """The address at the other end of an open connection."""
    try:
        with socket.socket(fileno=os.dup(descriptor)) as connection:
            name = connection.getpeername()
    except OSError:
        return _GONE
    return str(name[0]) if isinstance(name, tuple) else "this machine"
