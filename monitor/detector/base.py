"""The one interface of all detectors. Synchronous: no threads, no sockets, no clock.

A detector scores frames of many cameras that share one model. What it must remember about a camera (previous frames, a
background) is in a stream object. The caller keeps one stream object per camera and discards it at a gap. So the
detector itself never changes while it runs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from monitor.detector.lessons import Lesson
from monitor.types import Bools, Detection, FloatArray, Frame, Traits

Precision = Literal["auto", "float32", "bfloat16"]
"""The number format of a network. auto: bfloat16 if the hardware supports it natively, otherwise float32."""

_ON_TIME = 0.75  # share of ``every_s``: a frame that arrives after this time is not too early

Tensors = dict[str, NDArray[Any]]
"""The arrays of a detector in a model folder's safetensors file: name -> numpy array."""


@dataclass(slots=True, eq=False)
class Observation:
    """A frame, together with the stream object of its camera for this detector (see ``new_stream``)."""

    frame: Frame
    stream: Any


def nan_detection() -> Detection:
    """The result for a frame that a detector cannot score yet."""
    return Detection(score=float(np.nan))


def scored_places(frame: Frame, cells: FloatArray, typical: float, least: float | None = None) -> FloatArray:
    """An anomaly map of a frame, (h, w) float32, by the rules of its places: its detector pools the result.

    typical, least: see ``PlaceRules.applied``
    """
    return cells if frame.places is None else frame.places.applied(cells, typical, least)


class Paced:
    """Skips frames for a detector that need not score every frame: it knows when to score again, and the last result.

    every_s  seconds of stream time between two scored frames; at ten frames per second, 0.2 is every second frame, even
             with jitter
    said     the last result
    """

    def __init__(self, every_s: float) -> None:
        self._least_s = _ON_TIME * every_s
        self.said = nan_detection()
        self._looked_s = -math.inf

    def due(self, time_s: float) -> bool:
        """Whether the frame at ``time_s`` must be scored. If True, the frame counts as scored."""
        if 0 <= time_s - self._looked_s < self._least_s:
            return False
        self._looked_s = time_s
        return True

    def tell(self, time_s: float, look: Callable[[], Detection]) -> Detection:
        """The result of ``look`` if the frame at ``time_s`` must be scored, otherwise the last result."""
        if self.due(time_s):
            self.said = look()
        return self.said

    def again(self) -> None:
        """Score the next frame at any time, because the last frame gave no result."""
        self._looked_s = -math.inf


class Detector(ABC):
    """Frames in, scores out. A high score is abnormal.

    ``score`` must return the same bytes for the same frames of a stream, independent of the other frames in the batch.
    """

    name: ClassVar[str]
    """Registry name, as used in model folders and configs."""

    sees: ClassVar[str] = ""
    """What the detector responds to. The scores of detectors with the same value are added. Each other detector has its
    own share of the false-alarm budget. Empty: no other detector responds to the same."""

    device: str = "cpu"
    """The device that it runs on, for display; detectors with a network set it."""

    small: ClassVar[bool] = False
    """Whether it uses ``frame.small``. If so, the thread that reads the frame prepares the small pictures."""

    min_threshold: float = -math.inf
    """Lower limit of the threshold, raw smoothed score; for detectors with a nearly constant normal score."""

    usual: float = -math.inf
    """Raw score up to which the detector finds nothing unusual: it becomes 0 on the common scale, even if most normal
    frames score much lower. Otherwise its scores of ordinary pictures would add to the scores of other detectors. Not
    used if detectors are added."""

    typical: float = 0.0
    """Raw score of a typical frame of the held-out footage, set when a model is loaded. Zones weigh what is above."""

    trust: float = 1.0
    """The weight of its scores if detectors are added, above 0, at most 1."""

    def shown_by(self, clip_s: float, threshold: float) -> bool:  # noqa: ARG002
        """Whether held-out clips of this length, seconds, are long enough to reach scores as high as the threshold."""
        return True

    @abstractmethod
    def new_stream(self) -> Any:
        """The state of one camera's stream from its start or from a gap: everything that ``score`` must remember."""

    @abstractmethod
    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        """Score frames: one Detection per observation, in order. It updates the stream objects.

        Within a batch, frames of the same camera are in order of time.
        """

    @property
    def origin(self) -> Detector:
        """The detector whose streams this one continues: that which it was taught from, or itself."""
        return self

    def taught(self, lessons: Sequence[Lesson]) -> Detector:  # noqa: ARG002
        """A detector that knows these lessons, and no others, as normal; streams continue. Itself if it cannot learn.

        Called on the detector that was learned or on one that it has taught.
        """
        return self

    def without(self, detection: Detection, excused: Bools) -> Detection:  # noqa: ARG002
        """The result for the same frame if these places, (h, w) bool, are normal: another detector knows a lesson."""
        return detection

    def again(self, score: float, traits: Traits, hour: float | None) -> tuple[float, Bools | None]:  # noqa: ARG002
        """What the detector would say of a frame of which only this is kept: its score, and the excused places.

        score   what it said then; hour: time of day, see ``lessons.hour_of``
        """
        return score, None

    def on_cpu(self) -> Detector:
        """The same detector on the CPU, for use after its device has failed; streams continue. Itself if on the CPU."""
        return self

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """JSON-serialisable settings that ``load`` needs to build the detector again."""

    @abstractmethod
    def tensors(self) -> Tensors:
        """The arrays to store in the model folder."""

    @classmethod
    @abstractmethod
    def load(
        cls,
        settings: Mapping[str, Any],
        tensors: Mapping[str, NDArray[Any]],
        device: str,
        precision: Precision = "auto",
    ) -> Self:
        """Build from the results of ``settings`` and ``tensors``. Raises ModelError for a missing or invalid part.

        device: "auto" (a GPU if available) or a torch device name ("cpu", "cuda:0"). Detectors without a network ignore
        device and precision. The others raise UsageError if the device or the precision is not available.
        """
