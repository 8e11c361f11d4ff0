"""The loop of a capture thread: it reads one source, chooses and paces frames and puts them into the frame queue.

A file is played at its own pace and loses nothing. A live camera is read without pause. If it is lost, it is opened
again after a delay that grows. All decisions use monotonic time, so the wall clock may jump.
"""

from __future__ import annotations

import logging
import math
import random
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from monitor.errors import CaptureError, ShortageError, SourceError, StallError
from monitor.learning.hold import Hold
from monitor.live.load_control import LEAST_FPS, Relief
from monitor.live.pacing import Backoff, Bursts, Pace
from monitor.model.model_store import Model
from monitor.places import CameraPlaces
from monitor.sources.source import Position, Reader, Source
from monitor.states import PAUSED, CameraState
from monitor.stream.frame_rules import UNCHECKED, FrameRules, RuleSettings
from monitor.stream.health.health_settings import HealthSettings
from monitor.stream.schedule_settings import Schedule
from monitor.text.redaction import redact
from monitor.types import CaptureStatus, Frame, Health, Image

log = logging.getLogger(__name__)

# Unreadable frames named in the log, per camera; the rest are only counted.
_NAMED_AT_MOST = 20

_WITH_PICTURE = (
    CameraState.ONLINE,
    *PAUSED,
    CameraState.MOVED,
    CameraState.DEFOCUSED,
    CameraState.FLIPPED,
    CameraState.NOISY,
    CameraState.UNSCORED,
)
_TICK_S = 1e-6  # the stream time of a live camera grows at least by this from frame to frame
_SHORT_DELAY_S = 2.0
"""Longest delay for a camera that gives frames for a moment each time it is opened."""
_UNDECODED_S = 5.0
"""Seconds of stream time in which no frame can be decoded, after which the camera counts as unscored."""
_UNDECODED = Health(
    CameraState.UNSCORED,
    "frames arrive, but none can be decoded: copy the footage again, or set the camera to H.264",
    scored=False,
)


class FrameSink(Protocol):
    """Takes the frames: the frame queue."""

    def put(self, frame: Frame, *, stop: threading.Event, wait_s: float = 0.0) -> bool:
        """Take a frame. Returns False if no more are wanted. Waits for room: a file for ever, a camera ``wait_s``."""

    def finish(self, camera: str) -> None:
        """Called when the source has ended: it puts no more frames."""


@dataclass(frozen=True)
class CaptureSettings:
    """Settings for playing files and for keeping cameras connected.

    speed            1 plays files in real time, 4 four times as fast; None as fast as they are analysed. Files only
    loop             play files again from the start
    analysis_fps     frames analysed per second of stream time; 0 for every frame
    max_frames       frames put into the queue before the source ends; None for no limit
    gap_s            a longer jump of stream time starts a new segment (at least the time of three frames, see GapRule)
    stall_after_s    a camera or file is shown as stalled after this time without a frame, even if its read still waits
    backoff_min_s    first delay before a lost camera is opened again
    backoff_max_s    longest delay; the delay doubles up to this value
    jitter           random part added to a delay, as a fraction of it, so that cameras lost at the same time are not
                     opened again at the same time
    healthy_after_s  after frames have arrived for this long, the next delay is backoff_min_s again. So it is after
                     a shorter time; if such times follow each other, delays grow to 2 s
    health           which pictures are not scored, and which problems of pictures are reported
    places           what holds in places of the pictures; None if all are scored alike
    schedule         when alerts are raised; None: always
    recorded_at      when the footage of a file begins, unix seconds; None if unknown
    paused           True: no frame is scored
    """

    speed: float | None = 1.0
    loop: bool = False
    analysis_fps: float = 0.0
    max_frames: int | None = None
    gap_s: float = 1.0
    stall_after_s: float = 4.0
    backoff_min_s: float = 0.5
    backoff_max_s: float = 30.0
    jitter: float = 0.3
    healthy_after_s: float = 5.0
    health: HealthSettings = UNCHECKED
    places: CameraPlaces | None = None
    schedule: Schedule | None = None
    recorded_at: float | None = None
    paused: bool = False

    @property
    def rules(self) -> RuleSettings:
        """The settings that replay uses, too."""
        rates = self.analysis_fps, self.gap_s
        return RuleSettings(*rates, self.health, self.places, self.schedule, self.recorded_at, self.paused)


