"""The settings of a camera that say where it is and how it is connected."""

from __future__ import annotations

from pathlib import Path
from typing import Self

from pydantic import field_validator, model_validator

from monitor.settings import Settings
from monitor.sources.link import SEPARATORS, TOO_OLD, Link, Transport, opencv_checks


class LinkConfig(Settings):
    """Where a camera is, and how it is connected."""

    source: str
    """RTSP or HTTP URL, video file, USB camera index, or a folder of frames."""
    transport: Transport | None = None
    """How pictures of an RTSP camera come: ``tcp`` or ``udp``. None: over TCP if the camera can, otherwise over UDP."""
    check_certificate: bool = False
    """Refuse an rtsps:// camera with a certificate that nobody vouches for, or that is for another host."""
    ca: Path | None = None
    """File of certificates (PEM) to check an rtsps:// camera against, in place of the system's. Switches the check
    on."""

    @field_validator("ca")
    @classmethod
    def _check_file(cls, value: Path | None) -> Path | None:
        if value is None:
            return None
        if any(character in str(value.absolute()) for character in SEPARATORS):
            raise ValueError(f"the path must hold none of the characters {SEPARATORS}")
        try:
            with value.open("rb") as file:
                held = file.read(1_000_000)
        except OSError as error:
            raise ValueError(f"cannot read {value} ({error.strerror}): check the path") from None
        if b"-----BEGIN CERTIFICATE-----" not in held:
            raise ValueError(f"{value} holds no certificate: give a file in PEM format")
        return value

    @model_validator(mode="after")
    def _check_link(self) -> Self:
        scheme = self.source.partition("://")[0].lower() if "://" in self.source else ""
        if self.transport is not None and scheme not in ("rtsp", "rtsps"):
            raise ValueError("only a source with rtsp:// or rtsps:// has a transport: remove it")
        if self.link.check and scheme != "rtsps":
            raise ValueError("only a source with rtsps:// has a certificate that can be checked: remove the check")
        if self.link.check:
            if not opencv_checks():
                raise ValueError(TOO_OLD)
            _ = self.link.options
        if self.transport == "udp" and scheme == "rtsps":
            raise ValueError("over udp, pictures of an rtsps:// source would not be encrypted: remove the transport")
        return self

    @property
    def link(self) -> Link:
        """How to connect."""
        return Link(self.transport, self.check_certificate or self.ca is not None, self.ca)
