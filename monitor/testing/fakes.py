"""Small real objects for tests: a detector that measures brightness, a model with it, frames and sources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from monitor.detector.base import Detector, Observation, Precision, Tensors, scored_places
from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import CameraMonitor, Judgement
from monitor.judging.fusion import ModelScale
from monitor.live.capture import CaptureSettings
from monitor.live.fleet import Camera, Fleet
from monitor.live.pipeline import Pipeline
from monitor.model.model_store import Model, ModelCard, Provenance
from monitor.scores.held_out import HeldOut
from monitor.scores.smoothing import SmoothingSettings
from monitor.sources.source import Position, Reader, Source
from monitor.states import Reason
from monitor.types import Detection, Frame, Image, ScoredFrame

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared/data"


class Brightness(Detector):
    """Score = mean grey level of the frame / 255. Its stream counts the frames."""

    name = "brightness"

    def new_stream(self) -> list[int]:
        """A list with one number: the frames scored so far."""
        return [0]

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        """Score frames; a frame above 0.2 gets a reason."""
        found = []
        for observation in batch:
            observation.stream[0] += 1
            grey = observation.frame.image.mean(axis=2)
            places = scored_places(observation.frame, grey.astype(np.float32), 255 * self.typical)
            level = float(places.mean()) / 255
            reasons = (Reason("brightness", level, 0.2),) if level > 0.2 else ()
            found.append(Detection(level, places, reasons))
        return found

    def settings(self) -> dict[str, Any]:
        """No settings."""
        return {}

    def tensors(self) -> Tensors:
        """No tensors."""
        return {}

    @classmethod
    def load(
        cls,
        settings: Mapping[str, Any],  # noqa: ARG003
        tensors: Mapping[str, NDArray[Any]],  # noqa: ARG003
        device: str,  # noqa: ARG003 - for detectors with a network
        precision: Precision = "auto",  # noqa: ARG003
    ) -> Self:
        """A new detector; all arguments are ignored."""
        return cls()


def held_out(name: str = "brightness", frames: int = 600, level: float = 0.1) -> HeldOut:
    """One minute of normal scores around ``level``, at 10 frames per second."""
    rng = np.random.default_rng(0)
    scores = level + 0.01 * rng.standard_normal(frames)
    return HeldOut(np.arange(frames) / 10, np.zeros(frames, np.int32), {name: scores})


def provenance() -> Provenance:
    """The provenance of a model for tests."""
    return Provenance(
        recipe="test", data=["x"], frames=1, seed=0, commit=None, device="cpu", trained_at="2026-01-01T00:00:00+00:00"
    )


def brightness_model(level: float = 0.1, digit: str = "0") -> Model:
    """A model in memory: dark frames are normal (score about ``level``), bright ones are not. digit: fills its hash."""
    normal = held_out(level=level)
    card = ModelCard.model_validate(
        {
            "format": "true-sight-model",
            "format_version": 1,
            "name": "brightness",
            "monitor_version": "0",
            "detectors": [{"name": "brightness", "settings": {}}],
            "weights_sha256": "",
            "held_out": {"frames": 600, "clips": 1, "duration_s": 59.9, "scores": {}},
            "provenance": provenance().model_dump(),
        }
    )
    return Model(card, (Brightness(),), normal, digit * 64)


def picture(level: int, width: int = 32, height: int = 24) -> Image:
    """A picture in one grey level, (height, width, 3) uint8."""
    return np.full((height, width, 3), level, np.uint8)


def frame(time_s: float, level: int = 25, camera: str = "cam", segment: int = 0, captured_at: float = 0.0) -> Frame:
    """A frame in one grey level, numbered as at 25 frames per second."""
    return Frame(camera, round(time_s * 25), time_s, picture(level), segment, captured_at, 1e9 + time_s)


def scored(time_s: float, level: int = 25, segment: int = 0) -> ScoredFrame:
    """A frame in one grey level, scored by Brightness."""
    made = frame(time_s, level, segment=segment)
    detection = Brightness().score([Observation(made, [0])])[0]
    return ScoredFrame(made, (detection,), 0.0)


@dataclass(frozen=True)
class Shown:
    """One frame of a source: its media time in seconds, and its picture; None if it cannot be decoded."""

    time_s: float
    image: Image | None


class ShownSource(Source):
    """A file-like source that gives these frames. fps: its nominal rate."""

    def __init__(self, shown: Sequence[Shown], fps: float, name: str = "shown") -> None:
        super().__init__(name, f"test://{name}")
        self.shown = shown
        self.fps = fps

    def open(self) -> Reader:
        """Open the source at its first frame."""
        return _ShownReader(self)


class _ShownReader(Reader):
    def __init__(self, source: ShownSource) -> None:
        self.fps = source.fps
        self._shown = source.shown
        self._at = -1

    def grab(self) -> Position | None:
        self._at = min(self._at + 1, len(self._shown))
        return Position(self._at, self._shown[self._at].time_s) if self._at < len(self._shown) else None

    def retrieve(self) -> Image | None:
        return self._shown[self._at].image


class LevelSource(Source):
    """A file-like source: its frames have the given grey levels, 25 per second."""

    def __init__(self, name: str, levels: Sequence[int], *, live: bool = False) -> None:
        super().__init__(name, f"test://{name}")
        self.levels = levels
        self.live = live

    def open(self) -> Reader:
        """Open the source at its first frame."""
        return _LevelReader(self.levels)


class _LevelReader(Reader):
    fps = 25.0

    def __init__(self, levels: Sequence[int]) -> None:
        self._left: Iterator[tuple[int, int]] = enumerate(levels)
        self._level = 0

    def grab(self) -> Position | None:
        step = next(self._left, None)
        if step is None:
            return None
        index, self._level = step
        return Position(index, index / 25)

    def retrieve(self) -> Image | None:
        return picture(self._level)


def brightness_scale(model: Model | None = None, false_alarms_per_day: float = 1.0) -> ModelScale:
    """The scale of a model; by default of the model that measures brightness."""
    return ModelScale(model or brightness_model(), false_alarms_per_day, SmoothingSettings())


def monitor_of(camera: str, model: Model | None = None, alert: AlertSettings | None = None) -> CameraMonitor:
    """A monitor that judges a camera's scores, with default settings."""
    return CameraMonitor(camera, brightness_scale(model), SmoothingSettings(), alert or AlertSettings())


def judgement(scored: ScoredFrame, score: float, reasons: tuple[Reason, ...] = ()) -> Judgement:
    """A judgement of a frame, without alerts."""
    return Judgement(scored, score, (), brightness_scale(), (score,), reasons=reasons)


def watched_by(source: Source, model: Model | None = None, capture: CaptureSettings | None = None) -> Camera:
    """A source as a camera of a fleet, watched with a model; by default the one that measures brightness."""
    chosen = model or brightness_model()
    capture = capture or CaptureSettings(speed=None)
    return Camera(source, chosen, capture, monitor_of(source.name, chosen))


def fleet_of(*cameras: Camera) -> Fleet:
    """A fleet with a pipeline of its own."""
    return Fleet(Pipeline(), cameras)
