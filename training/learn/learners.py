"""How each detector is fitted to normal footage. A new detector needs one function and one line here."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

from monitor.detector.base import Detector
from monitor.errors import UsageError
from monitor.learning.learning_plan import LEAST_LEARNING_S
from monitor.types import Frame
from training.learn.whole_footage import LearnsAll
from training.progress import Report

if TYPE_CHECKING:  # networks load slowly
    from training.learn.pretrained_weights import Pretrained

NETWORK = "true-sight-2"
"""The detector that can start from pre-trained weights."""

LEAST_AUC = 0.7
"""Lowest AUC on synthetic anomalies with which a network becomes part of a model; 0.5 is chance."""

LEAST_AUC_ADDED = 0.6
"""The same for a detector that only adds to another one. Its weight is then .04."""

Clips = Sequence[Sequence[Frame]]


@dataclass(frozen=True, slots=True)
class Learner:
    """How a detector learns.

    fit    (clips, seed, device, report) -> the detector. It imports its modules when called, because networks load
           slowly
    refit  True: fitting takes seconds, so the detector is cross-fitted and fitted again on all footage. False: fitting
           takes minutes, so it is fitted once, on three quarters of the footage
    least_held_back_s  for a detector that is fitted once: minimum seconds of held-out footage. Less footage does not
           show the usual scores
    judge  (detector, held-out footage, report) -> the detector to keep, or None if it did not learn well enough; then
           it does not become part of the model
    fit_sample  like ``fit``, for a sample of long footage that ``whole`` learns from afterwards; None: ``fit``
    weigh  (detector, footage without its held-out part, held-out footage, report) -> the detector with the weight that
           it has earned, or None if it has earned none. For a detector that has learned from the held-out footage, too
    whole_only  True if it has been measured only with footage that is kept completely; it is left out of longer footage
    whole  (detector fitted to a sample of long footage, seconds of that footage) -> what learns from all of it; None if
           the detector learns from the sample alone, and its result is None if this footage is too short for it
    """

    fit: Callable[[Clips, int, str, Report], Detector]
    refit: bool = True
    least_held_back_s: float = 0.0
    judge: Callable[[Detector, Clips, Report], Detector | None] = lambda detector, _clips, _report: detector
    fit_sample: Callable[[Clips, int, str, Report], Detector] | None = None
    weigh: Callable[[Detector, Clips, Clips, Report], Detector | None] | None = None
    whole_only: bool = False
    whole: Callable[[Detector, float], LearnsAll | None] | None = None


def _motion(clips: Clips, seed: int, device: str, report: Report) -> Detector:  # noqa: ARG001
    from monitor.detector.motion.motion_detector import Motion

    return Motion.fit(clips, seed)


def _sampled_motion(clips: Clips, seed: int, device: str, report: Report) -> Detector:  # noqa: ARG001
    from monitor.detector.motion.motion_detector import Motion

    return Motion.fit(clips, seed, perspective=False)


def _whole_motion(sample: Detector, footage_s: float) -> LearnsAll:  # noqa: ARG001
    from monitor.detector.motion.motion_detector import Motion
    from monitor.detector.motion.whole_motion import WholeMotion

    assert isinstance(sample, Motion)
    return WholeMotion(sample)


def _whole_scene(sample: Detector, footage_s: float) -> LearnsAll | None:  # noqa: ARG001
    from monitor.detector.scene.scene_detector import LEAST_S
    from monitor.detector.scene.whole_scene import WholeScene

    return WholeScene() if footage_s >= LEAST_S else None


def _static(clips: Clips, seed: int, device: str, report: Report) -> Detector:  # noqa: ARG001
    from monitor.detector.static_detector import StaticAge

    return StaticAge.fit(clips)


def _scene(clips: Clips, seed: int, device: str, report: Report) -> Detector:  # noqa: ARG001
    from monitor.detector.scene.scene_detector import Scene

    return Scene.fit(clips, seed)


def _appearance(clips: Clips, seed: int, device: str, report: Report) -> Detector:  # noqa: ARG001
    from monitor.detector.appearance.appearance_detector import Appearance

    return Appearance.fit(clips, seed)


def _weighed_by_synthetic_anomalies(
    detector: Detector, learned: Clips, held_out: Clips, report: Report
) -> Detector | None:
    from monitor.detector.appearance.appearance_detector import Appearance
    from training.learn.appearance_weight import synthetic_auc_of_appearance

    assert isinstance(detector, Appearance)
    auc = synthetic_auc_of_appearance(learned, held_out)
    report.say(f"{detector.name}: AUC {auc:.2f} on synthetic anomalies in held-out footage")
    return detector.with_auc(auc) if auc >= LEAST_AUC_ADDED else None


def _true_sight2(clips: Clips, seed: int, device: str, report: Report, start: Pretrained | None = None) -> Detector:
    from training.learn.fit_clip_net import fit_true_sight2

    return fit_true_sight2(clips, seed=seed, device=device, report=report, start=start)


def _judged_by_synthetic_anomalies(detector: Detector, clips: Clips, report: Report) -> Detector | None:
    from monitor.detector.true_sight2.true_sight2_detector import TrueSight2
    from training.learn.fit_clip_net import synthetic_auc

    assert isinstance(detector, TrueSight2)
    auc = synthetic_auc(detector, clips)
    report.say(f"{detector.name}: AUC {auc:.2f} on synthetic anomalies in held-out footage")
    return detector.with_auc(auc) if auc >= LEAST_AUC else None


LEARNERS = {
    "motion": Learner(_motion, fit_sample=_sampled_motion, whole=_whole_motion),
    "static": Learner(_static),
    "scene": Learner(_scene, whole=_whole_scene),
    "appearance": Learner(_appearance, weigh=_weighed_by_synthetic_anomalies, whole_only=True),
    "true-sight-2": Learner(
        _true_sight2, refit=False, least_held_back_s=LEAST_LEARNING_S, judge=_judged_by_synthetic_anomalies
    ),
}
"""Registry name -> how this detector learns. The fast ones come first."""


def chosen(names: Sequence[str], start: Pretrained | None = None) -> dict[str, Learner]:
    """The learners of these detectors, in the registry's order. Raises UsageError for a name that cannot learn.

    start: weights that the network starts from; None: random ones
    """
    unknown = [name for name in names if name not in LEARNERS]
    if unknown or not names:
        what = f"'{unknown[0]}' is not a detector that can learn" if unknown else "no detector is named"
        raise UsageError(f"{what}: choose from {', '.join(LEARNERS)}")
    found = {name: learner for name, learner in LEARNERS.items() if name in names}
    if start is not None and NETWORK in found:
        found[NETWORK] = replace(found[NETWORK], fit=partial(_true_sight2, start=start))
    return found
