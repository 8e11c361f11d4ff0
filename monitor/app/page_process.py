"""The page in a browser, as a child process of a run: started with it, ended with it, and started again if it ends.

The monitor binds the page's socket, so that the address is known at once and stays the same. Nothing that happens to
the process reaches the monitor: it says so, and continues.
"""

from __future__ import annotations

import contextlib
import logging
import os
import socket
import subprocess
import threading
import time
from collections import deque
from contextlib import ExitStack
from pathlib import Path
from typing import Protocol, Self

from monitor.alerts.endpoints import scores_beside
from monitor.app.config import MonitorConfig
from monitor.app.moments_place import moments_folder
from monitor.errors import BindError, ConfigError
from monitor.processes import child_command, child_environment, how_it_died
from monitor.text.outside import safe
from monitor.threads.stage import Stage, join_all
from monitor.web.installed import check_installed
from monitor.web.web_listening import listening_socket, url_of
from monitor.web.web_settings import WebSettings

log = logging.getLogger("monitor")

AGAIN_S = 1.0
"""Wait before a page that has ended is started again; doubles each time, up to ``LONGEST_WAIT_S``."""
LONGEST_WAIT_S = 60.0
STABLE_S = 60.0
"""A page that has run for this long begins with the shortest wait again."""
_GOODBYE_S = 3.0
_LONGEST_LINE = 1000
_REFUSED = 2  # its exit code if it can never run with these settings
_EVERYWHERE = {"*": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - where to connect instead


class PageProcess:
    """A context manager around the process and the thread that watches it.

    arguments  of ``monitor.web``, without the address to serve at
    listening  the socket of the page; this object closes it
    """

    def __init__(self, arguments: list[str], listening: socket.socket) -> None:
        self._arguments, self._listening = arguments, listening
        self._stop = threading.Event()
        self._process: subprocess.Popen[str] | None = None
        self._lock = threading.Lock()
        self._stage = Stage("page", self._keep_running, lambda _: None)
        self.started = 0
        """Number of processes so far."""

    def __enter__(self) -> Self:
        self._stage.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._stop.set()
            process = self._process
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                process.terminate()
            join_all([self._stage], _GOODBYE_S)
            if process.poll() is None:
                process.kill()
        join_all([self._stage], _GOODBYE_S)
        self._listening.close()

    @property
    def pid(self) -> int | None:
        """Id of the process that runs now."""
        process = self._process
        return None if process is None or process.poll() is not None else process.pid

    def _keep_running(self) -> None:
        wait_s = AGAIN_S
        while not self._stop.is_set():
            began_at = time.monotonic()
            code, last_line = self._run_once()
            if self._stop.is_set():
                return
            if code == _REFUSED:
                log.error("the page does not run: %s", last_line or "its settings cannot be used")
                return
            wait_s = AGAIN_S if time.monotonic() - began_at > STABLE_S else wait_s
            reason = "it could not be started" if code is None else how_it_died(code)
            log.warning(
                "the page has ended (%s)%s: the monitor continues, and the page is started again in %g s",
                reason,
                f": {last_line}" if last_line else "",
                wait_s,
            )
            self._stop.wait(wait_s)
            wait_s = min(LONGEST_WAIT_S, 2 * wait_s)

    def _run_once(self) -> tuple[int | None, str]:
        """Run the process to its end. Returns its exit code, None if it could not be started, and its last line."""
        lines: deque[str] = deque(maxlen=1)
        fd = self._listening.fileno()
        try:
            with self._lock:
                if self._stop.is_set():
                    return None, ""
                self._process = process = subprocess.Popen(  # noqa: S603 - a command of this program
                    child_command("monitor.web", *self._arguments, "--socket-fd", str(fd)),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                    errors="replace",
                    env=child_environment(),
                    pass_fds=(fd,),
                    # Ctrl-C in the terminal must reach only the monitor, which ends this process.
                    start_new_session=True,
                )
                self.started += 1
        except OSError as error:
            return None, safe(error)
        assert process.stderr is not None
        with process.stderr:
            while line := process.stderr.readline(_LONGEST_LINE):
                if text := safe(line.strip()).removeprefix("error: "):
                    lines.append(text)
                    log.info("page: %s", text)
        return process.wait(), lines[-1] if lines else ""


class Published(Protocol):
    """Where a monitor publishes, see Publisher."""

    @property
    def alerts_endpoint(self) -> str:
        """Address of alerts."""

    @property
    def scores_endpoint(self) -> str:
        """Address of scores."""

    @property
    def history_endpoint(self) -> str | None:
        """Address of the history; None without one."""


def open_page(settings: MonitorConfig, publisher: Published, stack: ExitStack, *, demo: bool) -> str:
    """Start the page until ``stack`` is closed; returns its URL. In the demo, any free port does if it has to.

    Raises UsageError if its packages are missing, and BindError.
    """
    check_installed()
    web = settings.web
    host, port = web.address
    try:
        listening = listening_socket(host, port)
    except BindError:
        if not (demo and web.listen == WebSettings().listen):
            raise
        listening = listening_socket(host, 0)
    stack.enter_context(PageProcess(page_arguments(settings, publisher), listening))
    url = url_of(listening, host, tls=web.certificate is not None)
    log.info("the page is at %s", url)
    return url


def check_published(settings: MonitorConfig) -> None:
    """Raise ConfigError if there should be a page, but nothing is published that it could show."""
    if settings.web.enabled and not settings.publish.enabled:
        raise ConfigError("the page shows what is published: leave out --no-publish, or leave out the page (--no-web)")


def page_arguments(settings: MonitorConfig, publisher: Published) -> list[str]:
    """The arguments of ``monitor.web`` for this run."""
    web = settings.web
    arguments = ["--endpoint", _reachable(publisher.alerts_endpoint), "--listen", web.listen]
    arguments += ["--scores-endpoint", _reachable(publisher.scores_endpoint)]
    for further in web.monitors:
        arguments += ["--endpoint", further, "--scores-endpoint", scores_beside(further)]
    if publisher.history_endpoint is not None and not web.monitors:
        arguments += ["--history-endpoint", _reachable(publisher.history_endpoint)]
    folders = {
        "--evidence": (settings.evidence.folder if settings.evidence.enabled else None, web.monitors_evidence),
        "--moments": (moments_folder(settings) if settings.moments.enabled else None, web.monitors_moments),
    }
    for flag, (own, others) in folders.items():
        if own is not None or any(others):
            arguments.append(f"{flag}={'' if own is None else _whole(own)}")
        if any(others):
            arguments += [f"{flag}={_whole(Path(each)) if each else ''}" for each in others]
    files = {
        "--passwords": web.passwords,
        "--certificate": web.certificate,
        "--certificate-key": web.certificate_key,
        "--keys": web.keys,
    }
    for flag, path in files.items():
        if path is not None:
            arguments.append(f"{flag}={_whole(path)}")
    arguments += [f"--trusted-proxy={address}" for address in web.trusted_proxies]
    return arguments


def _reachable(endpoint: str) -> str:
    """The address of a socket of this machine, to connect to."""
    if not endpoint.startswith("tcp://"):
        return endpoint
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    return f"tcp://{_EVERYWHERE.get(host, host)}:{port}"


def _whole(path: Path) -> str:
    return os.path.abspath(path)  # noqa: PTH100 - a link of the user's stays a link