class Capture:
    """Reads one source into the frame queue; ``run`` does all the work of a capture thread.

    model: the model that watches the camera. It holds the usual view of the camera and the size of its pictures, and it
    knows whether its detectors use the frames' small pictures. None if no detector uses the frames.

    Any thread may read ``status``. A problem of a live camera is shown there, and the camera is opened again. A problem
    of a file ends only this file, with the state FAILED. This holds for errors of every kind, because one camera must
    not end the others. If the machine has no room to open a file (ShortageError), the file is opened again later. The
    state is CONNECTING until the first attempt has succeeded or failed. A lost camera stays OFFLINE or STALLED
    during the retries, until it gives a frame.
    """

    def __init__(
        self,
        source: Source,
        queue: FrameSink,
        settings: CaptureSettings,
        stop: threading.Event,
        clock: Callable[[], float] = time.monotonic,
        rng: random.Random | None = None,
        wall_clock: Callable[[], float] = time.time,
        first_segment: int = 0,
        model: Model | None = None,
        hold: Hold | None = None,
    ) -> None:
        self._source = source
        self._queue = queue
        self._settings = settings
        self._stop = stop
        self._hold = hold
        self._clock = clock
        self._wall_clock = wall_clock
        self._backoff = Backoff(settings.backoff_min_s, settings.backoff_max_s, settings.jitter, rng or random.Random())
        self._rule_settings = self._rules_in_use = settings.rules
        self._rules = FrameRules(settings.rules, first_segment=first_segment)
        self.relief = self._relief_in_use = Relief()
        """What a live camera gives up. The main thread replaces it."""
        self.decoder_pid: int | None = None
        """The process that decodes now; None if there is none."""
        self._prepare_small = False
        if model is not None:
            self.watch_for(model)
        self._started = clock()
        self._status = CaptureStatus(since=self._started)
        self._online_at: float | None = None  # when this connection gave its first frame
        self._short = False  # the last connection gave frames, but not for long
        self._queued = 0
        self._reached_s = -math.inf  # stream time of the last frame of a live camera
        self._undecoded_since_s: float | None = None  # stream time of the first of the frames that cannot be decoded
        self._undecoded_s = 0.0  # for how long no frame could be decoded
        self._asked_at: float | None = None  # when the reader was asked for what it has not given yet
        self._bursts = Bursts()
        self._pace = Pace(settings.speed, clock, stop)
        self._named_unreadable: set[str] = set()

    @property
    def status(self) -> CaptureStatus:
        """The present status. A camera or file is shown as stalled even while its read still hangs."""
        status, asked_at = self._status, self._asked_at
        # A file also waits until its next frame is due; only a wait for its reader counts.
        waits_since = status.last_frame_at if self._source.live else asked_at
        if status.state not in _WITH_PICTURE or waits_since is None:
            return status
        stalled_at = waits_since + self._settings.stall_after_s
        if self._clock() < stalled_at:
            return status
        detail = f"no frame for {self._settings.stall_after_s:g} s"
        return replace(status, state=CameraState.STALLED, since=stalled_at, detail=detail)

    def watch_for(self, model: Model) -> None:
        """Use another model from the next frame on. Any thread may call it."""
        self._prepare_small = model.looks_at_small
        self._rules.watch_for(model.viewpoint, model.learned_size)

    def use(self, settings: CaptureSettings) -> None:
        """Use the rules of other settings from the next frame on; the stream stays open. Any thread may call it."""
        self._rule_settings = settings.rules

    def interrupt(self) -> None:
        """End a read that hangs, if the source supports it. Call it after ``stop`` is set."""
        self._source.interrupt()

    def give_up(self, why: str) -> None:
        """The camera has no thread: it has failed, and gives no frames."""
        self._change(CameraState.FAILED, why)
        self._queue.finish(self._source.name)

    def run(self) -> None:
        """Read until the source ends, ``stop`` is set, the queue is closed or enough frames were queued.

        It never raises.
        """
        state, detail = CameraState.OFFLINE, "ended by an error"
        try:
            if self._source.live:
                self._run_live()
            else:
                self._run_file()
            state, detail = CameraState.ENDED, ""
        except (CaptureError, SourceError) as error:  # from a file, because _run_live retries its own
            if self._stop.is_set():
                state, detail = CameraState.ENDED, ""
            else:
                state, detail = CameraState.FAILED, str(error)
        except Exception as error:  # noqa: BLE001 - end of a thread: an error of one camera must not end the others
            state, detail = CameraState.FAILED, self._unexpected(error)
        finally:
            self._change(state, detail)
            self._queue.finish(self._source.name)

    # Files and folders

    def _run_file(self) -> None:
        offset_s, offset = 0.0, 0
        while not self._stop.is_set():
            if (opened := self._open_file()) is None:
                return
            with opened as reader:
                last = None
                while (
                    not self._stop.is_set()
                    # a frame too early is harmless: a sum of times may be rounded down
                    and (position := self._skip_to(reader, self._rules.due_s - offset_s - _TICK_S)) is not None
                ):
                    time_s, index = offset_s + position.time_s, offset + position.index
                    earlier_s = [offset_s + each for each in position.earlier_s]
                    gap = self._rules.is_gap(time_s, reader.fps, earlier_s)
                    missing = position.index - (last.index if last else -1) - 1 - position.passed
                    last = position
                    at_once = gap
                    if self._hold is not None:
                        at_once = self._hold.admit(time_s, self._stop) or gap
                        if self._hold.ended:
                            return
                    if not self._pace.wait_for(time_s, skip=at_once) or not self._take(
                        reader, index, time_s, position, earlier_s, missing, position.time_s
                    ):
                        return
            if not self._settings.loop or last is None:
                return
            offset_s += last.time_s + 1.0 / reader.fps
            offset += last.index + 1
            self._rules.new_segment()
            if self._hold is not None:
                self._hold.begin_again()

    def _open_file(self) -> Reader | None:
        """The file's reader; None if the run stops first. A file that the machine has no room for is opened later."""
        while not self._stop.is_set():
            try:
                reader = self._source.open()
            except ShortageError as error:
                delay_s = self._backoff.next()
                if self._status.detail != str(error):
                    log.warning("%s: %s; trying again in %.1f s", self._source.name, error, delay_s)
                self._change(CameraState.OFFLINE, str(error))
                self._stop.wait(delay_s)
            else:
                self._backoff.reset()
                return reader
        return None

    # Live cameras

    def _run_live(self) -> None:
        lost: CaptureError | None = None
        while not self._stop.is_set():
            self._online_at = None
            error = self._watch(lost)
            if error is None or self._stop.is_set():
                return
            self._rules.new_segment()
            self._ease_backoff()
            stalled = isinstance(error, StallError)
            self._change(CameraState.STALLED if stalled else CameraState.OFFLINE, str(error), stalls=int(stalled))
            delay_s = self._backoff.next()
            # A camera that stays offline is logged as a warning once, not at every attempt.
            level = logging.DEBUG if self._online_at is None and str(lost) == str(error) else logging.WARNING
            log.log(level, "%s: %s; trying again in %.1f s", self._source.name, error, delay_s)
            lost = error
            if self._stop.wait(delay_s):
                return

    def _watch(self, lost: CaptureError | None) -> CaptureError | None:
        """Open a camera and read it until it is lost. Returns the cause, or None if no more frames are wanted."""
        try:
            with self._source.open() as reader:
                self.decoder_pid, self._relief_in_use = reader.pid, Relief()
                offset_s = 0.0  # stream time minus the reader's time; the first frame is due at any time
                while not self._stop.is_set():
                    if self.relief is not self._relief_in_use:
                        self._relieve(reader, self.relief)
                    if (position := self._skip_to(reader, self._rules.due_s - offset_s)) is None:
                        return CaptureError(f"{self._source.label} ended the stream")
                    now = self._clock()
                    if self._online_at is None:
                        self._online_at = now
                        if lost is not None:
                            log.info("%s: connected again", self._source.name)
                            self._status = replace(self._status, reconnects=self._status.reconnects + 1)
                        # The stream's own clock runs on from here. It never goes back, also if it was ahead.
                        offset_s = max(now - self._started, self._reached_s + _TICK_S) - position.time_s
                    time_s = max(offset_s + position.time_s, self._reached_s + _TICK_S)
                    self._reached_s = time_s
                    index = self._status.frames_in + position.passed
                    earlier_s = [offset_s + each for each in position.earlier_s]
                    if not self._take(reader, index, time_s, position, earlier_s):
                        return None
                return None
        except CaptureError as error:
            return error
        except SourceError:
            raise
        except Exception as error:  # noqa: BLE001 - whatever went wrong: the next connection may be sound
            return CaptureError(self._unexpected(error))
        finally:
            self.decoder_pid = None

    def _relieve(self, reader: Reader, relief: Relief) -> None:
        """Give this up from the next frame on."""
        wanted = min(self._rules.settings.analysis_fps or reader.fps, reader.fps)
        rate = relief.rate * (1.0 if reader.sparing else relief.decoded)
        self._rules.slow(max(rate * wanted, min(wanted, LEAST_FPS)) if rate < 1.0 else None)
        reader.spare(relief.decoded)
        self._relief_in_use = relief

    def _ease_backoff(self) -> None:
        """Start again with the shortest delay after good frames, but do not hammer a camera that comes and goes."""
        good = self._online_at is not None and self._undecoded_since_s is None
        if self._was_healthy() or (good and not self._short):
            self._backoff.reset()
        elif good:
            self._backoff.ease(_SHORT_DELAY_S)
        self._short = good and not self._was_healthy()

    def _was_healthy(self) -> bool:
        last_at = self._status.last_frame_at
        if self._online_at is None or last_at is None:
            return False
        return last_at - self._online_at >= self._settings.healthy_after_s

    # Both

    def _take(
        self,
        reader: Reader,
        index: int,
        time_s: float,
        position: Position,
        earlier_s: Sequence[float],
        missing: int = 0,
        media_s: float | None = None,
    ) -> bool:
        """Count the frame just grabbed, and queue it if it is due. Returns False if no more are wanted."""
        captured_at, wall_time = self._clock(), self._wall_clock()
        rules = self._rules
        if (wanted := self._rule_settings) is not self._rules_in_use:
            self._rules_in_use = wanted
            rules.use(wanted)
        due = rules.arrive(time_s, reader.fps, earlier_s, spared=position.spared)
        before = self._health()
        came = 1 + position.passed
        self._change(before.state, before.detail, frames_in=came, missing=missing, last_frame_at=captured_at)
        if not due:
            return True
        image = self._retrieve(reader)
        if image is None:
            self._unreadable(reader.frame_name or f"frame {index}", time_s)
            return True
        self._undecoded_since_s, self._undecoded_s = None, 0.0
        size = (image.shape[1], image.shape[0])
        recorded = 0.0 if media_s is None else media_s
        taken = rules.take(time_s, image, wall_time if self._source.live else wanted.moment(recorded))
        if taken.health != before:
            self._change(taken.health.state, taken.health.detail)
        if self._status.size != size:
            self._status = replace(self._status, size=size)
        frame = Frame(
            self._source.name,
            index,
            time_s,
            taken.image,
            taken.segment,
            captured_at,
            wall_time,
            taken.health,
            media_s,
            taken.places,
            taken.armed,
            self._clock() - captured_at,
        )
        if self._prepare_small:
            frame.small.prepare()
        wait_s = self._bursts.came(time_s, captured_at) if self._source.live else 0.0
        if self.relief.rate < 1.0:  # frames that a slow machine was late with look like a burst
            wait_s = 0.0
        if not self._queue.put(frame, stop=self._stop, wait_s=wait_s):
            return False
        self._queued += 1
        return self._settings.max_frames is None or self._queued < self._settings.max_frames

    def _unexpected(self, error: Exception) -> str:
        """An error that no one expected, as a sentence for people. Its traceback goes to the log of ``--verbose``."""
        log.debug("%s: unexpected error", self._source.name, exc_info=error)
        what = redact(f"{type(error).__name__}: {error}".strip(": "))
        return f"{self._source.label} cannot be watched, because of an unexpected error ({what})"

    def _skip_to(self, reader: Reader, time_s: float) -> Position | None:
        self._asked_at = self._clock()
        try:
            return reader.skip_to(time_s)
        finally:
            self._asked_at = None

    def _retrieve(self, reader: Reader) -> Image | None:
        self._asked_at = self._clock()
        try:
            return reader.retrieve()
        finally:
            self._asked_at = None

    def _health(self) -> Health:
        """The verdict on the last frame; or that none can be decoded any more."""
        return self._rules.health if self._undecoded_s < _UNDECODED_S else _UNDECODED

    def _unreadable(self, what: str, time_s: float) -> None:
        if self._undecoded_since_s is None:
            self._undecoded_since_s = time_s
        self._undecoded_s = time_s - self._undecoded_since_s
        self._status = replace(self._status, unreadable=self._status.unreadable + 1)
        if what not in self._named_unreadable and len(self._named_unreadable) < _NAMED_AT_MOST:
            self._named_unreadable.add(what)
            log.warning("%s: %s of %s cannot be read and is left out", self._source.name, what, self._source.label)

    def _change(
        self,
        state: CameraState,
        detail: str = "",
        *,
        frames_in: int = 0,
        missing: int = 0,
        stalls: int = 0,
        last_frame_at: float | None = None,
    ) -> None:
        """Replace the status. ``since`` changes only with the state. The numbers are added to the counters."""
        old = self._status
        # ``replace`` would take a third of the time of everything else here per frame.
        self._status = CaptureStatus(
            state=state,
            since=old.since if state is old.state else self._clock(),
            detail=detail,
            frames_in=old.frames_in + frames_in,
            missing=old.missing + missing,
            unreadable=old.unreadable,
            reconnects=old.reconnects,
            stalls=old.stalls + stalls,
            last_frame_at=last_frame_at if last_frame_at is not None else old.last_frame_at,
            size=old.size,
            behind_s=self._pace.behind_s,
        )
