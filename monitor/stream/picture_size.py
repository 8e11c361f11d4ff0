"""Compares the size of a camera's pictures with the size that was learned."""

from __future__ import annotations

from monitor.states import CameraState
from monitor.types import Health

TOLERANCE = 0.02
"""Relative difference of the aspect ratio (width / height) up to which a picture counts as only scaled."""

Size = tuple[int, int]
"""(width, height), px."""


def judge_size(learned: Size | None, now: Size) -> Health:
    """Good if the learned size is unknown or equal. Scaled pictures are scored; pictures of another shape are not.

    Detectors scale every picture to the size that they have learned, so only another shape distorts the picture.
    """
    if learned is None or learned == now:
        return Health()
    sizes = f"learned at {learned[0]}x{learned[1]}, now {now[0]}x{now[1]}"
    aspect, was = now[0] / now[1], learned[0] / learned[1]
    if abs(aspect / was - 1.0) <= TOLERANCE:
        return Health(detail=f"{sizes}: scaled")
    return Health(
        CameraState.MISFIT,
        f"{sizes}: frames of another shape are not scored; give another model with --model, set the camera's picture "
        "size back, or learn the camera again",
        scored=False,
    )
