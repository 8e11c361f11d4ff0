"""Settings of the page, and the address that it is served at."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Self

from pydantic import field_validator, model_validator

from monitor.alerts.endpoints import check_endpoint
from monitor.errors import ConfigError
from monitor.settings import Settings, expanded

_ADDRESS = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([A-Za-z0-9.\-]+)):(\d{1,5})")
_HIGHEST = 65_535
Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class WebSettings(Settings):
    """The page: where it is served, and who may see it."""

    enabled: bool = False
    listen: str = "127.0.0.1:8088"
    """HOST:PORT to serve at; port 0 takes any free port. An address of another host than this machine itself needs
    ``passwords``."""
    passwords: Path | None = None
    """File of users and tokens (``python -m monitor.web password FILE NAME`` creates it). None: everyone on this
    machine may see the page."""
    certificate: Path | None = None
    """PEM file with the certificate for https. None: http."""
    certificate_key: Path | None = None
    """PEM file with the private key of the certificate. None: it stands in the file of the certificate."""
    keys: Path | None = None
    """Folder of the page's client keys, if ``publish.keys`` is set."""

    trusted_proxies: tuple[str, ...] = ()
    """Addresses or networks of proxies in front of the page. Only they are believed who the viewer is, and whether
    the viewer came by https (``X-Forwarded-For``, ``-Proto``, ``-Host``)."""

    monitors: tuple[str, ...] = ()
    """Alerts addresses of further monitors that the page shows, too. Their scores are at the port after it."""

    monitors_evidence: tuple[str, ...] = ()
    """Evidence folders of ``monitors``, in the same order, "" for one without: their clips and large pictures."""
    monitors_moments: tuple[str, ...] = ()
    """Their folders of moments, the same."""

    @field_validator("monitors_evidence", "monitors_moments")
    @classmethod
    def _check_folders(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(str(expanded(Path(each))) if each else "" for each in value)

    @field_validator("monitors")
    @classmethod
    def _check_monitors(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        for endpoint in value:
            try:
                check_endpoint(endpoint)
            except ConfigError as error:
                raise ValueError(str(error)) from None
        return value

    @field_validator("trusted_proxies")
    @classmethod
    def _check_proxies(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        networks(value)
        return value

    @field_validator("listen")
    @classmethod
    def _check_address(cls, value: str) -> str:
        host_and_port(value)
        return value

    @model_validator(mode="after")
    def _check_protection(self) -> Self:
        host, _ = self.address
        if self.passwords is None and not is_loopback(host):
            raise ValueError(
                f"other machines can reach {self.listen}: name a file of users with passwords, which "
                "`python -m monitor.web password FILE NAME` creates, or listen at 127.0.0.1"
            )
        if self.certificate_key is not None and self.certificate is None:
            raise ValueError("certificate_key needs certificate: name the file of the certificate, too")
        for name, folders in (("evidence", self.monitors_evidence), ("moments", self.monitors_moments)):
            if len(folders) > len(self.monitors):
                raise ValueError(f"monitors_{name} has more folders than monitors: give at most one for each, in order")
        return self

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return host_and_port(self.listen)


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """The addresses and networks, such as ``127.0.0.1`` and ``10.0.0.0/8``. Raises ValueError."""
    found: list[Network] = []
    for text in texts:
        try:
            found.append(ipaddress.ip_network(text))
        except ValueError:
            raise ValueError(
                f"{text[:80]!r} is no address or network: write one such as 127.0.0.1 or 10.0.0.0/8"
            ) from None
    return tuple(found)


def host_and_port(listen: str) -> tuple[str, int]:
    """Host and port of ``HOST:PORT``. Raises ValueError."""
    found = _ADDRESS.fullmatch(listen)
    if found is None or int(found[3]) > _HIGHEST:
        raise ValueError("should be HOST:PORT, such as 127.0.0.1:8088 or [::1]:8088")
    return found[1] or found[2], int(found[3])


def is_loopback(host: str) -> bool:
    """Whether only programs on this machine can reach this host. A name other than ``localhost`` counts as outside."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def shown_host(host: str) -> str:
    """The host as it stands in a URL: an IPv6 address in brackets."""
    return f"[{host}]" if ":" in host else host
