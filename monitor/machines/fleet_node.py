"""A node of a fleet: the monitor of this machine as its engine, connected to gateway and coordinator."""

from __future__ import annotations

import logging
import time
import tomllib
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from monitor import __version__
from monitor.machines.capacity_gauge import CapacityGauge
from monitor.machines.evidence_desk import EvidenceDesk, evidence_folder
from monitor.machines.learned_courier import LearnedCourier
from monitor.machines.learned_folder import LearnedFolder
from monitor.machines.leases import boot_clock
from monitor.machines.monitor_engine import MonitorEngine
from monitor.machines.node_link import NodeLink

log = logging.getLogger("monitor")


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
        self.engine = MonitorEngine(folder / "engine", settings, clock, self.learned)
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

    def __enter__(self) -> Self:
        with ExitStack() as stack:
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
        if self._gauge is not None and self._gauge.due(now := time.monotonic()):
            work, usual = self.engine.work()
            self._gauge.take(now, work, usual=usual)
            if self._gauge.fps != self.link.keeper.capacity_fps:
                log.info("this node can analyse %g frames per second, as measured", self._gauge.fps)
                self.link.keeper.capacity_fps = self._gauge.fps
