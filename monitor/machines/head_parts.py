"""The parts of a head, each for a process of its own: gateway, coordinator and store, run until told to end."""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext
from functools import partial
from pathlib import Path
from typing import Literal

from pydantic import Field, NonNegativeInt, TypeAdapter, ValidationError

from monitor.alerts.journal import Journal
from monitor.alerts.message_parts import Camera
from monitor.alerts.publisher import Publisher
from monitor.errors import ConfigError, first_problem
from monitor.machines.chosen_cameras import read_chosen
from monitor.machines.coordinator_server import STATE_FILE, CoordinatorServer
from monitor.machines.fleet_messages import Name
from monitor.machines.fleet_state import Wish, read_marked, write_atomically
from monitor.machines.fleet_token import read_token
from monitor.machines.gateway_server import GatewayServer
from monitor.machines.learned_store import LearnedStore
from monitor.machines.leases import boot_clock
from monitor.machines.store_server import StoreServer
from monitor.settings import Settings

log = logging.getLogger("monitor")

PUMP_S = 0.2
"""Longest wait for a message; then a part looks whether it is to end."""
LOOK_EVERY_S = 0.5
AGAIN_S = 5.0
"""A list of cameras that could not be stored is tried again after this time."""
FORMAT = "true-sight fleet cameras"

Ready = Callable[[Mapping[str, str]], None]
"""Called once, with the addresses that are bound."""
Delivery = AbstractContextManager[Callable[[], None]]


class GatewayPart(Settings):
    """What the gateway of a head needs.

    fleet       name of the fleet, and of the monitor that clients see
    endpoint    where nodes and the coordinator connect
    token       file of the token
    alerts, scores, history, insecure  for clients, see Publisher; key_folder: its ``keys``
    control     where clients ask for changes; "": nowhere
    days, max_mb, fsync                      of the journal, see Journal
    receivers   config file with the receivers of the journal's messages; None: there are none
    """

    part: Literal["gateway"] = "gateway"
    fleet: Name
    folder: Path
    endpoint: str
    token: Path
    alerts: str
    scores: str
    history: str
    control: str = ""
    insecure: bool = False
    key_folder: Path | None = None
    days: float
    max_mb: float
    fsync: Literal["second", "always"]
    receivers: Path | None = None
    verbose: bool = False


class CoordinatorPart(Settings):
    """What the coordinator of a head needs.

    endpoint  where nodes and people connect; gateway: address of the gateway
    token     file of the token
    cameras   file of the cameras, see ``write_cameras``; read again whenever it is replaced
    chosen    file of what people have chosen for them, see ``chosen_cameras``; also read again
    store     folder of the store: if the state of the coordinator is lost, epochs continue after those that it names
    """

    part: Literal["coordinator"] = "coordinator"
    fleet: Name
    folder: Path
    endpoint: str
    gateway: str
    token: Path
    cameras: Path
    chosen: Path
    store: Path | None = None
    verbose: bool = False


class StorePart(Settings):
    """What the store of a head needs: what cameras have learned, so that it follows them from node to node.

    endpoint  where nodes connect
    token     file of the token
    """

    part: Literal["store"] = "store"
    folder: Path
    endpoint: str
    token: Path
    verbose: bool = False


Part = GatewayPart | CoordinatorPart | StorePart
PART = TypeAdapter[Part](Part)


class _Cameras(Settings):
    format: Literal["true-sight fleet cameras"]
    version: NonNegativeInt = Field(1, le=1)
    cameras: dict[Camera, Wish]


def write_cameras(path: Path, wishes: Mapping[str, Wish]) -> None:
    """Replace the file of the cameras. Only this user can read it: it holds passwords. Raises OSError."""
    content = {"format": FORMAT, "version": 1, "cameras": {name: wish.model_dump() for name, wish in wishes.items()}}
    write_atomically(path, json.dumps(content).encode())


def read_cameras(path: Path) -> dict[str, Wish] | None:
    """The cameras of a file; None if there is none. Raises ConfigError."""
    content = read_marked(path, FORMAT, "the list of the cameras")
    if content is None:
        return None
    try:
        return _Cameras.model_validate(content).cameras
    except ValidationError as error:
        where, what = first_problem(error)
        raise ConfigError(
            f"the list of the cameras {path} is damaged ({where}: {what}): start the head with --config"
        ) from error


