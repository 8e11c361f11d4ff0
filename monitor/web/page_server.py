"""Serves the page until it is told to end."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import uvicorn

from monitor.errors import ConfigError
from monitor.web.access import Access
from monitor.web.board import Board
from monitor.web.bus_reader import BusAddress, BusReader
from monitor.web.event_store import EventStore
from monitor.web.live_pictures import MOST_LOOKING, LivePictures
from monitor.web.monitor_link import MonitorLink
from monitor.web.page_app import Page, page_application
from monitor.web.user_file import UserFile
from monitor.web.viewers import MOST_VIEWERS
from monitor.web.web_settings import WebSettings

_MOST_CONNECTIONS = MOST_VIEWERS + MOST_LOOKING + 64
_KEEP_ALIVE_S = 15
_GOODBYE_S = 2


class PageServer:
    """A context manager around the parts of the page; ``serve`` blocks until ``stop`` is called.

    Raises ConfigError if a file of the settings cannot be used.
    """

    def __init__(self, settings: WebSettings, bus: BusAddress, evidence: Path | None) -> None:
        self._settings = settings
        users = None if settings.passwords is None else UserFile(settings.passwords)
        self.page = Page(EventStore(), Board(), Access(users), evidence, tls=settings.certificate is not None)
        self._link = self.page.link = MonitorLink(bus)
        self._live = self.page.live = LivePictures(bus, self._link)
        self._reader = BusReader(bus, self.page.store, self.page.board, self.page.tell)
        certificate, key = settings.certificate, settings.certificate_key
        self._server = uvicorn.Server(
            config := uvicorn.Config(
                page_application(self.page),
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
            stack.enter_context(self._reader)
            stack.enter_context(self._link)
            stack.enter_context(self._live)
            ready()
            self._server.run(sockets=[listening])

    def stop(self) -> None:
        """End soon. For another thread."""
        self._server.should_exit = True
