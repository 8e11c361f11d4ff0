"""A node of a fleet: the monitor of this machine as its engine, connected to gateway and coordinator."""

from __future__ import annotations

import logging
import time
import tomllib
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

from monitor import __version__
from monitor.machines.capacity_gauge import CapacityGauge
from monitor.machines.engine_control import MOST_OPEN
from monitor.machines.evidence_desk import EvidenceDesk, evidence_folder
from monitor.machines.fleet_messages import NodeAsked
from monitor.machines.learned_courier import LearnedCourier
from monitor.machines.learned_folder import LearnedFolder
from monitor.machines.leases import boot_clock
from monitor.machines.monitor_engine import MonitorEngine
from monitor.machines.node_link import NodeLink
from monitor.private_files import make_private_folder
from monitor.state_folder import CHOSEN, TAUGHT

log = logging.getLogger("monitor")

COMPARE_EVERY_S = 2.0
UNKNOWN_S = 5.0
"""The gateway is told what is chosen for a camera if its order says something else for this time."""


class FleetNode:
    """A context manager. Only one thread may use it: call ``pump`` often.

    settings  text of a config file without cameras: what holds for all of them
    measures  cores that the node may use: its capacity is measured, ``capacity_fps`` holds until then; None: it is not
    store     address of the store; None: what cameras learn stays on this node, evidence too
    Others as in NodeLink. On entry, raises RunError if another node uses the folder, and ConfigError.
    """

    def __init__(
        self,
        name: str,
        folder: Path,
        settings: str,
        gateway: str,
        coordinator: str,
        token: str | None,
        *,
        capacity_fps: float,
        measures: int | None = None,
        labels: Mapping[str, str] | None = None,
        store: str | None = None,
        clock: Callable[[], float] = boot_clock,
    ) -> None:
        kept = LearnedFolder.of(folder / "engine/state", settings)
        self.learned = None if store is None else LearnedCourier(name, kept, store, token)
        self._evidence = None if store is None else EvidenceDesk(name, evidence_folder(settings), store, token)
        self.engine = MonitorEngine(folder / "engine", settings, clock, self.learned, kept)
        self.link = NodeLink(
            name,
            folder,
            self.engine,
            gateway,
            coordinator,
            token,
            capacity_fps=capacity_fps,
            labels=labels,
            version=__version__,
            clock=clock,
        )
        one = tomllib.loads(settings).get("engines", 1) == 1
        self._gauge = None if measures is None else CapacityGauge(measures, capacity_fps, one=one)
        self.engine.tells = self.link.tell
        self.link.asked = self._asked
        self._kept = kept
        self._unknown: dict[str, tuple[str, float]] = {}  # camera -> its choice, and when the gateway is told
        self._compare_at = 0.0
        self._changing: dict[int, str] = {}  # number of a question -> the camera that it changes

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            with suppress(OSError):  # the monitor says what is wrong with the folder
                # So that what is taught and chosen goes with its camera.
                make_private_folder(self._kept.beside / TAUGHT)
                make_private_folder(self._kept.beside / CHOSEN)
            if self._evidence is not None:
                stack.enter_context(self._evidence)
            if self.learned is not None:
                stack.enter_context(self.learned)
            stack.callback(self.engine.close)
            stack.enter_context(self.link)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def pump(self, timeout_s: float) -> None:
        """Deal with what has come, waiting at most ``timeout_s`` seconds for it, and send what is due."""
        self.link.pump(timeout_s)
        self.engine.pump()
        for number, reply in self.engine.control.take():
            camera = self._changing.pop(number, None)
            choice = "" if camera is None or reply is None else self._kept.choice(camera)
            self.link.answer(number, reply or b"", "" if reply is not None else self._silent, choice)
        self._compare(now := time.monotonic())
        if self._gauge is not None and self._gauge.due(now):
            work, usual = self.engine.work()
            self._gauge.take(now, work, usual=usual)
            if self._gauge.fps != self.link.keeper.capacity_fps:
                log.info("this node can analyse %g frames per second, as measured", self._gauge.fps)
                self.link.keeper.capacity_fps = self._gauge.fps

    def _compare(self, now: float) -> None:
        """Tell the head what is chosen here, if it does not know it some time after: an answer was late or lost."""
        if now < self._compare_at:
            return
        self._compare_at = now + COMPARE_EVERY_S
        before, self._unknown = self._unknown, {}
        for camera, order in self.link.keeper.orders.items():
            if order.role != "active" or (choice := self._kept.choice(camera)) in ("", order.choice):
                continue
            known, due_at = before.get(camera, ("", 0.0))
            if known != choice:
                due_at = now + UNKNOWN_S
            elif now >= due_at:
                self.link.chosen(camera, order.epoch, choice)
                due_at = now + UNKNOWN_S
            self._unknown[camera] = choice, due_at

    @property
    def _silent(self) -> str:
        return f"the monitor of {self.link.name} does not answer: try again soon"

    def _asked(self, asked: NodeAsked, payload: bytes) -> None:
        """The gateway asks for a client. Never waits."""
        if asked.what == "keep":
            try:
                self._kept.take_event(asked.event, payload)
                self.link.answer(asked.number, b"")
            except OSError as error:
                why = f"{self.link.name} cannot keep the event ({error.strerror or error}): free space on its disk"
                self.link.answer(asked.number, b"", why)
        elif not self.engine.running:
            self.link.answer(asked.number, b"", f"the monitor of {self.link.name} does not run now: try again soon")
        elif not self.engine.control.ask(asked.number, payload, asked.wait_s):
            why = f"{self.link.name} answers {MOST_OPEN} requests already: try again soon"
            self.link.answer(asked.number, b"", why)
        elif asked.camera is not None:
            self._changing[asked.number] = asked.camera
            self.engine.asked(asked.camera)
