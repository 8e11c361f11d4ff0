"""Lets a file run ahead while it is learned from, and holds it until there is a model to watch the rest with."""

from __future__ import annotations

import threading

_LOOK_S = 0.1  # how soon a stop is noticed


class Hold:
    """The first ``duration_s`` seconds of stream time pass as fast as they are read; the next frame waits.

    Used by a capture thread (``admit``) and the main thread (the rest).
    """

    def __init__(self, duration_s: float) -> None:
        self._duration_s = duration_s
        self._first_s: float | None = None
        self._reached, self._released = threading.Event(), threading.Event()
        self.ended = False
        """True where nothing more is wanted of the source."""
        self.began_again = False
        """True where a looped file is shorter than the duration: all of it has passed, and nothing twice."""

    @property
    def reached(self) -> bool:
        """True once the duration is over, or was before."""
        return self._reached.is_set()

    def begin_again(self) -> None:
        """A looped file has come to its end: its next frame waits, if none has waited yet.

        Footage that is learned from twice is footage that no detector can be held to: it knows all of it.
        """
        if not self._reached.is_set():
            self.began_again = True

    def release(self) -> None:
        """Go on from here, in the source's own time."""
        self._released.set()

    def end(self) -> None:
        """Go on no more."""
        self.ended = True
        self._released.set()

    def admit(self, time_s: float, stop: threading.Event) -> bool:
        """Called before a frame of this stream time; waits where it is held. True if it need not wait for its time."""
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
