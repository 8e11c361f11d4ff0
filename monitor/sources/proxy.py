"""Proxies of the environment (``http_proxy``). FFmpeg asks every web address through them, also a camera in the house.

A proxy cannot reach such a camera, and its error looks like the camera's own. So cameras of the own network are asked
directly, and for any other camera the proxy is named.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Iterable
from contextlib import suppress
from urllib.parse import urlsplit

from monitor.sources.web_address import is_web

_OWN_NAMES = (".local", ".localhost", ".lan", ".home", ".home.arpa", ".internal", ".fritz.box")


def bypass_proxy(addresses: Iterable[str]) -> None:
    """Ask cameras of the own network without the proxy: add their hosts to ``no_proxy``, for child processes too."""
    hosts = {host for address in addresses if is_web(address) and is_own_network(host := _host(address))}
    if not hosts or not any(name.lower() in ("http_proxy", "https_proxy", "all_proxy") for name in os.environ):
        return
    known = os.environ.get("no_proxy") or os.environ.get("NO_PROXY") or ""
    listed = [name.strip() for name in known.split(",") if name.strip()]
    if "*" in listed:
        return
    wanted = [form for host in sorted(hosts) for form in ((host, f"[{host}]") if ":" in host else (host,))]
    os.environ["no_proxy"] = ",".join([*listed, *(name for name in wanted if name not in listed)])


def proxy_of(address: str) -> tuple[str, int] | None:
    """Host and port of the proxy through which an address is asked; None if it is asked directly."""
    host = _host(address)
    if not is_web(address) or not host:
        return None
    from urllib.request import getproxies, proxy_bypass  # decoders of other cameras need no client of HTTP

    if proxy_bypass(f"[{host}]" if ":" in host else host):
        return None
    proxies = getproxies()
    given = proxies.get("http") or (proxies.get(urlsplit(address).scheme.lower()) or "")
    with suppress(ValueError):
        parts = urlsplit(given if "://" in given else f"http://{given}")
        if parts.hostname:
            return parts.hostname, parts.port or 80
    return None


def is_own_network(host: str) -> bool:
    """Whether a host is in a network of one's own: a private IP address, or a name of the local network."""
    try:
        address = ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return bool(host) and ("." not in host or host.lower().rstrip(".").endswith(_OWN_NAMES))
    return address.is_private or address.is_link_local or address.is_loopback


def _host(address: str) -> str:
    with suppress(ValueError):
        return urlsplit(address).hostname or ""
    return ""