def run_part(part: Part, stop: threading.Event, ready: Ready) -> None:
    """Run a part until ``stop`` is set. Raises MonitorError if it cannot run."""
    if isinstance(part, GatewayPart):
        run_gateway(part, stop, ready)
    elif isinstance(part, StorePart):
        _run_store(part, stop, ready)
    else:
        _run_coordinator(part, stop, ready)


def run_gateway(
    part: GatewayPart, stop: threading.Event, ready: Ready, deliver: Callable[[Journal], Delivery] | None = None
) -> None:
    """Run the gateway until ``stop`` is set. Raises MonitorError.

    deliver: begins to deliver what is in the journal, within the returned context; what it yields is called often
    """

    def open_publisher(journal: Journal) -> Publisher:
        return Publisher(
            part.alerts,
            part.scores,
            part.history,
            part.control or None,
            node=part.fleet,
            insecure=part.insecure,
            keys=part.key_folder,
            journal=journal,
            carries=True,
        )

    make_journal = partial(Journal, days=part.days, max_mb=part.max_mb, fsync=part.fsync)
    server = GatewayServer(
        part.fleet, part.folder, part.endpoint, read_token(part.token), open_publisher, make_journal=make_journal
    )
    with server, ExitStack() as stack:
        publisher = server.publisher
        history = publisher.history_endpoint or ""
        serve = stack.enter_context(nullcontext(_nothing) if deliver is None else deliver(server.journal))
        ready(
            {
                "endpoint": server.socket.endpoint,
                "alerts": publisher.alerts_endpoint,
                "scores": publisher.scores_endpoint,
                "history": history,
                "control": "" if publisher.control is None else publisher.control.endpoint,
            }
        )
        while not stop.is_set():
            server.pump(PUMP_S)
            serve()


def _nothing() -> None:
    """Nothing is delivered."""


def _run_coordinator(part: CoordinatorPart, stop: threading.Event, ready: Ready) -> None:
    watched, chosen = _WatchedCameras(part.cameras), _WatchedChoices(part.chosen)
    lost = part.store is not None and not (part.folder / STATE_FILE).exists()
    least = LearnedStore(part.store).highest_epoch() if lost and part.store is not None else 0
    token = read_token(part.token)
    with CoordinatorServer(part.fleet, part.folder, part.endpoint, part.gateway, token, least_epoch=least) as server:
        server.coordinator.set_chosen(read_chosen(part.chosen))  # before any order: a camera needs its masks
        watched.look(server)
        ready({"endpoint": server.socket.endpoint})
        while not stop.is_set():
            server.pump(PUMP_S)
            chosen.look(server)
            watched.look(server)


def _run_store(part: StorePart, stop: threading.Event, ready: Ready) -> None:
    with StoreServer(part.folder, part.endpoint, read_token(part.token)) as server:
        ready({"endpoint": server.socket.endpoint})
        while not stop.is_set():
            server.pump(PUMP_S)


class _WatchedCameras:
    """Gives the coordinator the cameras of the file, whenever it was replaced."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._taken: tuple[int, int] | None = None
        self._next_at = 0.0

    def look(self, server: CoordinatorServer) -> None:
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + LOOK_EVERY_S
        try:
            found = self._path.stat()
            mark = found.st_ino, found.st_mtime_ns
            if mark == self._taken or (wishes := read_cameras(self._path)) is None:
                return
            server.coordinator.set_cameras(wishes, boot_clock(), time.time())
        except FileNotFoundError:
            return
        except OSError:  # the coordinator has said that its disk is full or away
            self._next_at = now + AGAIN_S
            return
        except ConfigError as error:
            log.warning("the cameras stay as they are: %s", error)
        self._taken = mark


class _WatchedChoices:
    """Gives the coordinator what people have chosen, whenever the gateway has written it."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._taken: tuple[int, int] | None = None
        self._next_at = 0.0

    def look(self, server: CoordinatorServer) -> None:
        now = time.monotonic()
        if now < self._next_at:
            return
        self._next_at = now + LOOK_EVERY_S
        try:
            found = self._path.stat()
            mark = found.st_ino, found.st_mtime_ns
            if mark != self._taken:
                server.coordinator.set_chosen(read_chosen(self._path))
                self._taken = mark
        except OSError:
            return
        except ConfigError as error:
            self._next_at = now + AGAIN_S
            log.warning("nodes get what people have chosen before: %s", error)
