"""The stream time of a live camera's frames: from the stream's own timestamps, or from the frames' arrival.

Frames of HLS, and of many HTTP servers, arrive in bursts: dozens at once, then nothing for seconds. By their arrival,
all of a burst would be taken at one moment, and nothing could be learned about motion. The timestamps of such a stream
(PTS) are right. But some streams have none, FFmpeg then invents a rate, and some cameras count wrongly. So timestamps
are used only after they have kept pace with the arrival for some seconds. Until then, and without them, the frames of a
burst are spread evenly over the time that the burst stands for. How long that is, the second wait shows. Before it,
the timestamps say how far apart the frames of a burst are. Pure.
"""

from __future__ import annotations

from collections import deque
from typing import NamedTuple

_WINDOW_S, _WAITS, _LONGEST_WINDOW_S = 30.0, 4.5, 300.0  # arrivals of this time, or of so many waits, are compared
_MOST = 8192  # ... at most this many
_LEAST_S = 5.0  # ... and at least this long, before timestamps are trusted
_LEAST_WAITS = 3
_EVERY_S = 0.5  # at most this often
_WAITED = 0.5  # a frame was waited for if it took at least this share of the longest wait
_TOLERANCE = 1.25  # timestamps may run this much faster or slower than the arrival: bursts come irregularly
_BURST = 0.25  # a frame that comes sooner than this share of the mean step belongs to a burst
_SLOWER = 0.95  # ... is placed this share of the mean step after the last one, so that the clock never runs away
_LEAST_WAITED = 0.25  # share of the time that must have been waited for data: otherwise this machine sets the pace
_MOST_BEHIND_S, _MOST_AHEAD_S = 10.0, 10.0  # of timestamps against the arrival; beyond it they have stopped or jumped
_LONGEST_STEP_S, _MOST_EARLY_S = 2.0, 60.0  # of timestamps that are not trusted yet, within a burst
_FAULTS = 3  # after so many jumps, timestamps are not trusted again
_TICK_S = 1e-6


class _Arrival(NamedTuple):
    arrived_s: float
    pts_s: float | None
    number: int
    waited_s: float


class StreamClock:
    """One object per connection. Call ``time_of`` for every frame, in order."""

    def __init__(self) -> None:
        self.trusted = False
        """Whether the stream's timestamps are used now."""
        self.step_s: float | None = None
        """Mean time between two frames, seconds, as far as it is known."""
        self._window: deque[_Arrival] = deque(maxlen=_MOST)
        self._last: _Arrival | None = None
        self._time_s = 0.0  # stream time of the last frame
        self._longest_s = 0.0  # longest wait of the window
        self._judged_s = 0.0  # when the window was last evaluated
        self._faults = 0
        self._ahead_s = 0.0  # of the arrival, where timestamps have left the clock: it never goes back

    @property
    def longest_wait_s(self) -> float:
        """The longest wait for data lately, seconds: the length of bursts."""
        return self._longest_s

    def time_of(self, arrived_s: float, pts_s: float | None = None, waited_s: float | None = None) -> float:
        """Stream time of the next frame, seconds, strictly increasing. The first frame is at ``arrived_s``.

        arrived_s  when it arrived, seconds on any clock
        pts_s      its timestamp in the stream, seconds; None if it has none
        waited_s   for how long data was waited for, seconds; None: since the last frame. It is less if the reader was
                   busy or held up meanwhile
        """
        since_s = 0.0 if self._last is None else arrived_s - self._last.arrived_s
        waited_s = since_s if waited_s is None else min(waited_s, since_s)
        now = _Arrival(arrived_s, pts_s, 0 if self._last is None else self._last.number + 1, waited_s)
        if self._last is None:
            self._time_s = arrived_s
        else:
            by_pts = self._by_pts(now, self._last) if self.trusted else None
            time_s = self._by_arrival(now, self._last) if by_pts is None else by_pts
            self._time_s = max(time_s, self._time_s + _TICK_S)
        self._window.append(now)
        self._last = now
        if arrived_s - self._judged_s >= _EVERY_S:
            self._judged_s = arrived_s
            self._evaluate(arrived_s)
        return self._time_s

    def _by_pts(self, now: _Arrival, last: _Arrival) -> float | None:
        """The time by the timestamp; None if it has jumped or stopped. Then timestamps are not trusted for a while."""
        if now.pts_s is not None and last.pts_s is not None:
            step_s = now.pts_s - last.pts_s
            time_s = self._time_s + step_s
            late = step_s > now.arrived_s - last.arrived_s + _MOST_AHEAD_S
            if step_s > 0 and not late and now.arrived_s - time_s <= max(_MOST_BEHIND_S, 1.5 * self._longest_s):
                return time_s
        self._faults += 1
        self._window.clear()
        self._distrust(last)
        return None

    def _distrust(self, last: _Arrival) -> None:
        if self.trusted:
            self._ahead_s = max(self._ahead_s, self._time_s - last.arrived_s)
        self.trusted = False

    def _by_arrival(self, now: _Arrival, last: _Arrival) -> float:
        arrived_s = now.arrived_s + self._ahead_s
        if self.step_s is None:
            return max(arrived_s, self._within_first_burst(now, last))
        if now.waited_s >= _BURST * self.step_s and arrived_s >= self._time_s:
            return arrived_s
        # What arrives in a burst was taken since the last one: it ends at most one wait later.
        spread_s = self._time_s + _SLOWER * self.step_s
        return max(arrived_s, min(spread_s, arrived_s + self._longest_s))

    def _within_first_burst(self, now: _Arrival, last: _Arrival) -> float:
        """The time of a frame that was not waited for, while nothing else is known of its burst."""
        step_s = 0.0 if now.pts_s is None or last.pts_s is None else now.pts_s - last.pts_s
        if not 0 < step_s <= _LONGEST_STEP_S or now.waited_s >= _BURST * step_s:
            return now.arrived_s
        return min(self._time_s + step_s, now.arrived_s + _MOST_EARLY_S)

    def _evaluate(self, now_s: float) -> None:
        """Measure the mean step, and whether timestamps keep pace with the arrival.

        Only frames that had to be waited for show when they were taken: the others came from a buffer.
        """
        window = self._window
        longest_s = min(max(_WINDOW_S, _WAITS * self._longest_s), _LONGEST_WINDOW_S)
        while window and now_s - window[0].arrived_s > longest_s:
            window.popleft()
        arrivals = list(window)
        waits = [each.waited_s for each in arrivals[1:]]
        if not waits or sum(waits) < _LEAST_WAITED * (arrivals[-1].arrived_s - arrivals[0].arrived_s):
            return
        self._longest_s = max(waits)
        waited = [b for b, wait in zip(arrivals[1:], waits, strict=True) if wait >= _WAITED * self._longest_s]
        if len(waited) < 2:
            return
        first, last = waited[0], waited[-1]
        passed_s = last.arrived_s - first.arrived_s
        self.step_s = passed_s / (last.number - first.number)
        if len(waited) < _LEAST_WAITS or passed_s < _LEAST_S or self._faults >= _FAULTS:
            return
        pace = 0.0 if first.pts_s is None or last.pts_s is None else (last.pts_s - first.pts_s) / passed_s
        if 1 / _TOLERANCE <= pace <= _TOLERANCE:
            self.trusted = True
        elif self._last is not None:
            self._distrust(self._last)
