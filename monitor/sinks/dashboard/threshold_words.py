"""Says what the threshold of 1.00 is worth: a rate of false alarms only if the learned footage bears it. Pure."""

from __future__ import annotations

import time
from collections.abc import Sequence

from monitor.reports import CameraReport
from monitor.text.wording import counted


def threshold_words(cameras: Sequence[CameraReport], false_alarms_per_day: float | None, now: float) -> str:
    """The meaning of a score of 1.00 for these cameras. now: unix time, seconds.

    false_alarms_per_day: None if the cameras' budgets differ
    While a camera learns, the rate is not reliable: the time is the earliest at which this can change.
    """
    budget = "the budget of each camera"
    if false_alarms_per_day is not None:
        budget = f"{counted(false_alarms_per_day, 'false alarm')} per day"
    learning = [camera.progress for camera in cameras if camera.progress is not None]
    if learning:
        left_s = max((progress.left_s for progress in learning if progress.left_s is not None), default=None)
        if left_s is None:
            return "still learning, not reliable yet"
        return f"still learning, not reliable before {time.strftime('%H:%M', time.localtime(now + left_s + 59))}"
    if any(camera.rests_on_s is not None for camera in cameras):
        return f"1.00 = estimate of {budget}"
    return f"1.00 = {budget}"
