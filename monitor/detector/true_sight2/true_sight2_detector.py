"""True Sight 2: a network, trained with synthetic anomalies in the same scene, that finds abnormal places.

Its inputs are a frame, the frames of the last 0.4 s and two backgrounds, all grey and 160x96 px. Its three attention
heads form the anomaly map. It finds objects that are too fast or too large, that have an unusual shape, or that move
where normally nothing moves.
"""

from __future__ import annotations

import copy
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, NamedTuple, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from monitor.detector.base import Detector, Observation, Paced, Precision, Tensors, nan_detection, scored_places
from monitor.detector.device import find_device
from monitor.detector.frontend import fast_median
from monitor.detector.precision import exact, trunk_type
from monitor.detector.stored import check_tensors, read_settings
from monitor.detector.true_sight2.clip_inputs import (
    CHANNELS,
    LEAST_SPAN_S,
    MOST_SPAN_S,
    SIZE,
    ClipInputs,
    choose,
    follow,
    settled,
)
from monitor.detector.true_sight2.clip_net import HEADS, ClipNet, averaged
from monitor.detector.true_sight2.fast_clip_net import fast_network
from monitor.errors import ModelError
from monitor.states import Reason
from monitor.types import Bools, Detection, FloatArray, Frame, Image

CUDA_FRAMES = 8
"""Frames per batch on a GPU, padded with zeros. A fixed shape uses one kernel and gives the same bytes."""

SPEED_GRID = (6, 10)
"""(rows, columns) of the grid of usual speeds."""

# The network uses the last 0.4 s, so two scores in that time are enough. A step of 0.3 s in calm periods cost 0.01 AUC.
_EVERY_S = 0.2
_LEARN_PER_S = 0.8  # maximum change of the background, grey levels per second
_RESET_SHARE = 0.5  # if more than this share of the picture differs from it, the background shows another scene
_EXCUSED_BESIDE = 7  # places of the map, about two cells of motion on each side
_UNLIKE = 22  # a pixel differs from the background by at least this, grey levels


_Logit = Annotated[float, Field(ge=-1e6, le=1e6)]


