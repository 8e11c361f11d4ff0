"""The token of a fleet: who has it may take part. Connections are encrypted with keys that are derived from it (CURVE).

The public key of a server is derived from the token, too, and is never sent. So a peer without the token cannot even
begin a conversation, and a peer that has it knows that the server has it.
"""

from __future__ import annotations

import secrets
from hashlib import blake2b
from pathlib import Path

import zmq
from zmq.utils import z85

from monitor.errors import ConfigError
from monitor.private_files import make_private_folder, open_private
from monitor.reading import read_file

_LEAST, _MOST = 20, 500


def keys_of(token: str, who: str) -> tuple[bytes, bytes]:
    """The public and the secret key of ``server`` or ``client``, as ZeroMQ takes them."""
    secret = z85.encode(blake2b(token.encode(), digest_size=32, person=f"fleet-{who}".encode()).digest())
    return zmq.curve_public(secret), secret


def make_token(path: Path) -> str:
    """The token in a file; a new one if there is no file. Raises ConfigError."""
    try:
        make_private_folder(path.parent)
        with open_private(path, "x") as file:
            file.write(f"{secrets.token_urlsafe(32)}\n")
    except FileExistsError:
        pass
    except OSError as error:
        raise ConfigError(
            f"the token cannot be written to {path} ({error.strerror or error}): choose another file"
        ) from error
    return read_token(path)


def read_token(path: Path) -> str:
    """The token in a file. Raises ConfigError."""
    try:
        token = read_file(path, 10_000).decode().strip()
    except OSError as error:
        raise ConfigError(
            f"the token {path} cannot be read ({error.strerror or error}): copy it from the machine of the head"
        ) from error
    except UnicodeDecodeError:
        token = ""
    if not _LEAST <= len(token) <= _MOST or not token.isprintable() or " " in token:
        raise ConfigError(f"{path} holds no token: copy it from the machine of the head")
    return token
