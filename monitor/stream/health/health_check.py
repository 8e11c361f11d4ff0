"""All health checks of one camera. Input: a frame. Output: a verdict and the frame the right way up."""

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

_RECOGNISED = 0.5  # share of the usual likeness; below it, a view's usual sharpness does not apply to the picture
_EVERY_S = 0.25  # these conditions last for seconds, so checking them more often is not needed
_UNLIKE_TIMES = 6  # an unrecognised view must last this many times longer than a shifted view
_LATELY_S, _FEW, _FEWEST = 3.0, 0.5, 10  # noisy frames are corrupted if they are fewer than half of the frames of 3 s
_NOISE_FLOOR = 4.0  # grey levels; smaller additional noise does no harm


class HealthCheck:
    """The verdicts for one camera. Call ``update`` once for each analysed frame, in order of time.

    viewpoint  the camera's usual views; without it, only the checks that need no reference are made
    """

    def __init__(self, settings: HealthSettings | None = None, viewpoint: Viewpoint | None = None) -> None:
        self.settings = settings = settings or HealthSettings()
        self._views = Views(viewpoint) if viewpoint is not None else None
        self._flipping = Flipping(settings.flipped_after_s)
        self._standing = _Standing(settings)
        self.reset()

    def reset(self) -> None:
        """Reset after a gap or a reconnect: the next pictures are unrelated to the earlier ones.

        The state of the camera's position, focus and noise is kept, because the camera still hangs in the same place.
        """
        settings = self.settings
        self._dark = Lasting(settings.dark_after_s)
        self._frozen = Frozen(settings.frozen_after_s)
        self._change = SceneChange(settings.changed_share, settings.changed_levels, settings.settle_s)
        self._standing.interrupt()

    def update(self, time_s: float, image: Image) -> tuple[Health, Image]:
        """The verdict on the frame at ``time_s``, (H, W, 3) uint8 BGR, and the frame the right way up.

        The returned frame is ``image`` itself, unless it is detected as flipped. Then it is an exact, unflipped copy.
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
    """Problems of a camera that last for seconds or days; the camera is still scored."""

    def __init__(self, settings: HealthSettings) -> None:
        self._settings = settings
        self._shifted = Mostly(settings.moved_after_s)
        self._unlike = Mostly(settings.moved_after_s * _UNLIKE_TIMES)
        self._blurred = Mostly(settings.defocused_after_s)
        self._noisy = Mostly(settings.noisy_after_s)
        self._last_s = -float("inf")
        self._lately: deque[tuple[float, bool]] = deque()  # (seconds, much noisier than usual)

    def interrupt(self) -> None:
        self._lately.clear()
        for condition in (self._shifted, self._unlike, self._blurred, self._noisy):
            condition.interrupt()

    def update(self, time_s: float, look: Look, views: Views, likeness: FloatArray, level: float) -> None:
        """Process a frame. likeness: its (V,) correlations with the views; level: its noise, grey levels."""
        if time_s - self._last_s < _EVERY_S:
            return
        self._last_s = time_s
        view = views.nearest(look, likeness)
        if view is None:  # the picture is in colour but only infrared views are known, or the reverse
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
        """Whether this is one of a few frames that are much noisier than usual. The score would only reflect the noise.

        If half of the frames or more are noisy, the camera itself has become noisy, and its frames are still scored.
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
        """One sentence per state, the most serious state first; "" if the state does not apply."""
        moved = ""
        if self._shifted.on:
            moved = "the picture is shifted: put the camera back, or learn it again"
        elif self._unlike.on:
            moved = (
                "the picture is unlike everything learned: put the camera back, learn it again, or give another "
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
    """A health report with the most serious state and all sentences."""
    said = [state for state in _GRAVITY if sentences.get(state)]
    if not said:
        return Health(scored=scored)
    return Health(said[0], "; ".join(sentences[state] for state in said), scored)


_GRAVITY = (CameraState.MOVED, CameraState.DEFOCUSED, CameraState.FLIPPED, CameraState.NOISY)
