"""Why a connection failed, in words."""

from __future__ import annotations

import socket
import ssl

from monitor.text.outside import safe

_OTHER_HOST = (62, 64)  # OpenSSL: X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


def why_no_connection(error: OSError) -> str:
    """What went wrong, as the end of a sentence that begins with the address."""
    if isinstance(error, ssl.SSLCertVerificationError) and error.verify_code in _OTHER_HOST:
        return f"has a certificate for another host ({safe(error.verify_message)}): write the name in it as the host"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"has a certificate that cannot be checked ({safe(error.verify_message)}): set ca to its certificate"
    if isinstance(error, ssl.SSLError):
        return f"does not speak TLS as expected ({safe(error.reason or 'unknown reason')})"
    if isinstance(error, socket.gaierror):
        return "has an unknown host name"
    if isinstance(error, ConnectionRefusedError):
        return "refuses the connection"
    if isinstance(error, TimeoutError):
        return "does not answer"
    return f"cannot be reached ({safe(error.strerror or 'the connection ended')})"
