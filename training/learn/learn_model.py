"""Learns a version of a model from normal footage. Each detector is calibrated on scores of footage it has not seen.

Short footage is cross-fitted, so all of it is used for calibration. If the footage is long, the detectors learn from
chunks spread over it, and other chunks are held out. So memory and time are bounded.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from monitor.detector.base import Detector
from monitor.detector.registry import LEARNED
from monitor.errors import ModelError, UsageError
from monitor.judging.fusion import ModelScale
from monitor.learning.footage import FootageSource
from monitor.model.model_store import CARD_FILE, Provenance, load_model, save_model, utc_now
from monitor.model.model_versions import next_version, prune, remove_model, version_number
from monitor.replay import LIVE_FPS
from monitor.scores.calibration import DAY_S, fit_tail
from monitor.scores.held_out import HeldOut
from monitor.scores.smoothing import SmoothingSettings
from monitor.sources.naming import NAME_RULE, address_mark, is_name
from monitor.sources.source import Source
from monitor.stream.health.viewpoint import Viewpoint
from monitor.text.durations import in_words
from monitor.text.wording import about, counted, joined
from monitor.types import Frame
from training.learn.crossfit import FOLDS, CrossFitted, cross_fit, deal, held_out_of, without
from training.learn.held_out_windows import windows
from training.learn.learners import LEARNERS, NETWORK, Learner, chosen
from training.learn.normal_footage import WHOLE_FRAMES, Normal, Stretch, left_out, read_normal
from training.learn.suitability import check_suitable
from training.learn.time_budget import TimeBudget
from training.learn.trial import why_worse
from training.learn.whole_footage import LearnsAll, read_whole
from training.output import make_writable
from training.progress import Report
from training.provenance import code_commit, names_of_footage

if TYPE_CHECKING:  # networks load slowly
    from training.learn.pretrained_weights import Pretrained

RECOMMENDED_S = 600.0
"""Recommended minimum of footage, seconds. With less, thresholds are unreliable; six times as much is better."""
_READING, _LOOKING, _FITTING = 0.1, 0.05, 0.75
"""Approximate shares of the time to the first version. Scoring held-out windows of long footage takes the rest."""
_FITTING_SLOW, _TRIAL = 0.7, 0.15
"""Approximate shares of fitting a network, and of its trial, in the time from the first to the second version."""
WORKERS = min(3, os.cpu_count() or 1)
"""Processes that fit folds at the same time. Each keeps its footage in memory, so there are at most three."""
_CANDIDATE = "next"
"""Folder of a version that is not used yet."""


@dataclass(frozen=True)
class LearnSettings:
    """What is learned, and where the versions are written.

    name       name of the model; its versions are written to models/name
    detectors  registry names
    device     device that trains networks: cpu, cuda or cuda:N
    from_s, to_s  the part of each source to use, media time in seconds
    workers    processes that fit folds at the same time, in addition to this one
    analysis_fps  frames analysed per second, as in a live run; 0: every frame
    watched    recording of what is watched with the first version while the second is learned; None if there is none
    max_ms     milliseconds per analysed frame that all detectors together may take on one thread; None: no limit
    pretrained  weights that the network starts from; None: random ones
    """

    name: str
    models: Path = Path("models")
    detectors: tuple[str, ...] = LEARNED
    seed: int = 0
    device: str = "cpu"
    from_s: float = 0.0
    to_s: float = np.inf
    false_alarms_per_day: float = 1.0
    workers: int = 1
    analysis_fps: float = LIVE_FPS
    watched: Path | None = None
    max_ms: float | None = None
    pretrained: Pretrained | None = None

    @property
    def folder(self) -> Path:
        """The folder of versions."""
        return self.models / self.name


def check_name(settings: LearnSettings) -> None:
    """Raise UsageError if no versions can be written under this name."""
    if not is_name(settings.name):
        raise UsageError(f"'{settings.name}' is not a valid name for a model: {NAME_RULE}")
    if (settings.folder / CARD_FILE).exists():
        raise UsageError(f"{settings.folder} is a single model, not a folder of versions: choose another --name")
    if settings.folder.exists() and not settings.folder.is_dir():
        raise UsageError(f"{settings.folder} is a file: choose another --name")


def learn(
    sources: Sequence[Source],
    data: Sequence[str],
    settings: LearnSettings,
    report: Report,
    written: Callable[[Path], None] = lambda _: None,
) -> list[Path]:
    """Learn from recorded sources. Write one version, or two if a detector takes minutes to learn.

    data     names of the footage, for the provenance of the model
    written  called with the folder of each version as soon as the version is complete

    Returns the folders of the versions. Raises UsageError for footage that is not suitable; then it writes nothing.
    """
    check_name(settings)
    learners = chosen(settings.detectors, settings.pretrained)
    make_writable(settings.models, "--models")
    started = time.monotonic()
    report.part(_READING)
    normal = read_normal(
        sources, report, from_s=settings.from_s, to_s=settings.to_s, analysis_fps=settings.analysis_fps
    )
    check_suitable(normal)
    report.say(what_was_read(normal, learners))
    if normal.unscored:
        report.say(f"left out, because a live camera would not score them: {left_out(normal.unscored)}")
    if (warning := too_short(normal.footage_s)) is not None:
        report.say(warning)
    recorded_from = {address_mark(s.recorded_from) for s in sources if isinstance(s, FootageSource)}
    fit = _Fit(normal, settings, report)
    fast = {name: learner for name, learner in learners.items() if learner.refit}
    slow = {name: learner for name, learner in learners.items() if not learner.refit}
    for name, learner in list(slow.items()) if fast else ():
        if round(fit.held_back_s) < learner.least_held_back_s:
            report.say(
                f"warning: '{name}' is left out: one quarter of the footage is held out to test it, and "
                f"{fit.held_back_s:.0f} s are too short; give at least {FOLDS * learner.least_held_back_s:.0f} s"
            )
            del slow[name]
    versions: list[Path] = []
    for group in filter(None, (fast, slow)):
        if not fit.add(group) and versions:
            break  # it would equal the version that is already written
        candidate = _write(fit, data, settings, recorded_from, group)
        if candidate is None:
            break
        if versions and (why := _on_trial(fit, versions[-1], candidate, settings, report)) is not None:
            remove_model(candidate)
            report.say(f"warning: the version with {joined(tuple(group))} is not used: {why}")
            break
        version = next_version(settings.folder)
        candidate.rename(version)
        prune(settings.folder)
        versions.append(version)
        report.say(f"version {version_number(version)} written to {version} after {time.monotonic() - started:.0f} s")
        written(version)
        if group is fast and slow:
            report.say("the monitor can use it now; a network is still learning, which takes one or two minutes")
    report.complete()
    report.say(what_is_supported(versions[-1], settings))  # less footage is held out for a network
    return versions


class _Fit:
    """Fits detectors one after another and keeps the held-out scores of all of them on one time axis."""

    def __init__(self, normal: Normal, settings: LearnSettings, report: Report) -> None:
        self.normal = normal
        self._settings, self._report = settings, report
        self._pieces = deal([len(stretch) for stretch in normal.stretches])
        self._windows = [] if normal.whole else windows(normal, normal.frames / max(normal.kept_s, 1e-3))
        report.part(_LOOKING)
        with report.steps("learning what the camera shows", None):
            self.viewpoint = Viewpoint.learn(normal.stretches)
        self._fitted: list[CrossFitted] = []
        self._left_out: set[str] = set()
        self._scored: HeldOut | None = None
        self._budget = TimeBudget(settings.max_ms, normal.stretches, settings.seed, report)

    @property
    def detectors(self) -> list[Detector]:
        """The detectors that can judge this footage."""
        return [fitted.detector for fitted in self._fitted]

    @property
    def held_back_s(self) -> float:
        """Seconds of footage that are held out for a detector that is fitted only once."""
        return sum(stretch.duration_s for stretch in self._never_learned())

    def add(self, learners: Mapping[str, Learner]) -> bool:
        """Fit more detectors; they also score short footage now. Returns False if none of them is kept.

        A detector that cannot be learned from this footage is reported and left out. Raises UsageError if none is left.
        """
        before = len(self._fitted)
        refused: UsageError | None = None
        fast = all(learner.refit for learner in learners.values())
        steps = len(learners) * (1 if self._windows else len({piece.fold for piece in self._pieces}) + 1)
        rest = 0.0 if self._windows else 1.0  # of short footage, fitting also scores what is held out
        self._report.part(max(rest - _READING - _LOOKING, _FITTING) if fast else max(rest, _FITTING_SLOW))
        # A detector that takes minutes to learn reports its own progress.
        what = f"learning {joined(tuple(learners))}"
        with self._report.steps(what, steps) if fast else nullcontext(_nothing) as step:
            for name, learner in learners.items():
                try:
                    fitted = self._fit(learner, step)
                    kept = self._judged(learner, fitted.detector)
                except UsageError as error:  # footage too short for this one can be enough for others
                    refused = refused or error
                    self._report.say(f"warning: '{name}' is left out: {error}")
                    continue
                if kept is not None:
                    self._fitted.append(replace(fitted, detector=kept))
                else:
                    self._report.say(f"warning: '{name}' did not learn well enough from this footage and is left out")
        if not self._fitted:
            raise refused or UsageError(
                f"{joined(tuple(learners))} did not learn well enough from this footage: give longer footage, or learn "
                "other detectors too (--detectors)"
            )
        return len(self._fitted) > before

    def _judged(self, learner: Learner, detector: Detector) -> Detector | None:
        """The detector to keep, with its weight, or None if it did not learn well enough."""
        if learner.weigh is None:
            return learner.judge(detector, self._never_learned(), self._report)
        others = without(self.normal.stretches, self._pieces, FOLDS - 1)
        return learner.weigh(detector, others, self._never_learned(), self._report)

    def _fit(self, learner: Learner, step: Callable[[], None]) -> CrossFitted:
        """Raises UsageError if the detector cannot learn from this footage."""
        settings, stretches = self._settings, self.normal.stretches
        if learner.whole_only and self._windows:
            raise UsageError(f"it learns from at most {in_words(WHOLE_FRAMES / LIVE_FPS)} of footage; give less")
        learn_from = learner.fit_sample if self._windows and learner.fit_sample is not None else learner.fit

        def fit(clips: Sequence[Sequence[Frame]]) -> Detector:
            return learn_from(clips, settings.seed, settings.device, self._report)

        if self._windows:
            detector = fit(stretches if learner.refit else without(stretches, self._pieces, FOLDS - 1))
            step()
            return CrossFitted(detector, [])
        return cross_fit(
            stretches,
            self._pieces,
            fit,
            refit=learner.refit,
            workers=settings.workers,
            step=step,
            say=self._report.say,
        )

    def _never_learned(self) -> list[Stretch]:
        """The footage that is held out for a detector that is fitted only once."""
        stretches = self.normal.stretches
        last = [piece for piece in self._pieces if piece.fold == FOLDS - 1]
        return [stretches[p.stretch][p.start : p.stop] for p in last if p.stop - p.start > 1]

    def held_out(self) -> HeldOut:
        """The scores of all detectors, each on footage that it has not seen."""
        if not self._windows:
            return held_out_of(self.normal.stretches, self._pieces, self._fitted)
        self._report.part(1.0 - (_READING + _LOOKING + _FITTING if self._scored is None else _FITTING_SLOW + _TRIAL))
        before = self._scored
        found = self._read_whole(before.scores if before is not None else {})
        if before is not None and not np.array_equal(before.time_s, found.time_s):
            found = self._read_whole({})  # other frames were readable this time
        elif before is not None:
            found = replace(found, scores={**before.scores, **found.scores})
        self._scored = found
        return found

    def _read_whole(self, known: Mapping[str, object]) -> HeldOut:
        """Read all of the footage for the detectors whose scores are not known."""
        fresh = [detector for detector in self.detectors if detector.name not in known]
        learning = {d.name: learns for d in fresh if (learns := self._learns_all(d)) is not None}
        whole = read_whole(
            self.normal,
            self._windows,
            [detector for detector in fresh if detector.name not in learning],
            list(learning.values()),
            self._report,
            self.viewpoint,
            self._settings.analysis_fps,
        )
        learned = {detector.name: detector for detector in whole.detectors}
        self._fitted = [replace(each, detector=learned.get(each.detector.name, each.detector)) for each in self._fitted]
        return whole.held_out

    def _learns_all(self, sample: Detector) -> LearnsAll | None:
        whole = LEARNERS[sample.name].whole
        return None if whole is None else whole(sample, self.normal.footage_s)

    def usable(self, held_out: HeldOut) -> list[Detector]:
        """The detectors with held-out scores that give a threshold, and that fit into the budget of time.

        The others are reported and left out. Raises UsageError if none is left.
        """
        found: list[Detector] = []
        unshown: list[Detector] = []
        why = ""
        share = self._settings.false_alarms_per_day / len(self.detectors)
        clips_s = {detector.name: _longest_clip_s(held_out, detector.name) for detector in self.detectors}
        for detector in self.detectors:
            try:
                tail = fit_tail(held_out, detector.name, SmoothingSettings().smoother, detector.min_threshold)
                threshold = tail.scale(detector.name, share).threshold
            except ModelError as error:
                why = str(error)
                self._leave_out(detector, why)
                continue
            (found if detector.shown_by(clips_s[detector.name], threshold) else unshown).append(detector)
        if not found and not unshown:
            raise UsageError(f"this footage is not suitable for learning: {why}")
        for detector in unshown if found else ():
            pieces = f"held-out pieces of {in_words(clips_s[detector.name])}"
            self._leave_out(detector, f"{pieces} are too short to show how often it raises false alarms")
        return self._budget.keep(found or unshown)

    def _leave_out(self, detector: Detector, why: str) -> None:
        """Report that a detector is left out, but not again for the second version."""
        if detector.name not in self._left_out:
            self._left_out.add(detector.name)
            self._report.say(f"warning: '{detector.name}' is left out: {why}")


def _longest_clip_s(held_out: HeldOut, detector: str) -> float:
    """Seconds of the longest clip that a detector has scored."""
    known = np.isfinite(held_out.scores[detector])
    times, clips = held_out.time_s[known], held_out.clip[known]
    return max((float(np.ptp(times[clips == clip])) for clip in np.unique(clips)), default=0.0)


def _nothing() -> None:
    pass


def _on_trial(fit: _Fit, before: Path, candidate: Path, settings: LearnSettings, report: Report) -> str | None:
    """Why the candidate is worse than the version before it, in words; None if it is not."""
    report.part(1.0 - _FITTING_SLOW if fit.normal.whole else _TRIAL)
    return why_worse(
        load_model(before),
        load_model(candidate),
        fit.normal.stretches,
        report,
        false_alarms_per_day=settings.false_alarms_per_day,
        watched=settings.watched,
        analysis_fps=settings.analysis_fps,
    )


def _write(
    fit: _Fit, data: Sequence[str], settings: LearnSettings, recorded_from: set[str | None], group: Collection[str]
) -> Path | None:
    """Write the next version beside the others. It becomes one of them when it is renamed.

    group: the detectors that it adds. Returns None if none of them is used.
    """
    held_out = fit.held_out()
    detectors = fit.usable(held_out)
    if not any(detector.name in group for detector in detectors):
        return None
    held_out = replace(held_out, scores={d.name: held_out.scores[d.name] for d in detectors})
    normal = fit.normal
    candidate = settings.folder / _CANDIDATE
    notes: dict[str, str | int | float] = {
        "version": version_number(next_version(settings.folder)),
        "width": normal.size[0],
        "height": normal.size[1],
        "footage_s": round(normal.footage_s, 1),
        "learned_s": round(normal.kept_s, 1),
        "cross_fitted": int(normal.whole),
        "analysis_fps": settings.analysis_fps,
    }
    if settings.pretrained is not None and any(detector.name == NETWORK for detector in detectors):
        notes["pretrained"] = str(settings.pretrained)
    if len(recorded_from) == 1 and (mark := next(iter(recorded_from))) is not None:
        notes["source"] = mark
    provenance = Provenance(
        recipe="learn",
        data=names_of_footage(data),
        frames=normal.frames,
        seed=settings.seed,
        commit=code_commit(),
        device=settings.device,
        trained_at=utc_now(),
        notes=notes,
    )
    save_model(candidate, settings.name, detectors, held_out, provenance, fit.viewpoint)
    return candidate


def what_was_read(normal: Normal, learners: Mapping[str, Learner] = LEARNERS) -> str:
    """The length of the footage and how it is used, as text."""
    total = f"footage: {in_words(normal.footage_s)} of {normal.size[0]}x{normal.size[1]}"
    if len(normal.sources) > 1:
        total += f" in {counted(len(normal.sources), 'file')}"
    if normal.whole:
        return f"{total}: detectors learn from all of it; each part is scored by detectors that learned from the others"
    whole = tuple(name for name, learner in learners.items() if learner.whole is not None)
    everything = f"{joined(whole)} learn from all of it, the others" if whole else "detectors learn"
    return f"{total}: {everything} from {in_words(normal.kept_s)} spread over it; other parts are held out"


def too_short(footage_s: float) -> str | None:
    """A warning if the footage, in seconds, is shorter than recommended; otherwise None."""
    if footage_s >= RECOMMENDED_S:
        return None
    return (
        f"warning: {in_words(footage_s)} of footage is short: normal events that it does not show will raise alarms; "
        f"give at least {in_words(RECOMMENDED_S)}, better an hour, that shows everything that is normal for this camera"
    )


def what_is_supported(version: Path, settings: LearnSettings) -> str:
    """The false-alarm rate that the held-out footage can confirm, as text. A run with this version reports it too."""
    model = load_model(version)
    scale = ModelScale(model, settings.false_alarms_per_day, SmoothingSettings())
    shown = scale.supported_per_day
    least = max(scale.scales, key=lambda name: scale.scales[name].supported_per_day)
    once = [name for name in scale.senses[least].members if not LEARNERS[name].refit]
    held = f"held out: {in_words(DAY_S / shown)}"
    if once:
        held += f" that {joined(once)} has not learned from"
    return (
        f"{held}, which can confirm no rate below {about(shown)} false alarms per day; a threshold for a lower rate is "
        "an estimate: longer footage makes it more reliable"
    )
