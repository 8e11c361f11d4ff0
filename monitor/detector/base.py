"""The one interface of all detectors. Synchronous: no threads, no sockets, no clock.

A detector looks at frames of many cameras that share one model. What it must remember of a camera's
past (previous frames, a background) lives in a stream object that the caller keeps per camera and
throws away at a gap, so a detector itself never changes while it runs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self

import numpy as np
from numpy.typing import NDArray

from monitor.types import Detection, Frame

Precision = Literal["auto", "float32", "bfloat16"]
"""What a network calculates in; auto: bfloat16 where the hardware calculates in it itself, float32 elsewhere."""

_ON_TIME = 0.75  # of the time from one look to the next: what comes later is not early

Tensors = dict[str, NDArray[Any]]
"""What is stored of a detector in a model folder's safetensors file: name -> numpy array."""


@dataclass(slots=True, eq=False)
class Observation:
    """A frame together with its camera's stream object of the detector that is asked (see ``new_stream``)."""

    frame: Frame
    stream: Any


def nan_detection() -> Detection:
    """What a detector says of a frame it cannot judge yet."""
    return Detection(score=float(np.nan))


class Paced:
    """Of a stream that need not be looked at in every frame: when it is time again, and what was said last.

    every_s  seconds of stream time from one look to the next; with ten frames a second 0.2 is every second frame,
             jitter or not
    said     what was said last
    """

    def __init__(self, every_s: float) -> None:
        self._least_s = _ON_TIME * every_s
        self.said = nan_detection()
        self._looked_s = -math.inf

    def due(self, time_s: float) -> bool:
        """Whether it is time to look again, at ``time_s``; if so, that is taken as done."""
        if 0 <= time_s - self._looked_s < self._least_s:
            return False
        self._looked_s = time_s
        return True

    def tell(self, time_s: float, look: Callable[[], Detection]) -> Detection:
        """What ``look`` says where it is time, and what was said last where it is not."""
        if self.due(time_s):
            self.said = look()
        return self.said

    def again(self) -> None:
        """There was nothing to say: the next frame is due whenever it comes."""
        self._looked_s = -math.inf


class Detector(ABC):
    """Frames in, scores out. A high score is abnormal.

    ``score`` must give the same bytes for the same frames of a stream, whatever else is in the batch.
    """

    name: ClassVar[str]
    """Registry name, as written in model folders and configs."""

    sees: ClassVar[str] = ""
    """What kind of thing it sees. Detectors of a model that see the same are added up, the others each have a share of
    the budget of false alarms of their own; empty: something no other sees."""

    device: str = "cpu"
    """Where it runs, for people; detectors with a network say so."""

    small: ClassVar[bool] = False
    """Whether it looks at ``frame.small``, which is then prepared by the thread that reads the frame."""

    min_threshold: float = -math.inf
    """Raw, smoothed score below which no threshold is ever set; for detectors whose normal score hardly varies."""

    usual: float = -math.inf
    """Raw score up to which it finds nothing unusual: 0 on the common scale, however much lower most normal frames
    score. Else what it sees in ordinary pictures would count beside other detectors' findings. Not used where
    detectors are added up."""

    trust: float = 1.0
    """How much its findings count where detectors are added up, above 0, at most 1."""

    def shown_by(self, clip_s: float, threshold: float) -> bool:  # noqa: ARG002
        """Whether held-out clips of this length, seconds, can show scores as high as a threshold at all."""
        return True

    @abstractmethod
    def new_stream(self) -> Any:
        """State of one camera's stream from its start (or from a gap): whatever ``score`` needs to remember."""

    @abstractmethod
    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        """Score frames, one Detection an observation, in order; updates their stream objects.

        Within a batch, frames of the same camera stand in order of time.
        """

    def on_cpu(self) -> Detector:
        """The same detector on the CPU, for when its device has failed; streams go on. Itself if it runs there."""
        return self

    @abstractmethod
    def settings(self) -> dict[str, Any]:
        """JSON-ready settings, enough to build the detector again with ``load``."""

    @abstractmethod
    def tensors(self) -> Tensors:
        """Arrays to be stored in the model folder."""

    @classmethod
    @abstractmethod
    def load(
        cls,
        settings: Mapping[str, Any],
        tensors: Mapping[str, NDArray[Any]],
        device: str,
        precision: Precision = "auto",
    ) -> Self:
        """Build from what ``settings`` and ``tensors`` gave. Raises ModelError when a part is missing or misshapen.

        device: "auto" (a GPU if there is one) or a torch device name ("cpu", "cuda:0"). Detectors without a network
        ignore device and precision; the others raise UsageError for what is not there.
        """
