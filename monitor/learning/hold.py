"""Reads the beginning of a file at full speed for learning, then holds the file until there is a model for the rest."""

from __future__ import annotations

import threading

_LOOK_S = 0.1  # a stop is noticed after this time, at most


class Hold:
    """The first ``duration_s`` seconds of stream time pass as fast as they are read; the next frame waits.

    The capture thread calls ``admit`` and ``begin_again``; the main thread calls the other methods.
    """

    def __init__(self, duration_s: float) -> None:
        self._duration_s = duration_s
        self._first_s: float | None = None
        self._reached, self._released = threading.Event(), threading.Event()
        self.ended = False
        """True if no more frames of the source are wanted."""
        self.began_again = False
        """True if a looped file is shorter than the duration: each of its frames has passed exactly once."""

    @property
    def reached(self) -> bool:
        """True once the first frame after the duration has arrived; it stays True."""
        return self._reached.is_set()

    def begin_again(self) -> None:
        """Called when a looped file starts again: its next frame waits, if no frame has waited yet.

        The same footage must not be recorded twice: detectors are calibrated on footage that they have not learned.
        """
        if not self._reached.is_set():
            self.began_again = True

    def release(self) -> None:
        """Continue, at the source's own pace."""
        self._released.set()

    def end(self) -> None:
        """End the source."""
        self.ended = True
        self._released.set()

    def admit(self, time_s: float, stop: threading.Event) -> bool:
        """Called before a frame of this stream time; waits while the file is held. True if the frame is not paced."""
        if self._first_s is None:
            self._first_s = time_s
        if self._reached.is_set():
            return False
        if time_s - self._first_s < self._duration_s and not self.began_again:
            return True
        self._reached.set()
        while not self._released.wait(_LOOK_S) and not stop.is_set():
            pass
        return True
