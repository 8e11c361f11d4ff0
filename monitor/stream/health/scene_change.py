"""Detects a change of the whole picture, for example by infrared, a light or a curtain: not an event in the scene."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import cv2
import numpy as np

from monitor.stream.health.health_view import Look
from monitor.types import FloatArray, Image

_GRID = (16, 9)  # blocks of 5 px of a thumbnail
_BACK_S = 1.0  # a frame is compared with the frame 1 s before: a camera's exposure needs about a second to adapt
_CONFIRM_S = 0.3  # a shorter change comes from one or a few corrupted frames
_FLICKER_S, _OFTEN, _FEWEST = 3.0, 0.4, 5  # ... unless such frames repeat
_EPSILON_S = 1e-6  # rounding tolerance: times are sums of frame durations
_SAME_SCENE = 0.3  # correlation of the details before and after; between day and infrared it is 0.4 to 0.9
_GREY, _COLOURFUL = 6.0, 15.0  # grey levels between the channels of a block: infrared has none in any block
_SETTLING = "scoring pauses until it has settled"


@dataclass(frozen=True, slots=True)
class _Seen:
    time_s: float
    blocks: Image  # (9, 16, 3) uint8 BGR
    detail: FloatArray
    dark: bool

    @property
    def chroma(self) -> float:
        """The strongest colour of a block, grey levels between its channels."""
        return float(np.ptp(self.blocks.astype(np.int16), axis=2).max())


class SceneChange:
    """Distinguishes a change of light from an object that fills the picture, and from single corrupted frames.

    share     more than this share of the blocks must change within a second
    levels    a block's mean must change by more than this in one of its channels, grey levels
    settle_s  seconds for which a change still counts after the picture has become steady
    """

    def __init__(self, share: float, levels: float, settle_s: float) -> None:
        self._share, self._levels, self._settle_s = share, levels, settle_s
        self.reset()

    def reset(self) -> None:
        """Forget the past: the next frames are unrelated to the earlier ones."""
        self._past: deque[_Seen] = deque()
        self._recent: deque[tuple[float, bool]] = deque()  # (seconds, differs from the frame 1 s before)
        self._unlike_since_s: float | None = None
        self._changed_s: float | None = None  # when a confirmed change was last seen to continue
        self._chroma = 0.0  # ... and the strongest colour of the picture before it
        self.sentence = ""

    def update(self, time_s: float, look: Look, dark: bool) -> bool:
        """Whether the frame at ``time_s`` is part of a change. ``sentence`` describes the change once it is confirmed.

        dark: the frame is black, so there is no scene to compare.
        If True, the frame must not be scored. Before the change is confirmed, the frame may be part of one. After
        that, nothing known about the picture before applies to the new picture.
        """
        blocks = np.asarray(cv2.resize(look.thumbnail, _GRID, interpolation=cv2.INTER_AREA), np.uint8)
        now = _Seen(time_s, blocks, look.detail, dark)
        while len(self._past) > 1 and time_s - self._past[1].time_s >= _BACK_S:
            self._past.popleft()
        before = self._past[0] if self._past else now
        unlike = self._is_changed(before, now)
        if self._changed_s is None:
            if not self._is_confirmed(time_s, unlike):
                if not unlike:
                    self._past.append(now)
                return unlike
            self._chroma = before.chroma
            self._past.clear()
            self._changed_s = time_s
        elif unlike or self._is_changed(self._past[-1], now):  # a flickering picture may look the same one second later
            self._changed_s = time_s
        elif time_s - self._changed_s >= self._settle_s - _EPSILON_S:
            self.reset()
            self._past.append(now)
            return False
        self._past.append(now)
        self.sentence = self._in_words(now.chroma)
        return True

    def _is_changed(self, before: _Seen, now: _Seen) -> bool:
        change = cv2.absdiff(before.blocks, now.blocks).max(axis=2)
        if float((change > self._levels).mean()) <= self._share:
            return False
        return before.dark or now.dark or float(before.detail @ now.detail) >= _SAME_SCENE

    def _is_confirmed(self, time_s: float, unlike: bool) -> bool:
        self._recent.append((time_s, unlike))
        while time_s - self._recent[0][0] > _FLICKER_S:
            self._recent.popleft()
        if not unlike:
            self._unlike_since_s = None
        elif self._unlike_since_s is None:
            self._unlike_since_s = time_s
        elif time_s - self._unlike_since_s >= _CONFIRM_S - _EPSILON_S:
            return True
        often = sum(was for _, was in self._recent)
        return often >= max(_FEWEST, _OFTEN * len(self._recent))

    def _in_words(self, chroma: float) -> str:
        """Infrared is named only if every part of the picture is without colour: a white car covers only a part."""
        if self._chroma >= _COLOURFUL and chroma <= _GREY:
            return f"the picture has lost its colour (infrared on): {_SETTLING}"
        if chroma >= _COLOURFUL and self._chroma <= _GREY:
            return f"the picture has its colour back (infrared off): {_SETTLING}"
        return self.sentence or f"the whole picture has changed (light, exposure): {_SETTLING}"
