"""All checks of one camera: a frame in, a verdict and the frame the right way up out."""

from __future__ import annotations

from collections import deque

from monitor.states import CameraState
from monitor.stream.health.frozen import Frozen, is_dark
from monitor.stream.health.health_settings import HealthSettings
from monitor.stream.health.health_view import SIZE, Look
from monitor.stream.health.hysteresis import Lasting, Mostly
from monitor.stream.health.moved import is_shifted, is_unlike
from monitor.stream.health.orientation import Flip, Flipping
from monitor.stream.health.quality import noise, sharpness
from monitor.stream.health.scene_change import SceneChange
from monitor.stream.health.viewpoint import Viewpoint, Views
from monitor.types import FloatArray, Health, Image

GOOD = Health()

_RECOGNISED = 0.5  # of the usual likeness: below it a view's usual sharpness is not this picture's
_EVERY_S = 0.25  # what lasts for seconds need not be looked at more often
_UNLIKE_TIMES = 6  # a view not recognised must last so many times as long as one that is shifted
_LATELY_S, _FEW, _FEWEST = 3.0, 0.5, 10  # corrupted are fewer than half of the frames of 3 s
_NOISE_FLOOR = 4.0  # grey levels above what is usual, below which noise harms no one


class HealthCheck:
    """One camera's verdicts. ``update`` takes each analysed frame once, in order of time.

    viewpoint  what the camera usually shows; without one only what needs no reference is checked
    """

    def __init__(self, settings: HealthSettings | None = None, viewpoint: Viewpoint | None = None) -> None:
        self.settings = settings = settings or HealthSettings()
        self._views = Views(viewpoint) if viewpoint is not None else None
        self._flipping = Flipping(settings.flipped_after_s)
        self._standing = _Standing(settings)
        self.reset()

    def reset(self) -> None:
        """A gap, a reconnect: the pictures have nothing to do with those before, but the camera hangs where it hung."""
        settings = self.settings
        self._dark = Lasting(settings.dark_after_s)
        self._frozen = Frozen(settings.frozen_after_s)
        self._change = SceneChange(settings.changed_share, settings.changed_levels, settings.settle_s)
        self._standing.interrupt()

    def update(self, time_s: float, image: Image) -> tuple[Health, Image]:
        """The verdict on the frame at ``time_s``, (H, W, 3) uint8 BGR, and the frame the right way up.

        The frame is ``image`` itself, unless it is known to be flipped: then its pixels turned back, exactly.
        """
        settings = self.settings
        if not settings.enabled:
            return GOOD, image
        look = Look.of(image)
        sentences: dict[CameraState, str] = {}
        likeness = None
        if self._views is not None:
            likeness = self._views.compare(look)
            if settings.flipped:
                flip = self._views.flip(likeness, settings.flip_margin)
                if flip is not Flip.NONE:
                    image = flip.apply(image)
                    look = Look.of(image)
                    likeness = self._views.compare(look)
                sentences[CameraState.FLIPPED] = self._flipping.update(time_s, flip)
        dark = is_dark(look, settings.dark_mean, settings.dark_spread, settings.flat_spread)
        if settings.dark and self._dark.update(time_s, dark):
            return _paused(CameraState.DARK, "the picture is black or covered: scoring pauses"), image
        if settings.frozen and self._frozen.update(time_s, look):
            again = f"the same picture for {settings.frozen_after_s:g} s: scoring pauses"
            return _paused(CameraState.FROZEN, again), image
        changing = settings.scene_change and self._change.update(time_s, look, dark)
        if changing and self._change.sentence:
            return _paused(CameraState.SCENE_CHANGE, self._change.sentence), image
        if self._views is not None and likeness is not None:
            noisy = False
            if not (dark or changing):
                level = noise(look.grey) if settings.noisy else 0.0
                self._standing.update(time_s, look, self._views, likeness[0], level)
                noisy = self._standing.is_corrupted(time_s, look, self._views, likeness[0], level)
            sentences |= self._standing.sentences()
            return _reported(sentences, scored=not (changing or noisy)), image
        return _reported(sentences, scored=not changing), image


