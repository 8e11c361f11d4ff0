"""Serves the page until it is told to end."""

from __future__ import annotations

import socket
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from pathlib import Path

import uvicorn

from monitor.errors import ConfigError
from monitor.web.access import Access
from monitor.web.board import Board
from monitor.web.bus_reader import BusAddress, BusReader
from monitor.web.event_store import EventStore
from monitor.web.forwarded import Forwarded
from monitor.web.live_pictures import MOST_LOOKING, LivePictures
from monitor.web.monitor_link import MonitorLink
from monitor.web.monitor_names import MonitorNames
from monitor.web.page_app import Page, page_application
from monitor.web.page_teaching import Teaching
from monitor.web.several_boards import SeveralBoards
from monitor.web.user_file import UserFile
from monitor.web.viewers import MOST_VIEWERS
from monitor.web.web_settings import WebSettings, networks

_MOST_CONNECTIONS = MOST_VIEWERS + MOST_LOOKING + 64
_KEEP_ALIVE_S = 15
_GOODBYE_S = 2


class PageServer:
    """A context manager around the parts of the page; ``serve`` blocks until ``stop`` is called.

    bus                the monitor, or several of them
    evidence, moments  the folder of each of them, in the same order; None, or left out at the end: not at hand

    Raises ConfigError if a file of the settings cannot be used.
    """

    def __init__(
        self,
        settings: WebSettings,
        bus: BusAddress | Sequence[BusAddress],
        evidence: Path | Sequence[Path | None] | None,
        moments: Path | Sequence[Path | None] | None = None,
    ) -> None:
        users = None if settings.passwords is None else UserFile(settings.passwords)
        addresses = [bus] if isinstance(bus, BusAddress) else list(bus)
        boards, names = [Board() for _ in addresses], MonitorNames(len(addresses))
        board = boards[0] if len(boards) == 1 else SeveralBoards(boards)
        self.page = page = Page(EventStore(), board, Access(users), tls=settings.certificate is not None)
        page.names = names
        page.evidence, *page.further_evidence = _folders(evidence)
        page.moments_folder, *page.further_moments = _folders(moments)
        self._readers = [
            BusReader(at, page.store, own, page.tell, page.moments, page.timeline, names, number)
            for number, (at, own) in enumerate(zip(addresses, boards, strict=True))
        ]
        self._links = page.links = [MonitorLink(at) for at in addresses]
        self._teaching = page.teaching = Teaching(self._links, page.store, boards, page.tell, names)
        self._lives = page.lives = [LivePictures(at, link) for at, link in zip(addresses, self._links, strict=True)]
        certificate, key = settings.certificate, settings.certificate_key
        self._server = uvicorn.Server(
            config := uvicorn.Config(
                Forwarded(page_application(self.page), networks(settings.trusted_proxies)),
                http="h11",
                ws="none",
                loop="asyncio",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                limit_concurrency=_MOST_CONNECTIONS,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=_GOODBYE_S,
                ssl_certfile=certificate,
                ssl_keyfile=None if key is None else str(key),
            )
        )
        try:
            config.load()
        except (OSError, ValueError) as error:  # also an SSLError
            raise ConfigError(
                f"the certificate {certificate} or its key cannot be used ({error}): give PEM files that fit together"
            ) from error

    def serve(self, listening: socket.socket, ready: Callable[[], None] = lambda: None) -> None:
        """Serve until SIGINT or SIGTERM, or ``stop``. ready: called before the first request is answered."""
        with ExitStack() as stack:
            stack.enter_context(self.page.store)
            stack.enter_context(self.page.moments)
            for reader in self._readers:
                stack.enter_context(reader)
            for link in self._links:
                stack.enter_context(link)
            stack.enter_context(self._teaching)
            for live in self._lives:
                stack.enter_context(live)
            ready()
            self._server.run(sockets=[listening])

    def stop(self) -> None:
        """End soon. For another thread."""
        self._server.should_exit = True


def _folders(given: Path | Sequence[Path | None] | None) -> Sequence[Path | None]:
    return (given,) if given is None or isinstance(given, Path) else given or (None,)
