"""A publisher that gives live pictures, in a thread of its own, from frames that the tests make."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import cv2
import numpy as np

from monitor.alerts.publisher import Publisher
from monitor.reports import RunReport
from monitor.sinks.previews.preview_sink import PreviewSink
from monitor.testing.fakes import monitor_of
from monitor.testing.sink_contract import report_of
from monitor.types import Detection, Frame, Image, ScoredFrame
from monitor.web.bus_reader import BusAddress
from tests.helpers.publishing import ANY, DEADLINE_S

SIZE = (128, 96)
CALM, BRIGHT = 25, 200
_EVERY_S = 0.02


@dataclass
class LookedAt:
    """Frames of ``door`` are judged, those of ``yard`` are learned from. level: grey level of the right half."""

    publisher: Publisher
    level: int = CALM
    frames: int = 0
    ended: threading.Event = field(default_factory=threading.Event)

    @property
    def address(self) -> BusAddress:
        return BusAddress(self.publisher.alerts_endpoint, self.publisher.scores_endpoint)

    @property
    def picture(self) -> Image:
        image = np.full((SIZE[1], SIZE[0], 3), CALM, np.uint8)
        image[:, SIZE[0] // 2 :] = self.level
        image[:8, :8] = (self.frames * 5) % 256
        return image


@contextmanager
def looked_at(*, control: str | None = ANY) -> Iterator[LookedAt]:
    started = threading.Event()
    found: list[LookedAt] = []

    def run() -> None:
        with Publisher(ANY, ANY, ANY, control, node="lab") as publisher, PreviewSink(publisher) as sink:
            sink.leases.serve_at(publisher.desk)
            monitor = monitor_of("door")
            sink.added(monitor)
            report = RunReport(1.0, 0, (report_of("door"), report_of("yard")))
            found.append(lab := LookedAt(publisher))
            started.set()
            while not lab.ended.wait(_EVERY_S):
                lab.frames += 1
                image = lab.picture
                for camera in ("door", "yard"):
                    now = time.time()
                    frame = Frame(camera, lab.frames, lab.frames / 25, image, wall_time=now)
                    grey = image.mean(axis=2).astype(np.float32)
                    scored = ScoredFrame(frame, (Detection(float(grey.mean()) / 255, grey),), 0.0)
                    sink.frame(scored)
                    if camera == "door":
                        sink.score(monitor.update(scored))
                sink.tick(report)
                publisher.tick(time.monotonic())
                if publisher.control is not None:
                    publisher.control.tick()

    thread = threading.Thread(target=run)
    thread.start()
    try:
        assert started.wait(DEADLINE_S)
        yield found[0]
    finally:
        if found:
            found[0].ended.set()
        thread.join()


def decoded(jpeg: bytes) -> Image:
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.uint8)
