"""The thread that makes live pictures: small JPEGs, with heat if somebody wishes. It keeps only the newest of each."""

from __future__ import annotations

import logging
import math
import threading
from dataclasses import dataclass
from typing import Self

import cv2
import numpy as np

from monitor.judging.camera_monitor import Judgement
from monitor.sinks.evidence.alert_pictures import fit, heated, to_jpeg
from monitor.sinks.previews.preview_leases import Place
from monitor.threads.stage import Stage, join_all
from monitor.types import Frame, Image

log = logging.getLogger(__name__)

WIDTH = 640
"""Largest width of a picture, pixels."""
QUALITY = 70
END_S = 1.0
"""Seconds that the end of a run waits for the picture in work."""


@dataclass(frozen=True, slots=True, eq=False)
class Wanted:
    """A picture to make. judgement: of the frame, for heat; None if it was not judged."""

    frame: Frame
    judgement: Judgement | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """A picture that is ready. size: (width, height), pixels. score: NaN if the frame was not judged."""

    jpeg: bytes
    size: tuple[int, int]
    captured_at: float
    score: float


class PreviewMaker:
    """A context manager around the thread. Without work, the thread waits, and costs nothing."""

    def __init__(self) -> None:
        self._news = threading.Condition()
        self._wanted: dict[Place, Wanted] = {}
        self._made: dict[Place, Made] = {}
        self._closed = False
        self._failing: set[str] = set()
        self._stage = Stage("previews", self._work, lambda _: None)

    def __enter__(self) -> Self:
        self._stage.start()
        return self

    def __exit__(self, *_: object) -> None:
        with self._news:
            self._closed = True
            self._wanted.clear()
            self._news.notify()
        join_all([self._stage], END_S)

    def want(self, place: Place, wanted: Wanted) -> None:
        """Make this picture, in place of one of the same kind that still waits."""
        with self._news:
            if not self._closed:
                self._wanted[place] = wanted
                self._news.notify()

    def take(self) -> dict[Place, Made]:
        """The pictures that have become ready since the last call."""
        if not self._made:
            return {}
        with self._news:
            made, self._made = self._made, {}
        return made

    def _work(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._closed or self._wanted)
                if self._closed:
                    return
                place = next(iter(self._wanted))
                wanted = self._wanted.pop(place)
            made = self._make(place, wanted)
            if made is not None:
                with self._news:
                    self._made[place] = made

    def _make(self, place: Place, wanted: Wanted) -> Made | None:
        camera, kind = place
        score = math.nan if wanted.judgement is None else wanted.judgement.score
        try:
            picture = _smaller(wanted.frame.image)
            if kind == "heat" and wanted.judgement is not None:
                picture = _with_heat(picture, wanted.judgement)
            jpeg = to_jpeg(picture, QUALITY)
        except Exception as error:  # noqa: BLE001 - a picture of one camera must not end those of the others
            if camera not in self._failing:
                self._failing.add(camera)
                log.warning("%s: a live picture cannot be made (%s: %s)", camera, type(error).__name__, error)
            return None
        height, width = picture.shape[:2]
        return Made(jpeg, (width, height), wanted.frame.wall_time, score)


def _smaller(image: Image) -> Image:
    """At most ``WIDTH`` wide. Larger pictures lose pixels first: half the time, and hardly to be seen."""
    height, width = image.shape[:2]
    if width > 2 * WIDTH:
        size = (2 * WIDTH, max(2, round(height * 2 * WIDTH / width)))
        image = np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_NEAREST), np.uint8)
    return fit(image, WIDTH)


def _with_heat(picture: Image, judgement: Judgement) -> Image:
    """Heat as strong as the score is near the threshold: without a strength, a calm picture would look abnormal."""
    score = judgement.score
    if not score > 0:  # also NaN
        return picture
    heat = judgement.scale.anomaly_map(judgement.scored.detections, judgement.loudest or 0)
    return picture if heat is None else heated(picture, heat, min(1.0, score))
