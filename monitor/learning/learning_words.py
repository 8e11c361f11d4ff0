"""What people are told of a camera that learns. Pure."""

from __future__ import annotations

from monitor.learning.learning_plan import LEAST_LEARNING_S, LearningPlan
from monitor.text.commands import learn_command, python_command
from monitor.text.durations import in_words

RECORDING = "recording what is normal"
LEARNING = "working out what is normal"


def begins(plan: LearningPlan, recorded_s: float, *, again: bool) -> str:
    """What it sets out to do. recorded_s: by an earlier run, seconds; again: that one ended before it had learned."""
    if plan.resumed:
        return "the last run ended before all was learned: it is learned now, from what was recorded"
    if recorded_s > 0:
        return f"goes on learning, {in_words(recorded_s)} are recorded"
    if plan.hold is None:
        return f"learns what is normal for {in_words(plan.duration_s)}, then watches"
    last = "the last run ended before it had learned: reads the file again, " if again else ""
    return f"{last}learns what is normal from the first {in_words(plan.duration_s)} of it, then watches the rest"


def recording(plan: LearningPlan, to_come_s: float) -> str:
    """What it records: words that change no more than once a minute, since they are published."""
    if plan.hold is not None:
        return reading(plan)
    left = f"{-int(-to_come_s // 60)} min" if to_come_s > 60 else "less than a minute"
    return f"{RECORDING}, {left} still to record"


def reading(plan: LearningPlan) -> str:
    """What it reads of a file."""
    return f"reading the first {in_words(plan.duration_s)}, to learn what is normal"


def learns_from_all(plan: LearningPlan, seen_s: float) -> str:
    """Of a file in a loop that began anew before there was enough of it."""
    seen, wanted = in_words(seen_s), in_words(plan.duration_s)
    return f"it is {seen} long, less than the {wanted} to learn from: learns from all of it"


def stopped_recording(seen_s: float) -> str:
    """What becomes of a recording that the end of the run interrupts."""
    return f"{in_words(seen_s)} of normal footage are kept, the next run goes on from there"


def stopped_learning(plan: LearningPlan) -> str:
    """What the next run does where this one ends before the first version."""
    again = "learns from what was recorded" if plan.hold is None else "reads the file again"
    return f"stopped before it had learned: the next run {again}"


def stopped_refining(plan: LearningPlan) -> str:
    """The same before the last version."""
    return f"stopped before all was learned: the next run goes on with the rest, or learn it now: {_by_hand(plan)}"


def failed(plan: LearningPlan, why: str, *, recorded: bool) -> str:
    """Why nothing could be learned; recorded: from footage that is kept."""
    retry = f"{_by_hand(plan)} tries again, or delete that folder to record anew"
    return f"nothing could be learned: {why}" + (f"; what was recorded is kept: {retry}" if recorded else "")


def over_too_soon(plan: LearningPlan, seen_s: float) -> str:
    """Why nothing could be learned of a file that ended before there was enough of it, and what to do."""
    begin, least = f"there is no model for it, and {in_words(seen_s)} of it are", in_words(LEAST_LEARNING_S)
    command = f"`{learn_command(plan.name)}`"
    if seen_s < LEAST_LEARNING_S:
        return (
            f"{begin} too little to learn from (more than {least} are needed): learn from longer normal footage of the "
            f"camera with {command}"
        )
    return (
        f"{begin} shorter than the {in_words(plan.duration_s)} to learn from: give --learn a shorter time ({least} is "
        f"the least), or learn from normal footage with {command}"
    )


def _by_hand(plan: LearningPlan) -> str:
    return f"`{python_command(f'-m training learn {plan.footage} --name {plan.name} --models {plan.folder.parent}')}`"
