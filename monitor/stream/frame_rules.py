"""The rules around the detectors: which frames of a stream are analysed, which are scored, and what is a gap.

Pure: no thread, no clock, no source. Live capture and replay both call these rules, so recorded footage gets the same
frames, segments and verdicts as a live camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from monitor.places import CameraPlaces, PlaceRules
from monitor.states import PAUSED, CameraState
from monitor.stream.frame_timing import GapRule, Sampler
from monitor.stream.health.health_check import GOOD, HealthCheck
from monitor.stream.health.health_settings import HealthSettings
from monitor.stream.health.viewpoint import Viewpoint
from monitor.stream.picture_size import Fit, Size, SizeChanges
from monitor.stream.schedule_settings import Schedule
from monitor.types import Health, Image

UNCHECKED = HealthSettings(enabled=False)
"""Every frame is scored as it is."""
_BY_HAND = "a person has paused it: nothing is scored until it is resumed"
_PAUSED_BY_HAND = Health(CameraState.PAUSED, _BY_HAND, scored=False)


@dataclass(frozen=True)
class RuleSettings:
    """Settings of ``FrameRules``.

    analysis_fps  frames analysed per second of stream time; 0 for every frame
    gap_s         a longer jump of stream time starts a new segment (at least the time of three frames, see GapRule)
    health        which pictures are not scored, and which problems of pictures are reported
    places        what holds in places of the pictures; None if all are scored alike
    schedule      when alerts are raised; None: always
    recorded_at   when recorded footage begins, unix seconds; None if unknown
    paused        True: no frame is scored
    """

    analysis_fps: float = 0.0
    gap_s: float = 1.0
    health: HealthSettings = UNCHECKED
    places: CameraPlaces | None = None
    schedule: Schedule | None = None
    recorded_at: float | None = None
    paused: bool = False

    def moment(self, media_s: float) -> float | None:
        """The time at which the frame at ``media_s`` of the footage was recorded, unix seconds; None if unknown."""
        return None if self.recorded_at is None else self.recorded_at + media_s


@dataclass(frozen=True, slots=True, eq=False)
class Examined:
    """A frame in the form in which detectors receive it.

    image    (H, W, 3) uint8 BGR, turned upright
    segment  number of its segment; when it changes, all temporal state starts again
    health   whether the frame is scored, and its problem
    places   what holds in its places
    armed    whether alerts are raised at its time
    """

    image: Image
    segment: int
    health: Health
    places: PlaceRules | None
    armed: bool


class FrameRules:
    """Takes one stream's frames in order of time. Call ``arrive`` for each frame, ``take`` for each that is analysed.

    viewpoint      the usual view of the camera, for the health check; None if it was not learned
    learned_size   (width, height) px of the pictures that the model learned from; None if unknown
    first_segment  number of the first segment

    Only one thread may use it, except ``watch_for``.
    """

    def __init__(
        self,
        settings: RuleSettings,
        viewpoint: Viewpoint | None = None,
        learned_size: Size | None = None,
        first_segment: int = 0,
    ) -> None:
        self._settings = settings
        self._viewpoint = viewpoint
        self._sampler = Sampler(settings.analysis_fps)
        self._slow_fps: float | None = None
        self._gaps = GapRule(settings.gap_s)
        self._learned_size = learned_size
        self._fit = Fit(learned_size)
        self._size_changes = SizeChanges()
        self._health_check = HealthCheck(settings.health, viewpoint)
        self.health = GOOD
        """The verdict on the last frame taken."""
        self._segment = first_segment
        self._unscored = False  # the last frame taken was not scored
        self._paused = False  # the segment has frames that were not scored for a while
        self._size: Size | None = None  # of the segment's frames, before they are turned upright
        self._last_s: float | None = None  # stream time of the last frame; None at the start of a segment

    @property
    def settings(self) -> RuleSettings:
        """The present settings."""
        return self._settings

    @property
    def due_s(self) -> float:
        """Stream time from which the next frame is analysed; minus infinity if it is analysed at any time."""
        return self._sampler.due_s

    @property
    def last_s(self) -> float | None:
        """Stream time of the segment's last frame, seconds; None before its first."""
        return self._last_s

    def watch_for(self, viewpoint: Viewpoint | None, learned_size: Size | None) -> None:
        """Use the values of another model from the next frame on. Any thread may call it."""
        self._viewpoint = viewpoint
        self._health_check = HealthCheck(self._settings.health, viewpoint)
        self._learned_size = learned_size
        self._fit = Fit(learned_size)

    def use(self, settings: RuleSettings) -> None:
        """Use other settings from the next frame on. With another rate, gap or health check, a new segment starts."""
        before, self._settings = self._settings, settings
        kept = {name: getattr(before, name) for name in ("places", "schedule", "recorded_at", "paused")}
        if replace(settings, **kept) == before:
            return
        self._sampler = Sampler(settings.analysis_fps)
        self._sampler.slow(self._slow_fps)
        self._gaps = GapRule(settings.gap_s)
        self._health_check = HealthCheck(settings.health, self._viewpoint)
        self.new_segment()

    def slow(self, fps: float | None) -> None:
        """Analyse at most this many frames per second from now on, > 0; None: as many as set. The stream continues."""
        self._slow_fps = fps
        self._sampler.slow(fps)

    def is_gap(self, time_s: float, fps: float, earlier_s: Sequence[float] = ()) -> bool:
        """Whether a frame at this time comes after a gap.

        fps        nominal frames per second of the source
        earlier_s  times of the last frames that the reader has skipped before this one, see ``Position``
        """
        return self._last_s is not None and self._gaps.is_gap(time_s, fps, earlier_s)

    def arrive(self, time_s: float, fps: float, earlier_s: Sequence[float] = (), *, spared: bool = False) -> bool:
        """Take a frame that is not decoded yet. Returns True if it is analysed. After a gap, a new segment starts.

        earlier_s  as for ``is_gap``
        spared     it will not be decoded, see ``Position``
        """
        for each in earlier_s:
            self._gaps.reached(each)
        if self.is_gap(time_s, fps):
            self.new_segment()
        if self._sampler.due(time_s) and not spared:
            return True
        self._reached(time_s)
        return False

    def pass_over(self, time_s: float) -> None:
        """Count a frame as analysed although the caller does not decode it."""
        self._reached(time_s)
        self._sampler.take(time_s)

    def take(self, time_s: float, image: Image, unix_s: float | None = None) -> Examined:
        """Examine a decoded frame, (H, W, 3) uint8 BGR. unix_s: its time, for schedules; None if unknown.

        A change of size starts a new segment, see SizeChanges.

        When frames are worth scoring again after a pause, a new segment starts, but not after a single corrupted frame.
        The frame after a single one that is not scored, such as one full of noise, is analysed in its place.
        """
        size = (image.shape[1], image.shape[0])
        if self._size_changes.starts_segment(time_s, self._size, size):
            self._start_segment()
        self.health, image = self._health_check.update(time_s, image)
        fits = self._fit.update(time_s, (image.shape[1], image.shape[0]))
        if self.health == GOOD or not fits.scored:
            self.health = fits
        if self._settings.paused:
            self.health = _PAUSED_BY_HAND
        if self.health.state in PAUSED:
            self._paused = True
        elif self._paused and self.health.scored:
            self._start_segment()
        self._size = size
        self._reached(time_s)
        self._sampler.take(time_s)
        if not (self.health.scored or self._unscored):
            self._sampler.reset()
        self._unscored = not self.health.scored
        settings = self._settings
        places = None if settings.places is None else settings.places.at(unix_s)
        armed = settings.schedule is None or settings.schedule.is_armed(unix_s)
        return Examined(image, self._segment, self.health, places, armed)

    def new_segment(self) -> None:
        """Start a new segment: later frames do not continue earlier ones. An empty segment is not counted."""
        self._fit = Fit(self._learned_size)
        self._start_segment()

    def _start_segment(self) -> None:
        if self._last_s is not None:
            self._segment += 1
        self._last_s = None
        self._size = None
        self._sampler.reset()
        self._health_check.reset()
        self._paused = self._unscored = False
        if not self.health.scored:
            self.health = GOOD

    def _reached(self, time_s: float) -> None:
        self._last_s = time_s
        self._gaps.reached(time_s)
