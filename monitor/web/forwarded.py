"""What a proxy in front of the page says about a request: believed only from addresses that the settings name.

Without this, all who come through a proxy would count as one address, and https at the proxy would look like http.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Receive, Scope, Send

from monitor.web.web_settings import Network

_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9.\-_]+)(?::\d{1,5})?")
_NAMES = ("x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "forwarded")


class Forwarded:
    """An ASGI application around the page's gate.

    trusted  addresses of proxies. The headers ``X-Forwarded-For``, ``-Proto`` and ``-Host`` of others are removed
    """

    def __init__(self, app: ASGIApp, trusted: Sequence[Network]) -> None:
        self._app, self._trusted = app, tuple(trusted)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let the request through as the browser has sent it to the proxy."""
        if scope["type"] == "http":
            scope = self._as_sent(scope)
        await self._app(scope, receive, send)

    def _as_sent(self, scope: Scope) -> Scope:
        headers = Headers(scope=scope)
        client = scope.get("client")
        changed = dict(scope)
        changed["headers"] = [pair for pair in scope["headers"] if pair[0].decode("latin-1").lower() not in _NAMES]
        if client is None or not self._is_trusted(str(client[0])):
            return changed
        # Each proxy adds the address that it was reached from at the end: the last one that is no proxy of ours is
        # the viewer. What stands before it may be anything that the viewer has sent.
        hops = [part.strip() for line in headers.getlist("x-forwarded-for") for part in line.split(",") if part.strip()]
        for hop in reversed(hops):
            changed["client"] = (_plain(hop), 0)
            if not self._is_trusted(_plain(hop)):
                break
        proto = headers.get("x-forwarded-proto", "").strip().lower()
        if proto in ("http", "https"):
            changed["scheme"] = proto
        host = headers.get("x-forwarded-host", "").strip()
        if _HOST.fullmatch(host):
            MutableHeaders(scope=changed)["host"] = host
        return changed

    def _is_trusted(self, address: str) -> bool:
        try:
            found = ipaddress.ip_address(address)
        except ValueError:
            return False
        if isinstance(found, ipaddress.IPv6Address) and found.ipv4_mapped is not None:
            found = found.ipv4_mapped
        return any(found in network for network in self._trusted if network.version == found.version)


def _plain(hop: str) -> str:
    """The address without a port: ``[2001:db8::1]:5000`` and ``192.0.2.7:5000``."""
    if hop.startswith("["):
        return hop[1:].partition("]")[0][:100]
    return (hop.partition(":")[0] if hop.count(":") == 1 else hop)[:100]
