"""Loads each model, compares its held-out footage with the false-alarm budget, and times it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import count
from pathlib import Path
from statistics import median

from monitor.app.config import MonitorConfig
from monitor.app.doctor.finding_report import Finding, ModelFacts, State, from_error
from monitor.app.doctor.rate_check import PICTURES, silent_detectors, street
from monitor.detector.network_threads import one_thread_per_network
from monitor.errors import ModelError, UsageError
from monitor.judging.fusion import ModelScale
from monitor.judging.scorer import Scorer
from monitor.learning.learning_plan import LEAST_LEARNING_S
from monitor.model.model_store import CARD_FILE, COPY_AGAIN, Model, load_model
from monitor.scores.calibration import DAY_S
from monitor.stream.picture_size import Size, judge_size
from monitor.text.commands import learn_command
from monitor.text.durations import in_words
from monitor.text.redaction import redact
from monitor.text.wording import about, counted
from monitor.types import Frame

EVERY_FRAME_FPS = 25.0
"""Assumed frames per second of a camera if ``analysis_fps = 0``."""
_WARM_UP = 8
_TIMED = 40
_TIMED_S = 2.0
_NO_STEPS: Mapping[str, float] = {}


def check_model(
    folder: Path, size: tuple[int, int], settings: MonitorConfig, device: str, steps_s: Mapping[str, float] = _NO_STEPS
) -> Finding:
    """Check a model folder: what it contains, whether it fits the budget, and how fast it scores frames of ``size``.

    size     (width, height) in pixels
    device   a device that exists
    steps_s  camera name -> seconds between two of its analysed frames, to find out which detectors can judge them
    """
    damaged: list[tuple[ModelError, Path]] = []
    try:
        model = load_model(folder, device, on_damage=lambda error, used: damaged.append((error, used)))
        scale = ModelScale(model, settings.false_alarms_per_day, settings.smoothing, settings.alert.lasting)
    except ModelError as error:
        if not folder.is_dir():
            return from_error("model", str(folder), error)
        return Finding("model", str(folder), State.PROBLEM, *_damage(error))
    except UsageError as error:  # the device cannot be used
        return from_error("model", str(folder), error)
    fps = settings.analysis_fps or EVERY_FRAME_FPS
    ms = _milliseconds_a_frame(model, size, fps)
    facts = ModelFacts(
        id=model.id,
        trained_at=model.provenance.trained_at,
        data=tuple(model.provenance.data),
        frames=model.provenance.frames,
        detectors=tuple(detector.name for detector in model.detectors),
        held_out_s=DAY_S / scale.supported_per_day,
        supported_per_day=scale.supported_per_day,
        device=", ".join(sorted({detector.device for detector in model.detectors})),
        width=size[0],
        height=size[1],
        learned_size=model.learned_size,
        ms_a_frame=ms,
        analysis_fps=fps,
        cameras_a_thread=int(1000.0 / (ms * fps)),
        silent={name: silent_detectors(model, size, step_s) for name, step_s in steps_s.items()},
    )
    finding = judge_model(facts, settings.false_alarms_per_day)
    for damage, used in damaged:
        found, mend = _damage(damage)
        found = f"{found}; a run uses the older version {used.name}: {finding.found}"
        finding = replace(finding, state=State.WARNING, found=found, mend="; ".join(filter(None, (mend, finding.mend))))
    return finding


def _damage(error: ModelError) -> tuple[str, str]:
    """What is wrong with a damaged model, and what to do."""
    found, copy, more = str(error).partition(f"; {COPY_AGAIN}")
    return found, f"{COPY_AGAIN}{more}" if copy else f"{COPY_AGAIN}, or train it again"


def judge_model(facts: ModelFacts, false_alarms_per_day: float) -> Finding:
    """Check whether the model has enough held-out footage for the false-alarm budget, and holds no password."""
    data = facts.data[0] if facts.data else "unknown footage"
    more = f" and {len(facts.data) - 1} more" if len(facts.data) > 1 else ""
    keeps_up = counted(facts.cameras_a_thread, "camera")
    found = (
        f"{' + '.join(facts.detectors)}, trained {facts.trained_at[:10]} on {facts.frames:,} frames of {data}{more}, "
        f"{_duration(facts.held_out_s)} held out; {facts.ms_a_frame:.1f} ms per frame of {facts.width}x{facts.height} "
        f"on {facts.device}: one thread scores {keeps_up} at {facts.analysis_fps:g} frames per second"
    )
    mends = []
    if any(redact(part) != part for part in facts.data):  # an earlier version wrote down what the user had typed
        mends.append(
            f"its {CARD_FILE} holds the address of a camera, which may hold a password: delete it under 'data'"
        )
    if facts.supported_per_day > false_alarms_per_day:
        mends.append(
            f"train it on longer normal footage: the threshold for {counted(false_alarms_per_day, 'false alarm')} per "
            f"day is extrapolated, the held-out footage confirms at best {about(facts.supported_per_day)} per day"
        )
    return Finding("model", facts.id, State.WARNING if mends else State.OK, found, "; ".join(mends), facts)


def judge_load(cameras: Mapping[str, float], decode_cores: float, cores: int, analysis_fps: float) -> Finding:
    """Check whether this machine keeps up with its live cameras.

    cameras       camera name -> milliseconds per frame of its model
    decode_cores  cores needed to decode all cameras
    """
    fps = analysis_fps or EVERY_FRAME_FPS
    share = sum(cameras.values()) * fps / 1000.0
    found = (
        f"{counted(len(cameras), 'live camera')} at {fps:g} frames per second: {100 * share:.0f} % of the inference "
        f"thread, decoding takes {decode_cores:.1f} of {cores} cores"
    )
    mends = []
    if share > 0.8:
        mends.append(
            f"set analysis_fps = {max(1, int(0.8 * fps / share))}, or run on a GPU; else old frames are dropped"
        )
    if decode_cores > 0.7 * cores:
        mends.append("use the cameras' sub-streams")
    return Finding("load", "", State.WARNING if mends else State.OK, found, "; ".join(mends))


def _milliseconds_a_frame(model: Model, size: tuple[int, int], fps: float) -> float:
    """Median time to score one frame alone, on one thread as in a run. In milliseconds."""
    one_thread_per_network()
    images = street(size, fps)
    scorer = Scorer({"probe": model})
    took: list[float] = []
    until = time.monotonic() + _TIMED_S
    for number in count():
        frame = Frame("probe", number, number / fps, images[number % PICTURES])
        started = time.perf_counter()
        scorer.score([frame])
        took.append(1000.0 * (time.perf_counter() - started))
        if len(took) >= _WARM_UP + _TIMED or (len(took) > _WARM_UP and time.monotonic() > until):
            break
    return median(took[_WARM_UP:])


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def misfit(name: str, learned: Size | None, now: Size) -> Finding | None:
    """A problem if a camera's frames have another shape than those its model learned from; otherwise None."""
    verdict = judge_size(learned, now)
    if learned is None or verdict.scored:
        return None
    found = f"its frames are {now[0]}x{now[1]}, its model learned {learned[0]}x{learned[1]}, another shape: no frame "
    mend = f"use --model with the model that was learned from it, or learn it again: `{learn_command(name)}`"
    return Finding("model", name, State.PROBLEM, f"{found}is scored", mend)


