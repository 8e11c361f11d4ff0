"""Redacts the credentials of URLs in any text: labels, logs, error sentences, tracebacks."""

from __future__ import annotations

import logging
import re

HIDDEN = "***"

_SCHEME = r"[a-z][a-z0-9+.\-]*://"
# A URL ends at the next white space, or at a separator that is followed by another URL. Quotes and brackets are part
# of the URL, because passwords may contain them.
_URL = re.compile(rf"""({_SCHEME})((?:(?![,;|'"()<>\[\]{{}}]+{_SCHEME})\S)+)""", re.IGNORECASE)
_AUTHORITY = re.compile(r"[^/?#]*")
_SECRET_PARAMETER = re.compile(
    r"(?<![a-z])((?:pass(?:word|wd|wort|phrase)?|pwd|psw|(?:access_?|auth_?)?token|auth|secret|(?:api_?|access_?)?key"
    r"|signature|sig|session|sid|credentials?)=)[^&\s\"'<>]+",
    re.IGNORECASE,
)
_ENCODED_USER = re.compile(r"(%3A%2F%2F)[^&\s\"'<>]*%40", re.IGNORECASE)


def redact(text: str) -> str:
    """The text, with ``user:password@`` and secret parameters (``password=``, ``token=``...) of every URL redacted.

    In doubt it redacts too much rather than too little: if a URL has more than one ``@``, everything before the last
    ``@`` is redacted. A URL ends at white space, because a URL must not contain unencoded white space.
    """
    return _URL.sub(_redact_url, text)


def _redact_url(match: re.Match[str]) -> str:
    scheme, rest = match.groups()
    authority = _AUTHORITY.match(rest)
    host = authority.group() if authority else ""
    # A colon but no @ before the first slash: either host:port, or user:password with a slash in the password.
    if "@" in host or ("@" in rest and ":" in host and not host.startswith("[")):
        rest = f"{HIDDEN}@{rest.rpartition('@')[2]}"
    rest = _ENCODED_USER.sub(rf"\g<1>{HIDDEN}%40", rest)
    return scheme + _SECRET_PARAMETER.sub(rf"\g<1>{HIDDEN}", rest)


class RedactingFormatter(logging.Formatter):
    """A log formatter that redacts credentials in every line, including tracebacks."""

    def format(self, record: logging.LogRecord) -> str:
        """The formatted record, redacted."""
        return redact(super().format(record))
