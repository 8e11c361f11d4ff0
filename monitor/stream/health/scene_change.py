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
_CONFIRM_S = 0.3  # a shorter change comes from one or a few corrupted frames, or from a flash
_FLICKER_S, _OFTEN, _FEWEST = 3.0, 0.4, 5  # ... unless such frames repeat
_EPSILON_S = 1e-6  # rounding tolerance: times are sums of frame durations
_SAME_SCENE = 0.3  # correlation of the details before and after; between day and infrared it is 0.4 to 0.9
_SAME_SHARE = 0.25  # if at most this share of the blocks differs from the picture before a change, that is back
_GREY, _COLOURFUL = 6.0, 15.0  # grey levels between the channels of a block: infrared has none in any block
_WHITE, _WHITE_SHARE = 250, 0.5  # a picture is blinded if this share of its blocks has this level in all channels
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

    @property
    def blinded(self) -> bool:
        """Whether the picture shows nothing, or is too bright to have a colour: this says nothing about infrared."""
        return self.dark or float((self.blocks.min(axis=2) >= _WHITE).mean()) >= _WHITE_SHARE


class SceneChange:
    """Distinguishes a change of light from an object that fills the picture, and from flashes and corrupted frames.

    A picture that differs for less than 0.3 s is a flash: only its own frames are not scored, also while an earlier
    change settles. If the picture of before comes back within about a second, the change is over 0.3 s later.

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
        self._pending: list[_Seen] = []  # frames that differ, but not for long enough yet
        self._recent: deque[tuple[float, bool]] = deque()  # (seconds, differs)
        self._changed_s: float | None = None  # when a confirmed change was last seen to continue
        self._origin: _Seen | None = None  # ... and the picture before it
        self._back_s: float | None = None  # since when that picture is back
        self._flickered = False  # during this change
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
        if not self._past:
            self._past.append(now)
        unlike = self._is_changed(self._past[0], now)
        if self._changed_s is None:
            return self._look_for_change(now, unlike)
        # A flickering picture may look the same one second later.
        return self._follow_change(now, unlike or self._is_changed(self._past[-1], now), self._changed_s)

    def _look_for_change(self, now: _Seen, unlike: bool) -> bool:
        before = self._past[0]
        if not self._lasts(now, unlike):
            if not unlike:
                self._past.append(now)
            return unlike
        if self._past[-1].time_s - before.time_s < _CONFIRM_S - _EPSILON_S and not self._flickers():
            self.reset()  # the stream began with a flash: the picture after it is the usual one
            self._past.append(now)
            return False
        self._origin, self._changed_s = before, now.time_s
        self._past = deque([now])
        self._pending.clear()
        self._flickered = self._flickers()
        self.sentence = self._in_words(before, now)
        return True

    def _follow_change(self, now: _Seen, unlike: bool, changed_s: float) -> bool:
        assert self._origin is not None
        back = self._is_same(self._origin, now)
        self._back_s = None if not back else now.time_s if self._back_s is None else self._back_s
        continues = self._lasts(now, unlike, differs=not back)
        self._flickered |= self._flickers()
        over = self._back_s is not None and now.time_s - self._back_s >= _CONFIRM_S - _EPSILON_S
        if over and not self._flickered:
            return self._is_over(now)
        if continues:
            self._past.extend(self._pending)
            self._pending.clear()
            self._changed_s = now.time_s
        elif unlike:
            return True  # a flash does not prolong the change
        elif now.time_s - changed_s >= self._settle_s - _EPSILON_S:
            return self._is_over(now)
        else:
            self._past.append(now)
        self.sentence = self._in_words(self._origin, now)
        return True

    def _is_over(self, now: _Seen) -> bool:
        self.reset()
        self._past.append(now)
        return False

    def _is_changed(self, before: _Seen, now: _Seen) -> bool:
        if self._changed_share(before, now) <= self._share:
            return False
        return before.dark or now.dark or float(before.detail @ now.detail) >= _SAME_SCENE

    def _is_same(self, before: _Seen, now: _Seen) -> bool:
        alike = float(before.detail @ now.detail) >= _SAME_SCENE or (before.dark and now.dark)
        return alike and self._changed_share(before, now) <= min(_SAME_SHARE, self._share)

    def _changed_share(self, before: _Seen, now: _Seen) -> float:
        change = cv2.absdiff(before.blocks, now.blocks).max(axis=2)
        return float((change > self._levels).mean())

    def _lasts(self, now: _Seen, unlike: bool, *, differs: bool | None = None) -> bool:
        """Whether frames have differed for too long, or too often, to be flashes. differs: what counts as often."""
        self._recent.append((now.time_s, unlike if differs is None else differs))
        while now.time_s - self._recent[0][0] > _FLICKER_S:
            self._recent.popleft()
        if not unlike:
            self._pending.clear()
            return differs is None and self._flickers()
        self._pending.append(now)
        return now.time_s - self._pending[0].time_s >= _CONFIRM_S - _EPSILON_S or self._flickers()

    def _flickers(self) -> bool:
        often = sum(was for _, was in self._recent)
        return often >= max(_FEWEST, _OFTEN * len(self._recent))

    def _in_words(self, before: _Seen, now: _Seen) -> str:
        """Infrared is named only if every part of the picture is without colour: a white car covers only a part."""
        if not (before.blinded or now.blinded):
            if before.chroma >= _COLOURFUL and now.chroma <= _GREY:
                return f"the picture has lost its colour (infrared on): {_SETTLING}"
            if now.chroma >= _COLOURFUL and before.chroma <= _GREY:
                return f"the picture has its colour back (infrared off): {_SETTLING}"
        return self.sentence or f"the whole picture has changed (light, exposure): {_SETTLING}"