class _Standing:
    """What is wrong with a camera for seconds or days, while it is scored all the same."""

    def __init__(self, settings: HealthSettings) -> None:
        self._settings = settings
        self._shifted = Mostly(settings.moved_after_s)
        self._unlike = Mostly(settings.moved_after_s * _UNLIKE_TIMES)
        self._blurred = Mostly(settings.defocused_after_s)
        self._noisy = Mostly(settings.noisy_after_s)
        self._last_s = -float("inf")
        self._lately: deque[tuple[float, bool]] = deque()  # (seconds, far noisier than usual)

    def interrupt(self) -> None:
        self._lately.clear()
        for condition in (self._shifted, self._unlike, self._blurred, self._noisy):
            condition.interrupt()

    def update(self, time_s: float, look: Look, views: Views, likeness: FloatArray, level: float) -> None:
        """Take a frame; likeness: its (V,) correlations with the views; level: its noise, grey levels."""
        if time_s - self._last_s < _EVERY_S:
            return
        self._last_s = time_s
        view = views.nearest(look, likeness)
        if view is None:  # in colour, where only infrared is known, or the other way round
            return
        usual, settings = views.viewpoint, self._settings
        if settings.moved and look.detail.any() and views.details[view].any():
            by_px = settings.moved_by * SIZE[0]
            self._shifted.update(time_s, is_shifted(look.detail, views.details[view], usual.likeness[view], by_px))
            self._unlike.update(time_s, is_unlike(likeness[view], usual.likeness[view]))
        if settings.defocused and likeness[view] >= _RECOGNISED * usual.likeness[view]:
            least = settings.defocused_below * usual.sharpness[view]
            self._blurred.update(time_s, sharpness(look.grey) < least)
        if settings.noisy:
            self._noisy.update(time_s, self._is_noisy(level, usual, view))

    def is_corrupted(self, time_s: float, look: Look, views: Views, likeness: FloatArray, level: float) -> bool:
        """Whether this is one of a few frames far noisier than usual: better no score than that of the noise.

        Where it is every second frame or more, the camera has become noisy, and is scored all the same.
        """
        view = views.nearest(look, likeness) if self._settings.noisy and not self._noisy.on else None
        noisy = view is not None and self._is_noisy(level, views.viewpoint, view)
        self._lately.append((time_s, noisy))
        while time_s - self._lately[0][0] > _LATELY_S:
            self._lately.popleft()
        return noisy and sum(flag for _, flag in self._lately) < _FEW * max(len(self._lately), _FEWEST)

    def _is_noisy(self, level: float, usual: Viewpoint, view: int) -> bool:
        return bool(level > usual.noise[view] * self._settings.noisy_above + _NOISE_FLOOR)

    def sentences(self) -> dict[CameraState, str]:
        """What there is to say, by state, the gravest first."""
        moved = ""
        if self._shifted.on:
            moved = "the picture is shifted: put the camera back, or learn it again"
        elif self._unlike.on:
            moved = (
                "the picture is unlike all that was learned: put the camera back, learn it again, or give another "
                "model with --model"
            )
        return {
            CameraState.MOVED: moved,
            CameraState.DEFOCUSED: "the picture is less sharp than usual: focus or clean the lens"
            if self._blurred.on
            else "",
            CameraState.NOISY: "the picture is noisier than usual" if self._noisy.on else "",
        }


def _paused(state: CameraState, sentence: str) -> Health:
    return Health(state, sentence, scored=False)


def _reported(sentences: dict[CameraState, str], *, scored: bool) -> Health:
    """The gravest state; all sentences."""
    said = [state for state in _GRAVITY if sentences.get(state)]
    if not said:
        return Health(scored=scored)
    return Health(said[0], "; ".join(sentences[state] for state in said), scored)


_GRAVITY = (CameraState.MOVED, CameraState.DEFOCUSED, CameraState.FLIPPED, CameraState.NOISY)
