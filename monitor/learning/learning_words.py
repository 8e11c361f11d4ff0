"""The sentences that a user reads about a camera that learns. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from pathlib import Path

from monitor.learning.learning_plan import LEAST_LEARNING_S, LearningPlan
from monitor.states import CameraState
from monitor.text.commands import learn_command, training_command
from monitor.text.durations import in_words
from monitor.text.wording import counted, joined

RECORDING = "recording normal footage"
LEARNING = "learning what is normal"


def begins(plan: LearningPlan, recorded_s: float, *, again: bool) -> str:
    """What will be done, logged at the start.

    recorded_s  seconds recorded by an earlier run
    again       True if an earlier run of the file ended before it had learned
    """
    if plan.again and not plan.resumed and recorded_s == 0:
        start = f"next {in_words(plan.duration_s)}" if plan.hold is None else "beginning of the file"
        return f"learns again, from the {start}; it is not watched until then, and its older versions stay"
    if plan.resumed:
        return "the last run ended before everything was learned: the rest is learned now from the recorded footage"
    if recorded_s > 0:
        return f"continues learning, {in_words(recorded_s)} of footage are already recorded"
    if plan.hold is None:
        return f"learns what is normal from the next {in_words(plan.duration_s)}, then watches"
    last = "the last run ended before it had learned: reads the file again, " if again else ""
    return f"{last}learns what is normal from the first {in_words(plan.duration_s)} of the file, then watches the rest"


def recording(plan: LearningPlan, to_come_s: float) -> str:
    """The state of the recording. The words change at most once per minute, because they are published."""
    if plan.hold is not None:
        return reading(plan)
    left = f"{-int(-to_come_s // 60)} min" if to_come_s > 60 else "less than a minute"
    return f"{RECORDING}, {left} still to record"


def reading(plan: LearningPlan) -> str:
    """The step in which a file is read."""
    return f"reading the first {in_words(plan.duration_s)} to learn what is normal"


def learns_from_all(plan: LearningPlan, seen_s: float) -> str:
    """Logged for a looped file that is shorter than the learning time."""
    seen, wanted = in_words(seen_s), in_words(plan.duration_s)
    return f"the file is {seen} long, less than the {wanted} to learn from: learns from the whole file"


def left_out(plan: LearningPlan, seen_s: float, frames: Mapping[CameraState, int]) -> str:
    """Logged at the end of a recording from which frames were left out; "" if there were none.

    frames: number of frames that were not scored, by state
    """
    if not any(frames.values()):
        return ""
    named = {state: "unsteady or corrupted" if state is CameraState.ONLINE else state for state in frames}
    what = joined([f"{counted(number, 'frame')} {named[state].replace('_', ' ')}" for state, number in frames.items()])
    left = f"{what}: left out of learning, because they are not scored"
    if plan.hold is None or seen_s >= plan.duration_s - 1.0:
        return left
    return (
        f"{left}, so it learns from {in_words(seen_s)} instead of {in_words(plan.duration_s)}; if that is too little, "
        "give --learn a longer time"
    )


def stopped_recording(seen_s: float) -> str:
    """What happens to a recording that the end of the run interrupts."""
    return f"{in_words(seen_s)} of normal footage are kept, and the next run continues the recording"


def stopped_learning(plan: LearningPlan) -> str:
    """What the next run does if this run ends before the first version was written."""
    again = "learns from the recorded footage" if plan.hold is None else "reads the file again"
    return f"stopped before it had learned: the next run {again}"


def stopped_refining(plan: LearningPlan) -> str:
    """What the next run does if this run ends before the last version was written."""
    return f"stopped before everything was learned: the next run learns the rest, or learn it now: {_by_hand(plan)}"


def recording_pauses(problem: str) -> str:
    """Logged when the recording stops for a while, and when it continues (problem: "")."""
    return f"{problem}; trying again every half minute" if problem else "normal footage is recorded again"


def failed_for_now(why: str, times: int) -> str:
    """The state of a camera that waits for another try to learn."""
    return f"{LEARNING} failed ({why}); it is tried again, so far {counted(times, 'failure')}"


def tries_again(why: str, delay_s: float, times: int) -> str:
    """Logged when learning failed for a reason that may pass."""
    return f"{LEARNING} failed ({why}); trying again in {in_words(delay_s)}, after {counted(times, 'failure')}"


def failed(plan: LearningPlan, why: str, *, recorded: bool) -> str:
    """Why nothing could be learned, and how to try again. recorded: True if there is footage, which is kept."""
    again = f"to record again, delete {plan.footage}"
    retry = f"to try again, run {_by_hand(plan)}; {again}"
    if "needs at least" in why:  # another try with the same footage would fail in the same way
        retry = f"{again}, and give a longer --learn ([learning] duration_s)"
    return f"nothing could be learned: {why}" + (f"; the recorded footage is kept: {retry}" if recorded else "")


def rolled_back(version: Path, aside: Path, why: str) -> str:
    """Why a version is not used any more, and where it is kept."""
    return f"went back to the version before {version.name}: {why}; the worse version is kept in {aside}"


def over_too_soon(plan: LearningPlan, seen_s: float) -> str:
    """Why nothing could be learned from a file that is too short, and what to do."""
    begin, least = f"there is no model for it, and {in_words(seen_s)} of it are", in_words(LEAST_LEARNING_S)
    command = f"`{learn_command(plan.name)}`"
    if seen_s < LEAST_LEARNING_S:
        return (
            f"{begin} too little to learn from (more than {least} are needed): learn from longer normal footage of the "
            f"camera with {command}"
        )
    return (
        f"{begin} shorter than the {in_words(plan.duration_s)} to learn from: give --learn a shorter time (at least "
        f"{least}), or learn from longer normal footage with {command}"
    )


def _by_hand(plan: LearningPlan) -> str:
    words = shlex.join([str(plan.footage), "--name", plan.name, "--models", str(plan.folder.parent)])
    return f"`{training_command(f'learn {words}')}`"
