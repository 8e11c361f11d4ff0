"""The settings of a webhook."""

from __future__ import annotations

import base64
import binascii
import re
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import SplitResult, urlsplit

from pydantic import Field, SecretStr, model_validator

from monitor.settings import Settings

LEAST_SECRET = 16
"""Least length of a secret, bytes: a shorter one can be guessed."""
_OWN_HEADERS = ("webhook-", "idempotency-key", "content-", "host", "connection", "transfer-encoding", "user-agent")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")


class WebhookSettings(Settings):
    """Where a webhook goes, how it is signed, and what it sends."""

    url: SecretStr
    """http:// or https:// address; may hold ``user:password@``. It is never shown whole: its path may be a secret."""
    secret: SecretStr
    """Signs each request. Text of at least 16 characters, or ``whsec_`` and base64."""
    send: Annotated[tuple[Literal["alerts", "updates", "health", "budget"], ...], Field(min_length=1)] = (
        "alerts",
        "health",
    )
    """What is sent: ``alerts`` (start and end of events), ``updates`` of events, ``health``, ``budget``."""
    picture: bool = False
    """Send the picture of an alert, too, as base64 in the JSON."""
    headers: dict[str, SecretStr] = Field(default_factory=dict)
    """Further headers, such as Authorization."""
    ca: Path | None = None
    """File of certificates (PEM) to check an https server against, in place of the system's."""
    timeout_s: float = Field(10.0, ge=0.5, le=120)
    """Longest time of one request, seconds."""
    keep_hours: float = Field(72.0, gt=0, le=24 * 365)
    """Messages that could not be delivered for this long are given up."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        self.address()
        if len(self.key()) < LEAST_SECRET:
            raise ValueError(
                f"secret must have at least {LEAST_SECRET} characters: make one with `openssl rand -base64 32`"
            )
        for name, value in self.headers.items():
            if not _HEADER.fullmatch(name) or name.lower().startswith(_OWN_HEADERS):
                raise ValueError(f"headers: '{name[:40]}' is not a header that you can set")
            if not value.get_secret_value().isprintable() or not value.get_secret_value().isascii():
                raise ValueError(f"headers: the value of '{name}' must be plain ASCII text on one line")
        return self

    def address(self) -> SplitResult:
        """The parts of the address. Raises ValueError without showing any of it."""
        text = self.url.get_secret_value()
        try:
            parts = urlsplit(text)
            port = parts.port
        except ValueError:
            raise ValueError("url is not a valid address: write it as https://HOST/PATH") from None
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname or port == 0:
            raise ValueError("url must be an http or https address: write it as https://HOST/PATH")
        if not text.isascii() or not text.isprintable() or " " in text:
            raise ValueError("url must be plain ASCII without spaces: encode other characters as %XX")
        return parts

    def key(self) -> bytes:
        """The key of the signature. Raises ValueError."""
        secret = self.secret.get_secret_value()
        if not secret.startswith("whsec_"):
            return secret.encode()
        try:
            return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("secret begins with whsec_, but its rest is not base64") from None
