"""True Sight as a detector: the reconstruction error of an autoencoder for single frames, without memory.

There are two variants of the score with the same network. "published" is exactly the score of seven terms of the
original system. "sound" is the largest patch error, relative to the usual error at that place.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, islice
from typing import Annotated, Any, Literal, NamedTuple, Self

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from monitor.allocator import keep_freed_memory
from monitor.detector.base import Detector, Observation, Precision, Tensors, scored_places
from monitor.detector.device import find_device
from monitor.detector.precision import trunk_type
from monitor.detector.stored import check_tensors, read_settings
from monitor.detector.true_sight.autoencoder import INPUT_SIZE, PUBLISHED_WIDTH, TrueSightNet
from monitor.detector.true_sight.device_batch import DeviceScorer, ViewScorer
from monitor.detector.true_sight.fast_net import FastNet
from monitor.detector.true_sight.published_score import PUBLISHED_SIZES, Term, five_sizes, published_score
from monitor.errors import UsageError
from monitor.states import Reason
from monitor.types import Detection, FloatArray, Frame, Image

Variant = Literal["published", "sound"]

CUDA_FRAMES = 8
"""Frames per batch on a GPU, padded with black ones. A fixed shape uses one kernel and gives the same bytes."""

USUAL_PICTURES = 32
"""Number of calibration pictures that are averaged to a usual picture."""

USUAL_STDS = 2.0
"""A term becomes a reason if it exceeds its normal mean by more than this many standard deviations."""

LEAST_STD = 1 / 1020
"""A quarter of a grey level. It is added to the deviation of the error map, so that places without any variation do not
get extreme values."""

TERM_NAMES = {
    Term.L1: "overall error (L1)",
    Term.L2: "strong errors (L2)",
    Term.MAX: "worst pixel (Max)",
    Term.ATTENTION: "error where the model looks (Attention)",
    Term.STD: "texture (Std)",
    Term.FREQ: "fine detail (Freq)",
    Term.PEAK: "brightest spot (Peak)",
}

Seven = Annotated[tuple[float, ...], Field(min_length=len(Term), max_length=len(Term))]
Size = Annotated[int, Field(ge=8, le=2048)]


class TrueSightSettings(BaseModel):
    """The settings of the detector that are stored with its tensors.

    variant     the variant of the score
    sizes       edge lengths, px, to which a frame is resized; the results are averaged
    width       the network's base channel count
    patch       edge length of the sound variant's patch, px of the 96 x 96 input
    term_means  mean of each term on held-out normal frames, in the order of Term; None before calibration
    term_stds   standard deviations of the terms on these frames
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    variant: Variant
    sizes: Annotated[tuple[Size, ...], Field(min_length=1, max_length=8)] = PUBLISHED_SIZES
    width: Annotated[int, Field(ge=1, le=512)] = PUBLISHED_WIDTH
    patch: Annotated[int, Field(ge=1, le=INPUT_SIZE)] = 12
    term_means: Seven | None = None
    term_stds: Seven | None = None


class ErrorStats(NamedTuple):
    """Mean and standard deviation of the patch error at each place on held-out normal frames, (96, 96) float32."""

    mean: FloatArray
    std: FloatArray


