"""Deletes all that is known of a camera, kind by kind. By choice, in steps.

It works in a run, where a request of the control socket asks for it, and without one, see ``forget_command``. Where the
files are is in ``camera_traces``; what a run holds in memory forgets by ``RunMemory``.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field

from monitor.alerts.control import Forget
from monitor.alerts.control_desk import Asker, Done, Steps
from monitor.app import camera_traces
from monitor.app.camera_traces import Places
from monitor.delivery.ledger import Ledger
from monitor.errors import UsageError
from monitor.text.durations import local_time
from monitor.text.wording import counted, joined, listed

WITHIN_S = 10.0
"""A run's threads and processes have this long to forget; then the reply comes all the same, and they do it later."""

Gone = Callable[[], bool]


@dataclass
class RunMemory:
    """How a run forgets what it holds in memory. A function that is missing has nothing to forget.

    known       whether a camera is watched now
    learning    whether it learns its first model now
    forgotten   called after a camera's verdicts or thresholds are gone: (camera, whether its thresholds are)
    moments     forgets the moments of a time: (camera, from, to); ``normal``: its normal pictures. Each may return a
                function that says whether it has
    memories    forgets its growing memory
    choices     forgets what was chosen for it
    ledger      what receivers remember
    deliveries  each lets receivers forget it, and returns a function that says whether they have
    """

    known: Callable[[str], bool] = lambda _: False
    learning: Callable[[str], bool] = lambda _: False
    forgotten: Callable[[str, bool], None] = lambda *_: None
    moments: Callable[[str, float, float], Gone | None] = lambda *_: None
    normal: Callable[[str, float, float], Gone | None] = lambda *_: None
    memories: Callable[[str], None] | None = None
    choices: Callable[[str], object] | None = None
    ledger: Ledger | None = None
    deliveries: list[Callable[[str], Gone]] = field(default_factory=list)


class Forgetter:
    """Answers requests to forget. run: of the run; None without one."""

    def __init__(self, places: Places, run: RunMemory | None = None) -> None:
        self._places, self._run, self._at_rest = places, run or RunMemory(), run is None

    def serve(self, request: Forget, _: Asker) -> Steps:
        """Say what would be deleted, or delete it. Raises UsageError if nothing is known of the camera."""
        return self._steps(request)

    def _steps(self, request: Forget) -> Generator[None, None, Done]:
        places, run, camera, delete = self._places, self._run, request.camera, not request.preview
        from_at, to_at = request.from_at or 0.0, math.inf if request.to_at is None else request.to_at
        whole = request.from_at is None and request.to_at is None
        if from_at > to_at:
            raise UsageError("the time ends before it begins: swap --from and --to")
        counts: dict[str, int] = {}
        notes: list[str] = []
        time_span = camera, from_at, to_at
        if "alerts" in request.what:
            counts["message"] = yield from camera_traces.messages(
                places, *time_span, delete=delete, at_rest=self._at_rest
            )
        if "evidence" in request.what:
            counts["evidence file"] = yield from camera_traces.dated_files(
                places.evidence, *time_span, delete=delete, whole=whole and self._at_rest
            )
            counts["normal picture"] = yield from camera_traces.dated_files(
                places.normal, *time_span, delete=delete, whole=whole
            )
            # Afterwards: it also deletes files, which would not be counted.
            if delete and (gone := run.normal(*time_span)) is not None:
                yield from _until([gone])
        if "moments" in request.what:
            if delete and (gone := run.moments(*time_span)) is not None:
                yield from _until([gone])
            counts["moment file"] = yield from camera_traces.dated_files(
                places.moments, *time_span, delete=delete, whole=whole
            )
        if "taught" in request.what:
            counts |= yield from camera_traces.taught(places.store, *time_span, delete=delete)
        if "thresholds" in request.what:
            counts["threshold file"] = camera_traces.threshold_file(places, camera, delete=delete)
        if "models" in request.what:
            if run.learning(camera):
                notes.append("it is learning now, so its recording stays until it has learned")
            else:
                counts |= camera_traces.models(places, camera, delete=delete)
        if "memories" in request.what:
            counts["memory file"] = yield from self._memory(camera, delete=delete)
        if "choices" in request.what:
            counts["chosen setting"] = self._choice(camera, delete=delete)
        if "deliveries" in request.what:
            counts["receiver state"] = yield from self._deliveries(camera, delete=delete)
        if delete and ({"taught", "thresholds"} & set(request.what)):
            run.forgotten(camera, "thresholds" in request.what)
        if not any(counts.values()) and not run.known(camera):
            raise UsageError(f"nothing is known of a camera '{camera}' in that time: check the name and the times")
        if counts.get("model version") and delete and not self._at_rest:
            notes.append("a camera that is watched now keeps its model until the monitor starts again")
        if aside := camera_traces.set_aside(places):
            notes.append(f"delete damaged files that were set aside yourself: {listed(aside, 3)}")
        said = _sentence(request, counts, delete=delete)
        # The record of changes must not name the camera: it would be the last trace of it.
        note = f"what was known of a camera was deleted: {_found(counts)}" if whole else None
        return Done("; ".join([f"{camera}: {said}", *notes]), {"counts": counts, "deleted": delete}, note)

    def _memory(self, camera: str, *, delete: bool) -> Generator[None, None, int]:
        if self._run.memories is None:  # no process writes it
            return camera_traces.memory_file(self._places, camera, delete=delete)
        count = camera_traces.memory_file(self._places, camera, delete=False)
        if delete:
            self._run.memories(camera)
            yield from _until([lambda: not camera_traces.memory_file(self._places, camera, delete=False)])
            camera_traces.memory_file(self._places, camera, delete=True)
        return count

    def _choice(self, camera: str, *, delete: bool) -> int:
        if self._run.choices is None:
            return camera_traces.choice(self._places, camera, delete=delete)
        count = camera_traces.choice(self._places, camera, delete=False)
        if delete and count:
            self._run.choices(camera)
        return count

    def _deliveries(self, camera: str, *, delete: bool) -> Generator[None, None, int]:
        if self._at_rest:
            return camera_traces.delivery_states(self._places, camera, delete=delete)
        ledger = self._run.ledger
        count = 0 if ledger is None else camera_traces.counted_states(ledger, camera, delete=delete)
        if delete:
            yield from _until([forget(camera) for forget in self._run.deliveries])
        return count


def _until(gone: Sequence[Gone]) -> Generator[None, None, None]:
    """Wait until all say that it is gone, at most WITHIN_S."""
    ends_at = time.monotonic() + WITHIN_S
    while not all(each() for each in gone) and time.monotonic() < ends_at:
        yield


def _found(counts: dict[str, int]) -> str:
    return joined([counted(count, what) for what, count in counts.items() if count]) or "nothing"


def _sentence(request: Forget, counts: dict[str, int], *, delete: bool) -> str:
    when = "".join(
        f" {word} {local_time(at)}" for word, at in (("from", request.from_at), ("to", request.to_at)) if at is not None
    )
    return f"{'deleted' if delete else 'would delete'} {_found(counts)}{when}"
