"""Why a connection failed, in words."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager

from monitor.text.outside import safe

# Codes of OpenSSL, X509_V_ERR_...
_OTHER_HOST = (62, 64)  # HOSTNAME_MISMATCH, IP_ADDRESS_MISMATCH
_NOT_NOW = (9, 10)  # CERT_NOT_YET_VALID, CERT_HAS_EXPIRED
_SIGNED_ITSELF = 18  # DEPTH_ZERO_SELF_SIGNED_CERT
_NO_TLS = ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "PACKET_LENGTH_TOO_LONG", "HTTP_REQUEST")
"""What OpenSSL says of bytes that are not TLS, by its version and the bytes."""


class NoTlsError(OSError):
    """The port can be reached, but does not answer with TLS."""


@contextmanager
def beginning_tls() -> Iterator[None]:
    """Around a handshake of TLS. Raises NoTlsError if the other side answers with something else, or hangs up."""
    try:
        yield
    except (ssl.SSLEOFError, ConnectionError) as error:
        raise NoTlsError from error
    except ssl.SSLError as error:
        if error.reason in _NO_TLS:
            raise NoTlsError from error
        raise


def speaks_tls(host: str, port: int, timeout_s: float) -> bool:
    """Whether a port answers with TLS. It is asked on a connection of its own, over which nothing is sent.

    timeout_s: for the connection, and for each step of the handshake, seconds
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE  # it is only asked whether this is TLS
    try:
        with socket.create_connection((host, port), timeout_s) as plain, beginning_tls():
            context.wrap_socket(plain, server_hostname=host).close()
    except ssl.SSLError:
        return True  # it refuses by TLS
    except OSError:
        return False
    return True


def why_no_connection(error: OSError, without_tls: str) -> str:
    """What went wrong, as the end of a sentence that begins with the address.

    without_tls: what to do if the port does not speak TLS
    """
    if isinstance(error, NoTlsError):
        return f"answers, but not with TLS: {without_tls}"
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in _OTHER_HOST:
        return f"has a certificate for another host ({safe(error.verify_message)}): write the name in it as the host"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"has a certificate that cannot be checked ({safe(error.verify_message)}): {_advice(error)}"
    if isinstance(error, ssl.SSLError):
        return f"does not speak TLS as expected ({safe(error.reason or 'unknown reason')})"
    if isinstance(error, socket.gaierror):
        return "has an unknown host name"
    if isinstance(error, ConnectionRefusedError):
        return "refuses the connection"
    if isinstance(error, TimeoutError):
        return "does not answer"
    return f"cannot be reached ({safe(error.strerror or 'the connection ended')})"


def _advice(error: ssl.SSLCertVerificationError) -> str:
    if error.verify_code in _NOT_NOW:
        return "renew it, or correct the clock that is wrong"
    if error.verify_code == _SIGNED_ITSELF:
        return "it has signed itself, so set ca to this certificate"
    return "set ca to the certificate of the authority that signed it"