class TrueSight(Detector):
    """Scores single frames. It is stateless: cameras share it, and it never changes.

    published  score: the score of seven terms, averaged over the sizes; map: mean absolute error
    sound      score: the highest value of the map; map: the patch error at each place; after calibration in standard
               deviations from its normal mean, before calibration as plain mean absolute error
    """

    name = "true-sight"

    def __init__(
        self,
        net: TrueSightNet,
        settings: TrueSightSettings,
        device: str = "cpu",
        error_stats: ErrorStats | None = None,
        precision: Precision = "auto",
        usual: FloatArray | None = None,
    ) -> None:
        """Takes ownership of the network: moves it to the device, in eval mode. usual: see FastNet; set by calibration.

        Raises UsageError if the device is not available, or if it only emulates the precision.
        """
        self._device = find_device(device)
        self.device = str(self._device)
        # After a GPU has failed, its memory cannot be read. So a copy for ``on_cpu`` is kept here.
        self._spare = copy.deepcopy(net).cpu() if self._device.type != "cpu" else None
        self._net = net.eval().requires_grad_(False).to(self._device).to(memory_format=torch.channels_last)
        self._settings = settings
        self._error_stats = error_stats
        self._precision = precision
        self._usual = usual
        picture = None if usual is None else torch.from_numpy(usual)
        fast = FastNet(self._net, trunk_type(precision, self._device), picture)
        keep_freed_memory()
        self._views = ViewScorer(fast, len(settings.sizes))
        self._frames = (
            DeviceScorer(fast, settings.sizes, self._device, CUDA_FRAMES) if self._device.type == "cuda" else None
        )

    @classmethod
    def from_network(
        cls,
        net: TrueSightNet,
        *,
        variant: Variant,
        sizes: Sequence[int] | None = None,
        patch: int = 12,
        device: str = "cpu",
        precision: Precision = "auto",
    ) -> Self:
        """Build from a copy of a trained network. Default of ``sizes``: the published five; for "sound" only 96.

        Raises ModelError for settings out of range, UsageError for a device or a precision that is not available.
        """
        if sizes is None:
            sizes = PUBLISHED_SIZES if variant == "published" else (INPUT_SIZE,)
        settings = read_settings(
            cls.name, TrueSightSettings, {"variant": variant, "sizes": tuple(sizes), "width": net.width, "patch": patch}
        )
        return cls(copy.deepcopy(net), settings, device, precision=precision)

    def new_stream(self) -> None:
        """No state: this detector remembers nothing between frames."""

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        """Score frames, see Detector.score. The class describes the score and the map."""
        terms, errors = self._look([observation.frame.image for observation in batch])
        frames = (observation.frame for observation in batch)
        return [self._detection(*each) for each in zip(frames, terms, errors, strict=True)]

    def terms(self, images: Sequence[Image]) -> FloatArray:
        """The seven terms of each picture, averaged over the sizes: (N, 7) float32 in the order of Term.

        images: each (H, W, 3) uint8 BGR.
        """
        return self._look(images)[0]

    def calibrate(self, images: Iterable[Image]) -> Self:
        """A calibrated copy. images: at least 2 held-out normal pictures, (H, W, 3) uint8 BGR.

        The calibration sets the statistics of the terms, which the reasons need. For the sound variant it also sets the
        statistics of the patch error at each place, which its score needs. It sets the mean of the first pictures as
        the usual picture, see FastNet. Raises UsageError for fewer than 2 pictures.
        """
        terms: list[FloatArray] = []
        total = np.zeros((INPUT_SIZE, INPUT_SIZE))
        squares = np.zeros_like(total)
        left = iter(images)
        first = list(islice(left, USUAL_PICTURES))
        usual = (
            torch.cat([five_sizes(i, (INPUT_SIZE,)) for i in first]).mean(dim=0).contiguous().numpy() if first else None
        )
        # The usual values must be measured with exactly the calculation that is used for scoring.
        measuring = type(self)(self._net, self._settings, str(self._device), None, self._precision, usual)
        left = chain(first, left)
        while part := list(islice(left, CUDA_FRAMES)):
            part_terms, errors = measuring._look(part)
            terms.extend(part_terms)
            for error in errors:
                patches = self._patch_error(error).astype(np.float64)
                total += patches
                squares += patches**2
        n = len(terms)
        if n < 2:
            raise UsageError(f"calibration needs at least 2 held-out normal frames, got {n}: give more footage")
        table = np.stack(terms).astype(np.float64)
        update = {"term_means": tuple(table.mean(axis=0).tolist()), "term_stds": tuple(table.std(axis=0).tolist())}
        mean = total / n
        std = np.sqrt(np.maximum(squares / n - mean**2, 0.0))
        stats = ErrorStats(mean.astype(np.float32), std.astype(np.float32))
        return type(self)(
            self._net,
            self._settings.model_copy(update=update),
            str(self._device),
            stats if self._settings.variant == "sound" else None,
            self._precision,
            usual,
        )

    def on_cpu(self) -> TrueSight:
        """See Detector.on_cpu. Scores differ from those on the GPU only by rounding."""
        if self._spare is None:
            return self
        other = TrueSight(self._spare, self._settings, "cpu", self._error_stats, usual=self._usual)
        other.typical = self.typical
        return other

    def settings(self) -> dict[str, Any]:
        """The fields of TrueSightSettings, JSON-serialisable."""
        return self._settings.model_dump(mode="json")

    def tensors(self) -> Tensors:
        """The network's arrays as ``network.*``. After calibration also ``usual``; for the sound variant also
        ``error_mean`` and ``error_std``.
        """
        found: Tensors = {
            f"network.{key}": value.cpu().contiguous().numpy().copy() for key, value in self._net.state_dict().items()
        }
        if self._error_stats:
            found |= {"error_mean": self._error_stats.mean, "error_std": self._error_stats.std}
        if self._usual is not None:
            found["usual"] = self._usual
        return found

    @classmethod
    def load(
        cls,
        settings: Mapping[str, Any],
        tensors: Mapping[str, NDArray[Any]],
        device: str,
        precision: Precision = "auto",
    ) -> Self:
        """See Detector.load. Every setting, and the name, shape and type of every tensor are checked."""
        checked = read_settings(cls.name, TrueSightSettings, settings)
        with torch.device("meta"):  # only shapes: this needs no memory and does not change the random state
            net = TrueSightNet(checked.width)
        expected = {
            f"network.{key}": (tuple(v.shape), str(v.dtype).removeprefix("torch."))
            for key, v in net.state_dict().items()
        }
        calibrated = checked.variant == "sound" and checked.term_means is not None
        if calibrated or "error_mean" in tensors or "error_std" in tensors:
            expected |= dict.fromkeys(("error_mean", "error_std"), ((INPUT_SIZE, INPUT_SIZE), "float32"))
        if "usual" in tensors:  # models from earlier versions do not have it
            expected["usual"] = ((3, INPUT_SIZE, INPUT_SIZE), "float32")
        check_tensors(cls.name, tensors, expected)
        state = {key: torch.from_numpy(np.array(tensors[f"network.{key}"])) for key in net.state_dict()}
        net.load_state_dict(state, assign=True)
        stats = None
        if "error_mean" in tensors:
            stats = ErrorStats(np.array(tensors["error_mean"]), np.array(tensors["error_std"]))
        usual = np.array(tensors["usual"]) if "usual" in tensors else None
        return cls(net, checked, device, stats, precision, usual)

    def _look(self, images: Sequence[Image]) -> tuple[FloatArray, FloatArray]:
        """Terms (N, 7) and mean absolute error (N, 96, 96), both averaged over the sizes, float32."""
        if self._frames is not None and images:
            found = self._frames(images)
            return found.terms.numpy(), found.error.numpy()
        terms = np.empty((len(images), len(Term)), np.float32)
        errors = np.empty((len(images), INPUT_SIZE, INPUT_SIZE), np.float32)
        # Always one frame per batch: other frames in a batch must not change the bytes of a frame's result.
        with torch.inference_mode():
            for i, image in enumerate(images):
                found = self._views(five_sizes(image, self._settings.sizes))
                terms[i], errors[i] = found.terms[0].numpy(), found.error[0].numpy()
        return terms, errors

    def _patch_error(self, error: FloatArray) -> FloatArray:
        """Mean over the patch around each place, mirrored at the edges: (96, 96) float32."""
        edge = self._settings.patch
        return cv2.blur(error, (edge, edge), borderType=cv2.BORDER_REFLECT).astype(np.float32, copy=False)

    def _detection(self, frame: Frame, terms: FloatArray, error: FloatArray) -> Detection:
        if self._settings.variant == "published":
            # The published score is one of the whole picture, which zones do not weigh.
            shown = scored_places(frame, error, typical=float(np.median(error)))
            return Detection(float(published_score(torch.from_numpy(terms))), shown, self._reasons(terms))
        patches = self._patch_error(error)
        if self._error_stats:
            patches = (patches - self._error_stats.mean) / (self._error_stats.std + np.float32(LEAST_STD))
        patches = scored_places(frame, patches, self.typical)
        return Detection(float(patches.max()), patches, self._reasons(terms))

    def _reasons(self, terms: FloatArray) -> tuple[Reason, ...]:
        """The terms above their usual upper value, the term with the largest deviation first."""
        means, stds = self._settings.term_means, self._settings.term_stds
        if means is None or stds is None:
            return ()
        found: list[tuple[float, Reason]] = []
        for term, value, mean, std in zip(Term, terms.tolist(), means, stds, strict=True):
            usual = mean + USUAL_STDS * std
            if value > usual:
                found.append(((value - mean) / max(std, 1e-12), Reason(TERM_NAMES[term], value, usual)))
        return tuple(reason for _, reason in sorted(found, key=lambda pair: -pair[0]))
