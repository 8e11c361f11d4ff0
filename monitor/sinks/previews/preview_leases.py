"""Who looks at which camera: leases of live pictures, which requests to look begin and prolong."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Collection

from monitor.alerts.control import Look
from monitor.alerts.control_desk import Asker, Desk, Done
from monitor.alerts.previews import LEASE_S, Kind, preview_topic
from monitor.errors import UsageError
from monitor.reports import RunReport
from monitor.text.wording import counted, listed

Place = tuple[str, Kind]
"""A camera, and the kind of picture."""
KINDS: tuple[Kind, ...] = ("picture", "heat")


class PreviewLeases:
    """Place -> until when somebody looks. clock: monotonic, seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._until: dict[Place, float] = {}
        self._known: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self._until)

    def __contains__(self, place: Place) -> bool:
        return place in self._until

    @property
    def places(self) -> list[Place]:
        """Everything that somebody looks at."""
        return list(self._until)

    def serve_at(self, desk: Desk) -> None:
        """Answer requests to look from now on."""
        desk.serve(Look, self._look)

    def only(self, places: Collection[Place]) -> None:
        """Somebody looks at these places, and at no others, until this is called again."""
        self._until = dict.fromkeys(places, math.inf)

    def removed(self, camera: str) -> None:
        """Nobody can look at it any more."""
        for kind in KINDS:
            self._until.pop((camera, kind), None)

    def tick(self, report: RunReport) -> None:
        """End what nobody has asked for again."""
        self._known = frozenset(camera.name for camera in report.cameras)
        now = self._clock()
        for place in [place for place, until in self._until.items() if until <= now]:
            del self._until[place]

    def _look(self, request: Look, _: Asker) -> Done:
        wanted = dict.fromkeys(request.cameras)
        unknown = [camera for camera in wanted if camera not in self._known]
        if len(unknown) == len(wanted):
            there = f"cameras: {listed(sorted(self._known), 10)}" if self._known else "none is watched"
            raise UsageError(f"no camera {listed(unknown, 10)} is watched ({there}): give the name of one that is")
        kind: Kind = "heat" if request.heat else "picture"
        until = self._clock() + LEASE_S
        seen = [camera for camera in wanted if camera not in unknown]
        self._until |= {(camera, kind): until for camera in seen}
        topics = [preview_topic(camera, kind) for camera in seen]
        said = f"live pictures of {counted(len(seen), 'camera')} for {LEASE_S:g} s"
        return Done(said, {"topics": topics, "lease_s": LEASE_S, "unknown": unknown})
