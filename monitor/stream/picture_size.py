"""Is a camera's picture still of the size at which it was learned?"""

from __future__ import annotations

from monitor.states import CameraState
from monitor.types import Health

TOLERANCE = 0.02
"""Difference of width over height, as a share of it, up to which a picture is taken as merely scaled."""

Size = tuple[int, int]
"""(width, height), px."""


def judge_size(learned: Size | None, now: Size) -> Health:
    """Good where nothing is known or nothing has changed; scaled pictures are scored, those of another shape are not.

    Detectors rescale every picture to the size that they know, so only another shape distorts what they see.
    """
    if learned is None or learned == now:
        return Health()
    sizes = f"learned at {learned[0]}x{learned[1]}, now {now[0]}x{now[1]}"
    aspect, was = now[0] / now[1], learned[0] / learned[1]
    if abs(aspect / was - 1.0) <= TOLERANCE:
        return Health(detail=f"{sizes}: scaled")
    return Health(
        CameraState.MISFIT,
        f"{sizes}, which is another shape: give another model with --model, set the camera back, or learn it again; "
        "not scored",
        scored=False,
    )
