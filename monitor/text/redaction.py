"""Redacts addresses and known secrets in any text: labels, logs, error sentences, tracebacks.

See ``monitor.text.addresses``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from urllib.parse import quote, unquote

from monitor.text.addresses import HIDDEN, LOCAL, PLACEHOLDER, shown_address

_TOKEN = re.compile(r"\S+")
_SUSPICIOUS = re.compile(r"[:;][/\\]|//|@|%3A|\?|(?:rtsp|http|rtmp)s?:|\d\.\d", re.IGNORECASE)
# A scheme begins where no character of a scheme stands before it, so the search takes linear time.
_BEGIN = re.compile(r"(?<![A-Za-z0-9+.\-])([A-Za-z0-9+.\-]*)(:/{2,}|[:;][/\\]+|//|:)")
_KNOWN = re.compile(r".*(?:rtsp|http|rtmp)s?", re.IGNORECASE)  # other letters may stick to a scheme
_NETWORK = re.compile(rf"{_KNOWN.pattern}|[rh]t[a-z]{{0,5}}", re.IGNORECASE)
_ANOTHER = re.compile(r"(?:rtsp|http|rtmp)s?|ipc|inproc|tcp|udp", re.IGNORECASE)
_SEPARATORS = frozenset(",;|'\"()<>[]{}`")
_BY_NUMBER = re.compile(r"(?<![\w./\-])\d{1,3}(?:\.\d{1,3}){3}(?::\d{1,5})?")
_AROUND = ".,;:!?|'\"`()[]{}<>"
_PARAMETERS = re.compile(r"\?[^=?]*=.*")
_OWN = frozenset(["https://github.com/caronc/apprise/wiki"])
"""Addresses that our own sentences name. Nothing of what the user has typed is in them."""
_SHORTEST_SECRET = 5
"""Shorter secrets are not looked for in texts, because they are parts of ordinary words. Addresses hide them anyway."""
_secrets: tuple[str, ...] = ()
"""What ``hide`` was given, in all spellings, the longest first. Replaced as a whole, never changed."""


def hide(secret: str) -> None:
    """From now on, ``redact`` replaces this value wherever it stands. An address is hidden as addresses are."""
    global _secrets
    if "://" in secret or len(secret) < _SHORTEST_SECRET:
        return
    spellings = {secret, quote(secret, safe=""), quote(secret), unquote(secret)}
    known = {spelling for spelling in spellings if len(spelling) >= _SHORTEST_SECRET} | {*_secrets}
    _secrets = tuple(sorted(known, key=lambda spelling: (-len(spelling), spelling)))


def _without_secrets(text: str) -> str:
    for secret in _secrets:
        if secret in text:
            text = text.replace(secret, HIDDEN)
    return text


def redact(text: str) -> str:
    """The text without known secrets; of every address in it only scheme, host, port and a usual end are left.

    Addresses with a misspelled scheme or without one are found by their ``@`` or their parameters. An address ends at
    white space: it must not contain unencoded white space. A redacted address stays the same if it is redacted again.
    Takes linear time.
    """
    text = _without_secrets(text)
    return _TOKEN.sub(lambda token: _redact_token(token[0]), text) if _SUSPICIOUS.search(text) else text


def redact_source(spec: str) -> str:
    """A source as the user typed it, which is not the path of anything: an address of any form is redacted.

    Unlike ``redact``, this function knows that the whole text is one source, so white space may belong to a password.
    """
    spec = _without_secrets(spec)
    begin = next(_addresses(spec), None)
    if begin is not None:
        return _redact_rest(spec[: begin.start()]) + str(shown_address(begin[0], spec[begin.end() :]))
    if "@" in spec:
        return _without_scheme(spec)
    return redact(spec)


def _redact_token(token: str) -> str:
    """A run of characters without white space. It may hold several addresses, quotes and brackets."""
    if not _SUSPICIOUS.search(token):
        return token
    begins = list(_addresses(token))
    if not begins:
        return _redact_rest(token)
    shown = [_redact_rest(token[: begins[0].start()])]
    ends = [begin.start() for begin in begins[1:]] + [len(token)]
    for begin, end in zip(begins, ends, strict=True):
        address, after = _cut(token[begin.end() : end])
        if (begin[1].lower() in LOCAL and "@" not in address) or begin[0] + address in _OWN:
            shown.append(begin[0] + address + after)
        else:
            shown.append(str(shown_address(begin[0], address)) + after if address else begin[0] + after)
    return "".join(shown)


def _addresses(token: str) -> Iterator[re.Match[str]]:
    """Where the addresses in a token begin. ``://`` within an address is part of it, unless a separator comes first."""
    last_at = token.rfind("@")
    first = True
    for begin in _BEGIN.finditer(token):
        scheme, colon = begin.groups()
        if colon.startswith("://"):
            known = True
        elif colon == ":":
            known = begin.end() < len(token) and _KNOWN.fullmatch(scheme) is not None
        else:
            begun = bool(scheme) or colon == "//"
            known = begun and (begin.end() <= last_at or _NETWORK.fullmatch(scheme) is not None)
        another = colon.startswith("://") and _ANOTHER.fullmatch(scheme) and token[begin.start() - 1] in _SEPARATORS
        if known and (first or another):
            first = False
            yield begin


def _cut(rest: str) -> tuple[str, str]:
    """Divide into the address, and the quotes, brackets and punctuation after it."""
    end = len(rest.rstrip(_AROUND))
    if rest.startswith("[") and "]" not in rest[:end] and "]" in rest:
        end = rest.index("]") + 1  # the bracket of an IPv6 address
    return rest[:end], rest[end:]


def _redact_rest(text: str) -> str:
    """Text in which no scheme was found."""
    user, at, place = text.rpartition("@")
    if at and (":" in user or ("/" not in user and ("/" in place or _BY_NUMBER.match(place)))):
        return _without_scheme(text)
    begin = _BY_NUMBER.search(text)
    if begin is not None and text[begin.end() : begin.end() + 1] == "/":
        address, after = _cut(text[begin.start() :])
        return text[: begin.start()] + str(shown_address("", address)) + after
    encoded = text.lower()
    colon = encoded.find("%3a")
    if 0 <= colon < encoded.rfind("%40"):
        return text[:colon] + HIDDEN
    return _PARAMETERS.sub(f"?{HIDDEN}", text)


def _without_scheme(text: str) -> str:
    """``user:password@host/path`` without a scheme."""
    user, _, rest = text.rpartition("@")
    address, after = _cut(rest)
    shown = shown_address("", address)
    return f"{user if user == PLACEHOLDER else HIDDEN}@{shown}{after}"
