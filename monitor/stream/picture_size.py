"""Compares the size of a camera's pictures with the size that was learned."""

from __future__ import annotations

from collections import deque

from monitor.states import CameraState
from monitor.types import Health

TOLERANCE = 0.02
"""Relative difference of the aspect ratio (width / height) up to which a picture counts as only scaled."""

Size = tuple[int, int]
"""(width, height), px."""

_OFTEN, _LATELY_S = 3, 5.0
_FITS_AGAIN_S = 1.0  # as long as pictures must fit before they are scored again


class SizeChanges:
    """Decides whether a picture of another size starts a new segment.

    It does, because a camera that was set anew shows another picture. But if sizes alternate, every frame would start
    a segment, and none could be compared with the one before. So after three changes in 5 s, pictures of the same shape
    continue the segment: detectors scale them. Pictures of another shape never do.
    """

    def __init__(self) -> None:
        self._changed: deque[float] = deque(maxlen=_OFTEN)

    def starts_segment(self, time_s: float, before: Size | None, now: Size) -> bool:
        """Whether the picture at ``time_s``, seconds, cannot continue a segment with pictures of another size."""
        if before is None or before == now:
            return False
        often = len(self._changed) == _OFTEN and time_s - self._changed[0] <= _LATELY_S
        self._changed.append(time_s)
        return not (often and same_shape(before, now))


class Fit:
    """Compares the pictures of one camera with the size that was learned. A verdict lasts: shapes may alternate.

    learned: None if unknown
    """

    def __init__(self, learned: Size | None) -> None:
        self._learned = learned
        self._misfit: Health | None = None  # the last verdict on a picture that does not fit
        self._fits_since_s: float | None = None

    def update(self, time_s: float, now: Size) -> Health:
        """The verdict on the picture at ``time_s``, seconds. After one that does not fit, all must fit for 1 s."""
        verdict = judge_size(self._learned, now)
        if not verdict.scored:
            self._misfit, self._fits_since_s = verdict, None
        if self._misfit is None or not verdict.scored:
            return verdict
        if self._fits_since_s is None:
            self._fits_since_s = time_s
        if time_s - self._fits_since_s < _FITS_AGAIN_S:
            return self._misfit
        self._misfit = None
        return verdict


def same_shape(one: Size, other: Size) -> bool:
    """Whether pictures of these sizes differ only in scale."""
    return abs(one[0] * other[1] / (one[1] * other[0]) - 1.0) <= TOLERANCE


def judge_size(learned: Size | None, now: Size) -> Health:
    """Good if the learned size is unknown or equal. Scaled pictures are scored; pictures of another shape are not.

    Detectors scale every picture to the size that they have learned, so only another shape distorts the picture.
    """
    if learned is None or learned == now:
        return Health()
    sizes = f"learned at {learned[0]}x{learned[1]}, now {now[0]}x{now[1]}"
    if same_shape(learned, now):
        return Health(detail=f"{sizes}: scaled")
    return Health(
        CameraState.MISFIT,
        f"{sizes}: frames of another shape are not scored; give another model with --model, set the camera's picture "
        "size back, or learn the camera again",
        scored=False,
    )
