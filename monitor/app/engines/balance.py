"""Which engine watches which camera: how many engines, how cameras are spread, and when one is moved. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from monitor.app.engines.engines_setting import MOST_ENGINES

CORES_PER_ENGINE = 2
"""An engine keeps one core busy with detectors; decoders and the rest of the run need about as much."""
BUSY = 0.75
"""An engine is overloaded if its detectors work for more than this share of the time."""
_GAIN = 0.9  # a move must lower the highest load at least to this share: otherwise, cameras would go back and forth


def engines_wanted(setting: int | str, cameras: int, cores: int) -> int:
    """The number of engines. setting: as in the config; cores: that this process may use."""
    wanted = max(1, cores // CORES_PER_ENGINE) if setting == "auto" else int(setting)
    return max(1, min(wanted, cameras, MOST_ENGINES))


def spread(cameras: Sequence[str], engines: Sequence[int], loads: Mapping[int, float] | None = None) -> dict[str, int]:
    """Camera -> engine. Nothing is measured yet, so all cameras count alike; loads: of the engines so far."""
    so_far = {engine: (loads or {}).get(engine, 0.0) for engine in engines}
    found = {}
    for camera in cameras:
        engine = min(so_far, key=lambda each: (so_far[each], each))
        found[camera] = engine
        so_far[engine] += 1.0
    return found


@dataclass(frozen=True, slots=True)
class Move:
    """A camera that should be watched by another engine."""

    camera: str
    source: int
    target: int


def move_wanted(loads: Mapping[int, Mapping[str, float]], movable: Collection[str]) -> Move | None:
    """The one move that helps most; None if no engine is overloaded, or if no move helps.

    loads  engine -> camera -> seconds of detector work per second
    """
    if len(loads) < 2:
        return None
    sums = {engine: sum(cameras.values()) for engine, cameras in loads.items()}
    source = max(sums, key=lambda each: (sums[each], -each))
    target = min(sums, key=lambda each: (sums[each], each))
    if sums[source] <= BUSY:
        return None
    best: tuple[float, str] | None = None
    for camera, load in sorted(loads[source].items()):
        if camera in movable and load > 0:
            highest = max(sums[source] - load, sums[target] + load)
            if highest <= _GAIN * sums[source] and (best is None or highest < best[0]):
                best = highest, camera
    return None if best is None else Move(best[1], source, target)


class Loads:
    """Measures the load of cameras from what engines report."""

    def __init__(self) -> None:
        self._before: dict[str, tuple[float, float]] = {}
        self._now: dict[str, tuple[float, float]] = {}

    def take(self, busy_s: Mapping[str, float], now: float) -> None:
        """Take what an engine reports: camera -> seconds of detector work since it was placed."""
        for camera, busy in busy_s.items():
            if busy < self._now.get(camera, (0.0, 0.0))[0]:  # it is in another engine
                self._before.pop(camera, None)
            self._now[camera] = busy, now
            self._before.setdefault(camera, (busy, now))

    def measure(self, cameras: Mapping[int, Collection[str]]) -> dict[int, dict[str, float]]:
        """Engine -> camera -> load since the last call. A camera of which nothing is known has 0."""
        found = {engine: {camera: self._load(camera) for camera in names} for engine, names in cameras.items()}
        self._before = dict(self._now)
        return found

    def _load(self, camera: str) -> float:
        busy, at = self._now.get(camera, (0.0, 0.0))
        before, then = self._before.get(camera, (busy, at))
        return (busy - before) / (at - then) if at > then else 0.0