class TrueSight2Settings(BaseModel):
    """The settings of the detector that are stored with its tensors.

    width       number of channels of the network's finest features
    usual       99th percentile of the score on held-out normal frames, logits
    head_usual  the same for the contribution of each head at the map's peak, in the order of clip_net.HEADS
    auc         AUC of the detection of synthetic anomalies in normal footage that was not learned; None: not known
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    width: Annotated[int, Field(ge=1, le=256)] = 16
    usual: _Logit | None = None
    head_usual: tuple[_Logit, _Logit, _Logit] | None = None
    auc: Annotated[float, Field(gt=0.5, le=1)] | None = None


class Scene(NamedTuple):
    """Data about the normal footage that is stored with the network.

    background   (96, 160) float32 grey levels of the empty scene
    usual_speed  (6, 10) float32: the upper normal speed at each place, px/s of the 160x96 picture, above 0
    """

    background: FloatArray
    usual_speed: FloatArray


class Looked(NamedTuple):
    """What the network says about one input.

    fused     (23, 39) float32, the anomaly map
    heads     (3,) float32, the part of each head in its peak
    features  (c,) float32, the finest features at its peak
    """

    fused: FloatArray
    heads: FloatArray
    features: FloatArray


class ClipStream:
    """The state of one camera: small frames of the last second and two backgrounds."""

    def __init__(self, scene: Scene) -> None:
        self._background = scene.background
        self._recent: FloatArray | None = None  # None until it is known what stands still
        self._past: deque[tuple[float, Image]] = deque()
        self._inputs = ClipInputs(scene.usual_speed)
        self.paced = Paced(_EVERY_S)

    def update(self, frame: Frame, *, look: bool = True) -> FloatArray | None:
        """The network's inputs for the next frame, (CHANNELS, 96, 160); None if there are no suitable earlier frames.

        look: False for a frame that is only remembered; the result is then None.
        """
        return self.update_grey(frame.small.grey(SIZE), frame.time_s, look=look)

    def update_grey(self, grey: Image, time_s: float, *, look: bool = True) -> FloatArray | None:
        """Like ``update``, for a grey picture (96, 160) uint8."""
        step_s = time_s - self._past[-1][0] if self._past else 0.0
        lit = self._look_at_background(grey, step_s)
        if self._recent is None and self._past and time_s - self._past[0][0] >= LEAST_SPAN_S:
            self._recent = settled([*(picture for _, picture in self._past), grey], lit)
        while self._past and time_s - self._past[0][0] > MOST_SPAN_S + 0.01:
            self._past.popleft()
        found = choose([t for t, _ in self._past], time_s) if look else None
        inputs = None
        if found is not None and self._recent is not None:
            earlier = [self._past[i] for i in found]
            ages = [time_s - t for t, _ in earlier]
            inputs = self._inputs(grey, [picture for _, picture in earlier], ages, lit, self._recent)
        if self._recent is not None:
            self._recent = follow(self._recent, grey, step_s)
        self._past.append((time_s, grey))
        return inputs

    def _look_at_background(self, grey: Image, step_s: float) -> FloatArray:
        """The background in the light of this frame, (96, 160) grey levels. It also updates the background slowly."""
        picture = grey.astype(np.float32)
        gain = float(fast_median((picture[::4, ::4] / np.maximum(self._background[::4, ::4], 8.0)).ravel()))
        lit = self._background * np.float32(max(gain, 0.1))
        if np.mean(np.abs(picture - lit) >= _UNLIKE) > _RESET_SHARE:
            self._background, self._recent = picture, picture
            return picture
        step = np.float32(_LEARN_PER_S * min(step_s, 1.0))
        self._background = self._background + np.clip(
            picture / np.float32(max(gain, 0.1)) - self._background, -step, step
        )
        return lit


class TrueSight2(Detector):
    """Scores frames by the peak of the anomaly map, in logits. A high score is abnormal.

    map    (23, 39) float32: the fused logits, averaged over 2x2 places of 4x4 px each
    score  the highest value of the map
    """

    name: ClassVar[str] = "true-sight-2"
    small: ClassVar[bool] = True
    sees: ClassVar[str] = "movement"
    min_threshold = -1.0
    """Logits that any movement reaches. If nothing moved in the normal footage, all its scores are far below this."""

    def __init__(
        self,
        net: ClipNet,
        settings: TrueSight2Settings,
        scene: Scene,
        device: str = "cpu",
        precision: Precision = "auto",
    ) -> None:
        """Takes ownership of the network: moves it to the device, in eval mode.

        Raises UsageError if the device is not available, or if it only emulates the precision.
        """
        self._device = find_device(device)
        self.device = str(self._device)
        # After a GPU has failed, its memory cannot be read. So a copy for ``on_cpu`` is kept here.
        self._spare = copy.deepcopy(net).cpu() if self._device.type != "cpu" else None
        self._net = net.eval().requires_grad_(False).to(self._device).to(memory_format=torch.channels_last)
        self._precision = precision
        self._fast = fast_network(self._net, trunk_type(precision, self._device))
        self._settings = settings
        self.scene = scene
        # The Gini coefficient, squared: synthetic anomalies are easier to detect than real ones, so trust it less.
        if settings.auc is not None:
            self.trust = (2 * settings.auc - 1) ** 2

    def with_usual(self, usual: float, head_usual: tuple[float, float, float]) -> Self:
        """A copy with the usual scores, which the reasons need (see TrueSight2Settings)."""
        return self._with({"usual": usual, "head_usual": head_usual})

    def with_auc(self, auc: float) -> Self:
        """A copy with a known AUC (see TrueSight2Settings)."""
        return self._with({"auc": auc})

    def _with(self, update: dict[str, object]) -> Self:
        settings = self._settings.model_copy(update=update)
        return type(self)(copy.deepcopy(self._net), settings, self.scene, str(self._device), self._precision)

    def new_stream(self) -> ClipStream:
        """A stream with the trained background."""
        return ClipStream(self.scene)

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        """See Detector.score and the class. The score is NaN for a quarter of a second at the start of a stream."""
        looks: list[tuple[Frame, Paced, bool, FloatArray | None]] = []
        for observation in batch:
            stream, frame = observation.stream, observation.frame
            due = stream.paced.due(frame.time_s)
            inputs = stream.update(frame, look=due)
            if due and inputs is None:
                stream.paced.again()
            looks.append((frame, stream.paced, due, inputs))
        known = [inputs for *_, inputs in looks if inputs is not None]
        maps = iter(self.look(known))
        found = []
        for frame, paced, due, inputs in looks:
            if due:
                paced.said = nan_detection() if inputs is None else self._detection(frame, next(maps))
            found.append(paced.said)
        return found

    def look(self, inputs: Sequence[FloatArray]) -> list[Looked]:
        """What the network says about each input (CHANNELS, 96, 160)."""
        found: list[Looked] = []
        # Always the same batch shape: other frames in a batch must not change the bytes of a frame's result.
        frames = 1 if self._device.type == "cpu" else CUDA_FRAMES
        for start in range(0, len(inputs), frames):
            some = inputs[start : start + frames]
            part = torch.from_numpy(some[0][None] if len(some) == 1 else np.stack(some))
            known = len(part)
            if known < frames:
                part = torch.cat([part, part.new_zeros(frames - known, *part.shape[1:])])
            with torch.inference_mode(), exact(self._device):
                out = self._fast(part.to(self._device, self._fast.dtype).contiguous(memory_format=torch.channels_last))
                places = averaged(out.fused)
                features = _at_peak(places, out.fine)[:known].cpu().numpy()
                fused, parts = places[:known].cpu().numpy(), out.parts[:known].cpu().numpy()
            for one, heads, of_peak in zip(fused, parts, features, strict=True):
                row, column = divmod(int(one.argmax()), one.shape[1])
                found.append(Looked(one, heads[:, row : row + 2, column : column + 2].mean(axis=(1, 2)), of_peak))
        return found

    def _detection(self, frame: Frame, looked: Looked) -> Detection:
        heads = looked.heads
        highest, fused = int(looked.fused.argmax()), scored_places(frame, looked.fused, self.typical)
        score = float(fused.max())
        if int(fused.argmax()) != highest:  # the heads are those of another place, which counts less or not at all
            return Detection(score, fused)
        usual, head_usual = self._settings.usual, self._settings.head_usual
        traits = None
        if usual is not None and score > usual:
            traits = {"map": fused.astype(np.float16), "features": looked.features.astype(np.float16)}
        if usual is None or head_usual is None or score <= usual:
            return Detection(score, fused, traits=traits)
        spoke = int((heads - np.array(head_usual)).argmax())
        return Detection(
            score, fused, (Reason(f"unlike anything learned here ({HEADS[spoke]})", score, usual),), traits
        )

    def without(self, detection: Detection, excused: Bools) -> Detection:
        """See Detector. The network has seen the last 0.4 s, so the places beside the excused ones count as well."""
        heat = detection.anomaly_map
        if heat is None:
            return detection
        fine = cv2.resize(excused.astype(np.uint8), heat.shape[::-1], interpolation=cv2.INTER_NEAREST)
        left_out = cv2.dilate(fine, np.ones((_EXCUSED_BESIDE, _EXCUSED_BESIDE), np.uint8)) > 0
        if not left_out.any():
            return detection
        least = heat.min() if left_out.all() else heat[~left_out].min()
        rest = np.where(left_out, least, heat).astype(np.float32)
        score = float(rest.max())
        # The reasons are those of the highest place, which may be left out.
        return Detection(score, rest, detection.reasons if score >= detection.score else ())

    def on_cpu(self) -> TrueSight2:
        """See Detector.on_cpu. Scores differ from those on the GPU only by rounding."""
        if self._spare is None:
            return self
        other = TrueSight2(self._spare, self._settings, self.scene)
        other.typical = self.typical
        return other

    def settings(self) -> dict[str, Any]:
        """The fields of TrueSight2Settings, JSON-serialisable."""
        return self._settings.model_dump(mode="json")

    def tensors(self) -> Tensors:
        """The network's arrays as ``network.*``, and the arrays of Scene."""
        found: Tensors = {
            f"network.{key}": value.cpu().contiguous().numpy().copy() for key, value in self._net.state_dict().items()
        }
        return found | self.scene._asdict()

    @classmethod
    def load(
        cls,
        settings: Mapping[str, Any],
        tensors: Mapping[str, NDArray[Any]],
        device: str,
        precision: Precision = "auto",
    ) -> Self:
        """See Detector.load. Every setting, and the name, shape and type of every tensor are checked."""
        checked = read_settings(cls.name, TrueSight2Settings, settings)
        with torch.device("meta"):  # only shapes: this needs no memory and does not change the random state
            net = ClipNet(CHANNELS, checked.width)
        expected: dict[str, tuple[tuple[int, ...], Any]] = {
            f"network.{key}": (tuple(v.shape), str(v.dtype).removeprefix("torch."))
            for key, v in net.state_dict().items()
        }
        expected["background"] = ((SIZE[1], SIZE[0]), "float32")
        expected["usual_speed"] = (SPEED_GRID, "float32")
        check_tensors(cls.name, tensors, expected)
        if tensors["usual_speed"].min() <= 0:
            raise ModelError("a usual speed of true-sight-2 in this model is not above 0; train it again")
        state = {key: torch.from_numpy(np.array(tensors[f"network.{key}"])) for key in net.state_dict()}
        net.load_state_dict(state, assign=True)
        scene = Scene(np.array(tensors["background"]), np.array(tensors["usual_speed"]))
        return cls(net, checked, scene, device, precision)


def _at_peak(places: Tensor, fine: Tensor) -> Tensor:
    """The features (B, c) of the 2x2 places of ``fine`` (B, c, h, w) at the peak of each map (B, h - 1, w - 1)."""
    peak = places.flatten(1).argmax(dim=1)
    pooled = torch.nn.functional.avg_pool2d(fine, 2, stride=1).flatten(2)
    return pooled.gather(2, peak[:, None, None].expand(-1, pooled.shape[1], 1))[:, :, 0]
