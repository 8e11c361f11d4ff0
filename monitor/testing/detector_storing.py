"""The checks of the detector contract that store a detector and load it again."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as save_tensors

from monitor.detector.base import Detector, Observation, Precision, Tensors
from monitor.errors import ModelError, UsageError
from monitor.testing.detector_case import (
    DetectorCase,
    anew,
    assert_error_sentence,
    assert_same_detections,
    scored_alone,
)

_DAMAGED = 4
_PRECISIONS: tuple[Precision, ...] = ("auto", "float32", "bfloat16")
_NONSENSE: tuple[Any, ...] = ("nonsense", -1, 0, 1e30, 10**9, None, True, [], {}, math.nan)


def check_storing(case: DetectorCase) -> None:
    """Settings survive JSON, tensors survive a file, and the loaded detector gives the same bytes."""
    stored = _stored(case.detector)
    loaded = _load(case, *stored)
    assert loaded.name == case.detector.name, f"the loaded detector is a '{loaded.name}'"
    _assert_same_parts(_stored(loaded), stored, "after loading")
    for what in ("sees", "small", "trust", "usual", "min_threshold"):
        one, other = getattr(loaded, what), getattr(case.detector, what)
        assert one == other, f"{what} of the loaded detector is {one} and not {other}"
    for clip in case.clips:
        assert_same_detections(scored_alone(loaded, clip), scored_alone(case.detector, clip), "after loading")


def check_damaged_tensors(case: DetectorCase) -> None:
    """``load`` raises ModelError if a tensor is missing, has another shape, another type or is not finite.

    For a network with many layers, it checks only some of the tensors.
    """
    settings, tensors = _stored(case.detector)
    names = sorted(tensors, key=lambda name: (name.count("."), name))
    own, rest = names[:_DAMAGED], names[_DAMAGED:]
    for name in [*own, *rest[:: max(1, len(rest) // _DAMAGED)]]:
        tensor = tensors[name]
        others = {key: value for key, value in tensors.items() if key != name}
        if name not in case.optional:
            _assert_refused(case, settings, others, f"without the tensor '{name}'")
        for damaged in _damaged(tensor):
            what = f"with the tensor '{name}' as {damaged.shape} {damaged.dtype}"
            _assert_refused(case, settings, {**others, name: damaged}, what)


def check_damaged_settings(case: DetectorCase) -> None:
    """``load`` raises ModelError, and nothing else, for settings that it cannot use."""
    settings, tensors = _stored(case.detector)
    for name in settings:
        others = {key: value for key, value in settings.items() if key != name}
        _load_or_refuse(case, others, tensors, f"without the setting '{name}'")
        for value in _NONSENSE:
            _load_or_refuse(case, {**others, name: value}, tensors, f"with the setting '{name}' = {value!r}")


def check_foreign_parts(case: DetectorCase) -> None:
    """``load`` raises ModelError for an unknown setting or tensor, as all detectors of this project do."""
    settings, tensors = _stored(case.detector)
    _assert_refused(case, settings, {**tensors, "foreign": np.zeros(3, np.float32)}, "with an unknown tensor")
    _assert_refused(case, {**settings, "foreign": 1}, tensors, "with an unknown setting")


def check_cpu(case: DetectorCase) -> None:
    """``on_cpu`` gives the same detector on the CPU, and streams continue with it."""
    other = case.detector.on_cpu()
    assert isinstance(other, Detector), f"on_cpu gives {other!r}"
    assert other.name == case.detector.name, f"on_cpu gives a '{other.name}'"
    assert other.device == "cpu", f"the detector on the CPU says that it runs on {other.device}"
    assert other.on_cpu() is other, "on_cpu of a detector on the CPU gives another one"
    for clip in case.clips:
        stream, half = case.detector.new_stream(), len(clip) // 2
        seen = [Observation(frame, stream) for frame in anew(clip)]
        found = [*case.detector.score(seen[:half]), *other.score(seen[half:])]
        if case.detector.device == "cpu":
            assert_same_detections(found, scored_alone(case.detector, clip), "continued on the CPU")


def check_devices(case: DetectorCase) -> None:
    """``load`` accepts any device and precision, or raises UsageError for one that is not available."""
    stored = _stored(case.detector)
    for device in ("auto", "cuda", "cuda:99", "nonsense"):
        loaded = _load_or_none(case, stored, device)
        assert loaded is not None or device != "auto", "load refuses the device auto"
        assert loaded is None or loaded.device, f"loaded for {device}, the detector has no device"
    for precision in _PRECISIONS:
        loaded = _load_or_none(case, stored, "cpu", precision)
        assert loaded is not None or precision == "bfloat16", f"load refuses the precision {precision}"
        found = [] if loaded is None else scored_alone(loaded, case.clips[0])
        assert loaded is None or any(not math.isnan(one.score) for one in found), f"in {precision} there is no score"


_Stored = tuple[dict[str, Any], Tensors]


def _stored(detector: Detector) -> _Stored:
    """Settings and tensors after they were stored and loaded, as in a model folder."""
    try:
        settings = json.loads(json.dumps(detector.settings(), allow_nan=False))
    except (TypeError, ValueError) as error:
        raise AssertionError(f"the settings cannot be stored as JSON: {error}") from error
    tensors = detector.tensors()
    for name, tensor in tensors.items():
        assert isinstance(tensor, np.ndarray), f"the tensor '{name}' is a {type(tensor).__name__}"
    found: Tensors = load_tensors(save_tensors({name: np.array(t, order="C") for name, t in tensors.items()}))
    for name, tensor in tensors.items():
        assert np.array_equal(found[name], tensor, equal_nan=tensor.dtype.kind == "f"), f"'{name}' cannot be stored"
    return settings, found


def _assert_same_parts(found: _Stored, expected: _Stored, when: str) -> None:
    assert found[0] == expected[0], f"{when}, the settings differ"
    assert found[1].keys() == expected[1].keys(), f"{when}, the names of the tensors differ"
    for name, tensor in found[1].items():
        other = expected[1][name]
        assert tensor.dtype == other.dtype, f"{when}, '{name}' is {tensor.dtype}"
        assert tensor.shape == other.shape, f"{when}, '{name}' is {tensor.shape}"
        assert tensor.tobytes() == other.tobytes(), f"{when}, '{name}' holds other values"


def _damaged(tensor: NDArray[Any]) -> list[NDArray[Any]]:
    """The tensor in another shape, in another type and, if it can hold such values, not finite."""
    another = np.float32 if tensor.dtype == np.float64 else np.float64
    found: list[NDArray[Any]] = [np.concatenate([np.atleast_1d(tensor)] * 2), tensor.astype(another)]
    if tensor.dtype.kind == "f":
        spoiled = np.array(tensor)
        spoiled.flat[0] = math.nan
        found.append(spoiled)
    return found


def _load(case: DetectorCase, settings: Mapping[str, Any], tensors: Tensors) -> Detector:
    return type(case.detector).load(settings, tensors, "cpu")


def _load_or_refuse(case: DetectorCase, settings: Mapping[str, Any], tensors: Tensors, what: str) -> bool:
    """Load the detector. Returns False if ``load`` raises a ModelError."""
    try:
        _load(case, settings, tensors)
    except ModelError as error:
        assert_error_sentence(error)
        return False
    except Exception as error:
        raise AssertionError(f"load {what} raises {error!r}, which is not a ModelError") from error
    return True


def _load_or_none(case: DetectorCase, stored: _Stored, device: str, precision: Precision = "auto") -> Detector | None:
    """Load the detector; None if the device or the precision is not available."""
    try:
        return type(case.detector).load(*stored, device, precision)
    except UsageError as error:
        assert_error_sentence(error)
        return None


def _assert_refused(case: DetectorCase, settings: Mapping[str, Any], tensors: Tensors, what: str) -> None:
    assert not _load_or_refuse(case, settings, tensors, what), f"load accepts the detector {what}"
