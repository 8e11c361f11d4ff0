"""The random faults of a soak test: cameras, servers, decoders and the subscriber. The seed decides their order."""

from __future__ import annotations

import functools
import os
import random
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Sequence

from benchmarks.lib.soak_figures import decoders_of, is_on_the_network
from monitor.testing.faulty_camera import ONCE, Fault, FaultyCamera
from monitor.testing.rtsp_server import RtspServer

BETWEEN_FAULTS_S, FAULT_LASTS_S = (3.0, 9.0), (1.0, 12.0)


class Injector:
    """Injects faults at random times into parts that have none, and removes them later."""

    def __init__(
        self,
        rng: random.Random,
        cameras: Sequence[FaultyCamera],
        servers: Sequence[RtspServer],
        monitor: subprocess.Popen[bytes],
        subscriber: subprocess.Popen[bytes],
    ) -> None:
        self.faults: Counter[str] = Counter()
        self._rng = rng
        self._cameras, self._servers = cameras, servers
        self._monitor, self._subscriber = monitor, subscriber
        self._mends: dict[object, tuple[float, Callable[[], None]]] = {}
        self._next_s = 0.0

    def act(self, now_s: float) -> None:
        """Remove and inject the faults that are due."""
        for target, (due_s, mend) in list(self._mends.items()):
            if now_s >= due_s:
                mend()
                del self._mends[target]
        if now_s >= self._next_s:
            self._next_s = now_s + self._rng.uniform(*BETWEEN_FAULTS_S)
            strikes = (self._camera, self._server, self._decoder, self._stop_subscriber)
            self._rng.choices(strikes, (5, 3, 2, 1))[0](now_s + self._rng.uniform(*FAULT_LASTS_S))

    def mend_all(self) -> None:
        """Remove all faults."""
        for _, mend in self._mends.values():
            mend()
        self._mends.clear()

    def _camera(self, until_s: float) -> None:
        idle = [camera for camera in self._cameras if camera not in self._mends]
        fault = self._rng.choice([fault for fault in Fault if fault is not Fault.DECODER])
        if idle:
            camera = self._rng.choice(idle)
            camera.strike(fault)
            self._struck(f"a camera {fault}", camera, 0.0 if fault in ONCE else until_s, camera.mend)

    def _server(self, until_s: float) -> None:
        idle = [server for server in self._servers if server not in self._mends]
        if not idle:
            return
        server = self._rng.choice(idle)
        if self._rng.random() < 0.5:
            server.kill()
            self._struck("a server is killed", server, until_s, server.start)
        else:
            server.freeze()
            self._struck("a server is frozen", server, until_s, server.thaw)

    def _decoder(self, _: float) -> None:
        if decoders := [pid for pid in decoders_of(self._monitor.pid) if is_on_the_network(pid)]:
            os.kill(self._rng.choice(decoders), signal.SIGKILL)  # at worst a zombie, so its id is not reused
            self.faults["a decoder is killed"] += 1

    def _stop_subscriber(self, until_s: float) -> None:
        if self._subscriber not in self._mends:
            self._subscriber.send_signal(signal.SIGSTOP)
            thaw = functools.partial(self._subscriber.send_signal, signal.SIGCONT)
            self._struck("the subscriber is stopped", self._subscriber, until_s, thaw)

    def _struck(self, what: str, target: object, until_s: float, mend: Callable[[], None]) -> None:
        self.faults[what] += 1
        self._mends[target] = (until_s, mend)