def too_short_to_learn(name: str, length_s: float, learn_s: float, *, loop: bool) -> Finding:
    """A finding for a recording without a model that is shorter than the learning time.

    length_s  seconds of the recording
    learn_s   learning time in seconds
    loop      True if the recording is replayed when it ends
    """
    found = f"no model for it yet, and its {in_words(length_s)} are shorter than the {in_words(learn_s)} of learning"
    mend = f"learn from more normal footage of it: `{learn_command()}`"
    if length_s < LEAST_LEARNING_S:
        found += f" and the minimum of {in_words(LEAST_LEARNING_S)}"
    elif loop:
        return Finding("model", name, State.WARNING, f"{found}: a run learns from all of it", mend)
    else:
        mend = f"give --learn a shorter time (at least {in_words(LEAST_LEARNING_S)}), or {mend}"
    return Finding("model", name, State.PROBLEM, f"{found}: a run ends before it watches it", mend)


def no_model(names: Sequence[str], learn_s: float) -> Finding:
    """A warning for cameras without a model: they learn first."""
    return Finding(
        "model",
        "",
        State.WARNING,
        f"no model for {', '.join(names)} yet: everything in the first {in_words(learn_s)} will count as normal",
        "make sure that nothing unusual happens during this time, or learn from footage that you have: "
        f"`{learn_command()}`",
    )
