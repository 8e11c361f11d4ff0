"""The scorer: it takes frames of many cameras and returns raw detections of each camera's own model."""

from __future__ import annotations

import logging
import math
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from monitor.detector.base import Detector, Observation
from monitor.errors import RunError
from monitor.text.redaction import redact
from monitor.types import Detection, Frame, ScoredFrame

log = logging.getLogger(__name__)


class Watcher(Protocol):
    """Scores a camera's frames: a model, or detectors that do not belong to a model yet."""

    @property
    def id(self) -> str:
        """The model's id; "" if only one is possible."""

    @property
    def detectors(self) -> tuple[Detector, ...]:
        """The detectors, in the order of their detections."""


@dataclass(frozen=True, eq=False)
class Bare:
    """Detectors without a model."""

    detectors: tuple[Detector, ...]
    id: str = ""


class Scorer:
    """Scores frames of many cameras, each with its own model. Keeps the stream state of every camera.

    models        camera name -> model; cameras with the same model are scored in the same batches
    cpu_fallback  True: continue on the CPU if a GPU fails. False: end the run with a RunError
    isolated      True: an error of a detector with one camera leaves only that camera's frames unjudged (NaN).
                  False: the error is raised
    timed         called after each batch with a detector's name and the seconds that it took per frame
    """

    def __init__(
        self,
        models: Mapping[str, Watcher],
        *,
        cpu_fallback: bool = True,
        isolated: bool = False,
        timed: Callable[[str, float], None] | None = None,
    ) -> None:
        self._models = dict(models)
        self._cpu_fallback = cpu_fallback
        self._isolated = isolated
        self._at_fault: set[tuple[str, str]] = set()  # cameras and detectors that have failed with them
        self._timed = timed
        self._moved: dict[int, Detector] = {}
        self._streams: dict[str, tuple[int, Watcher, list[Any]]] = {}

    def set_models(self, models: Mapping[str, Watcher]) -> None:
        """Score these cameras from the next batch on. Any thread may call it."""
        self._models = dict(models)  # replaced as a whole: a batch in progress continues with the old one

    def score(self, batch: Sequence[Frame]) -> list[ScoredFrame]:
        """Score a batch. Returns the frames in the same order. Frames of the same camera must be in order of time.

        A frame that must not be scored gets NaN, and no detector sees it. Frames of unknown cameras are left out.
        """
        models = self._models
        for gone in self._streams.keys() - models.keys():
            del self._streams[gone]
            self._at_fault = {fault for fault in self._at_fault if fault[0] != gone}
        batch = [frame for frame in batch if frame.camera in models]
        by_model: defaultdict[int, list[int]] = defaultdict(list)
        detections: list[list[Detection]] = [[] for _ in batch]
        took: list[tuple[tuple[str, float], ...]] = [()] * len(batch)
        began = time.monotonic()
        for i, frame in enumerate(batch):
            model = models[frame.camera]
            if frame.health.scored:
                by_model[id(model)].append(i)
            else:
                detections[i] = [Detection(math.nan)] * len(model.detectors)
        for indices in by_model.values():
            model = models[batch[indices[0]].camera]
            found, times = self._score_model(model, [batch[i] for i in indices])
            for i, of_frame in zip(indices, found, strict=True):
                detections[i], took[i] = of_frame, times
        now = time.monotonic()
        return [
            ScoredFrame(frame, tuple(found), now, models[frame.camera].id, began, times)
            for frame, found, times in zip(batch, detections, took, strict=True)
        ]

    def _score_model(
        self, model: Watcher, frames: Sequence[Frame]
    ) -> tuple[list[list[Detection]], tuple[tuple[str, float], ...]]:
        """For each frame the detections of all detectors of its model; and each detector's seconds per frame."""
        times = []
        streams = [self._stream(frame, model) for frame in frames]
        detections: list[list[Detection]] = [[] for _ in frames]
        for number, detector in enumerate(model.detectors):
            started = time.perf_counter()
            if self._isolated:
                found = self._ask_isolated(detector, number, frames, streams)
            else:
                found = self._ask(detector, [Observation(f, s[number]) for f, s in zip(frames, streams, strict=True)])
            times.append((detector.name, (time.perf_counter() - started) / len(found)))
            if self._timed is not None:
                self._timed(*times[-1])
            for of_frame, detection in zip(detections, found, strict=True):
                of_frame.append(detection)
        for of_frame in detections:
            _excuse(model.detectors, of_frame)
        return detections, tuple(times)

    def _ask_isolated(
        self, detector: Detector, number: int, frames: Sequence[Frame], streams: Sequence[list[Any]]
    ) -> list[Detection]:
        """The detections of a detector, NaN for the frames of a camera for which it raises an error.

        number   of the detector in its model
        streams  the stream objects of each frame

        If a batch of several cameras fails, each camera is scored alone, with new temporal state. From then on, the
        cameras at fault are never in a batch with others.
        """
        found = [Detection(math.nan)] * len(frames)
        groups: deque[list[int]] = deque()
        by_camera: defaultdict[str, list[int]] = defaultdict(list)
        for k, frame in enumerate(frames):
            at_fault = (frame.camera, detector.name) in self._at_fault
            by_camera[frame.camera if at_fault else ""].append(k)
        groups.extend(by_camera.values())
        while groups:
            group = groups.popleft()
            try:
                detections = self._ask(detector, [Observation(frames[k], streams[k][number]) for k in group])
            except RunError:
                raise
            except Exception as error:  # noqa: BLE001 - an error of one camera must not end the others
                for of_stream in {id(streams[k]): streams[k] for k in group}.values():
                    of_stream[number] = detector.new_stream()  # the old one may have seen some of the frames
                cameras: defaultdict[str, list[int]] = defaultdict(list)
                for k in group:
                    cameras[frames[k].camera].append(k)
                if len(cameras) > 1:
                    groups.extend(cameras.values())
                else:
                    self._note_fault(next(iter(cameras)), detector.name, error)
                continue
            for k, detection in zip(group, detections, strict=True):
                found[k] = detection
        return found

    def _note_fault(self, camera: str, detector: str, error: Exception) -> None:
        """Log the first error of a detector with a camera; its other frames are only not judged."""
        if (camera, detector) in self._at_fault:
            return
        self._at_fault.add((camera, detector))
        what = redact(f"{type(error).__name__}: {error}".strip(": "))
        log.error(
            "%s: '%s' fails at its pictures, which it cannot judge (%s); other cameras are not affected",
            camera,
            detector,
            what,
        )
        log.debug("%s: '%s' has failed", camera, detector, exc_info=error)

    def _ask(self, detector: Detector, observations: Sequence[Observation]) -> list[Detection]:
        """The detections of a detector; it runs on the CPU after its own device has failed."""
        moved = self._moved.get(id(detector), detector)
        try:
            return moved.score(observations)
        except RuntimeError as error:  # torch raises it for a GPU that is out of memory, broken or gone
            if moved.device == "cpu":
                raise
            reason = str(error).strip().partition("\n")[0]
            if not self._cpu_fallback:
                raise RunError(f"{moved.device} has failed ({reason}): fix it, or run with --device cpu") from error
            words = "%s has failed (%s): '%s' continues on the CPU, more slowly"
            log.error(words, moved.device, reason, detector.name)  # noqa: TRY400 - its traceback helps nobody
            self._moved[id(detector)] = on_cpu = moved.on_cpu()
            return on_cpu.score(observations)

    def _stream(self, frame: Frame, model: Watcher) -> list[Any]:
        """The camera's stream objects, one per detector; new ones if a segment starts or the model has changed.

        A model that was only taught lessons continues the streams.
        """
        segment, of, streams = self._streams.get(frame.camera, (None, None, []))
        if segment != frame.segment or of is None or (of is not model and not _same_origins(of, model)):
            streams = [detector.new_stream() for detector in model.detectors]
        if segment != frame.segment or of is not model:
            self._streams[frame.camera] = (frame.segment, model, streams)
        return streams


def _same_origins(one: Watcher, other: Watcher) -> bool:
    """Whether the detectors of both were taught from the same ones."""
    return [id(each.origin) for each in one.detectors] == [id(each.origin) for each in other.detectors]


def _excuse(detectors: Sequence[Detector], detections: list[Detection]) -> None:
    """Leave out, for detectors that see the same, the places that one of them knows as normal from a lesson.

    Only ``motion`` can compare places with lessons. A network beside it would still find them abnormal. Changes
    ``detections``, which are those of one frame in the order of the detectors.
    """
    for teller, told in zip(detectors, list(detections), strict=True):
        if told.excused is None or not teller.sees:
            continue
        for i, detector in enumerate(detectors):
            if detector is not teller and detector.sees == teller.sees:
                detections[i] = detector.without(detections[i], told.excused)
