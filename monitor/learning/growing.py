"""The cameras whose memory grows, in the main loop: frames go to a process, versions that it writes take over."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from monitor.detector.motion.motion_detector import Motion
from monitor.errors import MonitorError
from monitor.judging.camera_monitor import Alert, CameraMonitor, Judgement
from monitor.learning.coordinator import Adopt
from monitor.learning.look import Look
from monitor.learning.memory_link import MemoryLink
from monitor.learning.memory_messages import Message, message_of
from monitor.learning.watched_clock import MARGIN_S, SETTLED_S
from monitor.model.model_store import Model
from monitor.states import Phase
from monitor.text.redaction import redact
from monitor.text.wording import counted
from monitor.threads.stage import Stage

log = logging.getLogger("monitor")

START_S = 60.0
"""The process is started after so many seconds: a short run needs none, because nothing is learned from it."""
RESTART_S, LONGEST_RESTART_S = 60.0, 1800.0
"""A process that died is started again after the first value, then twice as long each time, up to the second."""
_TELL_DROPPED_S = 3600.0


@dataclass(frozen=True, eq=False)
class GrowingPlan:
    """A camera whose memory grows.

    folder  of the versions of its model
    size    (width, height) of the grey picture that its motion looks at, px
    """

    camera: str
    folder: Path
    size: tuple[int, int]
    settled_s: float = SETTLED_S

    @classmethod
    def of(cls, folder: Path, model: Model, monitor: CameraMonitor) -> GrowingPlan | None:
        """The plan of a camera; None if its model has no motion that can grow."""
        motion = next((own for own in model.detectors if isinstance(own, Motion)), None)
        if motion is None or motion.slow:
            return None
        settled_s = max(SETTLED_S, monitor.settings.min_duration_s + 2 * MARGIN_S)
        return cls(monitor.camera, folder, motion.picture_size, settled_s)


@dataclass(eq=False)
class _Camera:
    plan: GrowingPlan
    loading: Stage | None = None
    loaded: list[tuple[Model, CameraMonitor]] = field(default_factory=list)
    loaded_under: object = None


class Growing:
    """All cameras whose memory grows. Only the main thread calls its methods; none of them waits.

    folder   where memories are kept
    load     loads the newest version of a camera's model; called in a thread of its own
    current  returns the present settings of the run; a model that was loaded under other settings is loaded again
    link     starts the process, which holds no camera at first
    """

    def __init__(
        self,
        folder: Path,
        load: Callable[[GrowingPlan], tuple[Model, CameraMonitor]],
        current: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
        link: Callable[[Path], MemoryLink] = MemoryLink,
    ) -> None:
        self._folder, self._load, self._current, self._clock, self._start = folder, load, current, clock, link
        self._cameras: dict[str, _Camera] = {}
        self._leaving: set[str] = set()
        self._link: MemoryLink | None = None
        self._again_at, self._delay_s = clock() + START_S, RESTART_S
        self._told_at, self._told_dropped = -float("inf"), 0

    def begin(self, plan: GrowingPlan) -> None:
        """A camera is watched with this model from now on. Its memory goes on if it belongs to the model."""
        known = self._cameras.get(plan.camera)
        self._cameras[plan.camera] = _Camera(plan) if known is None else known
        self._cameras[plan.camera].plan = plan
        self._send_begin(plan)

    def end(self, camera: str) -> None:
        """A camera is not watched any more, or its memory is frozen; what it knows is kept."""
        if self._cameras.pop(camera, None) is not None and self._link is not None:
            self._link.send(Message(camera, "end"))
            self._leaving.add(camera)

    def is_written(self, camera: str) -> bool:
        """Whether what is known of a camera that has ended is in its file, or lost: another process may go on."""
        return camera not in self._leaving or self._link is None

    def forget(self, camera: str) -> None:
        """Let the process delete what a camera's memory knows, soon; a camera that is watched begins a new one."""
        if self._link is not None:
            self._link.send(Message(camera, "forget"))
            if camera in self._cameras:
                self._send_begin(self._cameras[camera].plan)

    def take(self, judgement: Judgement) -> None:
        """Take the judgement of the next frame of any camera."""
        scored = judgement.scored
        camera = self._cameras.get(scored.frame.camera)
        if camera is None or self._link is None or not scored.frame.health.scored:
            return
        names = judgement.scale.names
        raw = {
            name: detection.score
            for name, detection in zip(names, scored.detections, strict=True)
            if name != Motion.name
        }
        self._link.send(message_of(scored.frame.camera, Look.of(scored.frame, camera.plan.size, raw)))

    def alert(self, alert: Alert) -> None:
        """Take a step of an event of any camera: an alarm is in quarantine."""
        if alert.camera not in self._cameras or self._link is None:
            return
        event = alert.event
        if event.phase is Phase.START:
            self._link.send(Message(alert.camera, "began", {"time_s": event.started_s}))
        elif event.ended_s is not None:
            self._link.send(Message(alert.camera, "ended", {"time_s": event.ended_s}))

    def tick(self, adopt: Adopt) -> None:
        """Start the process again if it has died, report what it says, and take over versions."""
        self._look_at_process()
        for line in self._link.take_lines() if self._link is not None else ():
            camera = self._cameras.get(str(line.get("camera")))
            if "ended" in line:
                self._leaving.discard(str(line.get("camera")))
            if "warn" in line:
                log.warning("%s: %s", line.get("camera"), redact(str(line["warn"])))
            if "say" in line:
                log.info("%s: %s", line.get("camera"), redact(str(line["say"])))
            if "version" in line and camera is not None:
                self._delay_s = RESTART_S
                self._start_loading(camera)
        for name, camera in list(self._cameras.items()):
            if camera.loading is not None and not camera.loading.alive:
                self._look_at_loading(name, camera, adopt)

    def close(self) -> None:
        """Write all memories and end the process."""
        link, self._link = self._link, None
        self._cameras.clear()
        if link is not None:
            link.close()

    def _look_at_process(self) -> None:
        now = self._clock()
        if self._link is not None and (how := self._link.ended) is not None:
            log.warning(
                "the process that learns on ended with %s; it is started again in %.0f s, from what it wrote last",
                how, self._delay_s,
            )  # fmt: skip
            self._link.close()
            self._link, self._told_dropped = None, 0
            self._leaving.clear()
            self._again_at, self._delay_s = now + self._delay_s, min(2 * self._delay_s, LONGEST_RESTART_S)
        if self._link is None and self._cameras and now >= self._again_at:
            try:
                self._link = self._start(self._folder)
            except OSError as error:
                log.warning("the process that learns on cannot be started: %s", error.strerror or error)
                self._again_at, self._delay_s = now + self._delay_s, min(2 * self._delay_s, LONGEST_RESTART_S)
                return
            for camera in self._cameras.values():
                self._send_begin(camera.plan)
        dropped = 0 if self._link is None else self._link.dropped
        if dropped > self._told_dropped and now - self._told_at >= _TELL_DROPPED_S:
            fresh = counted(dropped - self._told_dropped, "frame")
            log.warning("learning on is too slow, watching is not affected; not learned from: %s", fresh)
            self._told_at, self._told_dropped = now, dropped

    def _send_begin(self, plan: GrowingPlan) -> None:
        if self._link is not None:
            values = {"folder": str(plan.folder.absolute()), "settled_s": plan.settled_s}
            self._link.send(Message(plan.camera, "begin", values))

    def _start_loading(self, camera: _Camera) -> None:
        camera.loaded_under = self._current()
        camera.loaded.clear()
        plan = camera.plan
        camera.loading = Stage(f"loading {plan.camera}", lambda: camera.loaded.append(self._load(plan)), lambda _: None)
        camera.loading.start()

    def _look_at_loading(self, name: str, camera: _Camera, adopt: Adopt) -> None:
        assert camera.loading is not None
        error, camera.loading = camera.loading.error, None
        if error is not None:
            why = str(error) if isinstance(error, MonitorError) else repr(error)
            log.warning("%s: what it has learned cannot be used: %s", name, redact(why))
        elif camera.loaded_under is not self._current():
            self._start_loading(camera)
        else:
            adopt(name, *camera.loaded.pop())
