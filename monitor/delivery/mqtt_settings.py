"""The settings of MQTT."""

from __future__ import annotations

from pathlib import Path
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from monitor.settings import Settings

PORT, TLS_PORT = 1883, 8883


class MqttSettings(Settings):
    """The broker, and what is published there. Off without ``host``."""

    host: str | None = Field(None, min_length=1, max_length=255, pattern=r"^[A-Za-z0-9._:%\-]+$")
    """Host name or IP address of the broker. None: no MQTT."""
    port: int | None = Field(None, ge=1, le=65_535)
    """None: 1883, or 8883 with TLS."""
    user: str | None = Field(None, min_length=1, max_length=255)
    password: SecretStr | None = None
    protocol: Literal["3.1.1", "5"] = "3.1.1"
    """Version of MQTT."""
    tls: bool = False
    """Encrypt the connection, and check the broker's certificate."""
    ca: Path | None = None
    """File of certificates (PEM) to check the broker against, in place of the system's."""
    cert: Path | None = None
    """Certificate of this client (PEM), if the broker asks for one."""
    key: Path | None = None
    """Key of this client's certificate (PEM)."""
    base: str = Field("truesight", pattern=r"^[A-Za-z0-9_\-]{1,64}$")
    """First part of all topics. Two monitors on one broker need different ones."""
    discovery: bool = True
    """Announce the cameras to Home Assistant."""
    discovery_prefix: str = Field("homeassistant", pattern=r"^[A-Za-z0-9_\-]{1,64}$")
    """Home Assistant's discovery prefix."""
    picture: bool = True
    """Publish the picture of the last alert, retained."""
    commands: bool | None = None
    """Take commands: arm, set a budget, give verdicts. None: if this monitor has to prove who it is to the broker, with
    a password or a certificate. A broker that asks nobody would let anyone command."""
    keep_hours: float = Field(72.0, gt=0, le=24 * 365)
    """Events that could not be published for this long are given up."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        if self.host is None and (self.user or self.password or self.tls):
            raise ValueError("host is missing: name the broker, or leave out user, password and tls")
        if self.password is not None and self.user is None:
            raise ValueError("password needs user")
        if not self.tls and (self.ca or self.cert or self.key):
            raise ValueError("ca, cert and key need tls = true")
        if (self.cert is None) != (self.key is None):
            raise ValueError("cert and key belong together: give both")
        return self

    @property
    def takes_commands(self) -> bool:
        """Whether commands are obeyed."""
        return (self.password is not None or self.cert is not None) if self.commands is None else self.commands

    @property
    def used_port(self) -> int:
        """The port."""
        return self.port or (TLS_PORT if self.tls else PORT)
