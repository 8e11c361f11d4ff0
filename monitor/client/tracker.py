"""Finds lost messages from message numbers."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.client.items import Gap


class SequenceTracker:
    """Finds gaps in the message numbers of one socket. Does no I/O.

    A subscriber that joins a running monitor does not count earlier messages as missing. After a heartbeat has named
    all topics, or after a restart of the monitor, a new topic must begin at 1.
    """

    def __init__(self) -> None:
        self.epoch: str | None = None
        """The run that these numbers belong to; None before the first message."""
        self._begins_at_1 = False
        self._last: dict[str, int] = {}

    def enter(self, epoch: str) -> bool:
        """Record the epoch of a message, before its number. Returns True if the monitor has restarted."""
        if epoch == self.epoch:
            return False
        restarted = self.epoch is not None
        self.epoch, self._begins_at_1 = epoch, restarted
        self._last.clear()
        return restarted

    def received(self, topic: str, seq: int) -> tuple[bool, Gap | None]:
        """Record a message. Returns True if it is new, and the gap before it, if any."""
        last = self._known(topic, seq - 1)
        self._last[topic] = max(seq, last)
        return seq > last, Gap(topic, last + 1, seq - 1) if seq > last + 1 else None

    def announced(self, last_seq: Mapping[str, int]) -> list[Gap]:
        """Record a heartbeat: the last number of each topic on this socket. Returns the missing messages."""
        gaps = []
        for topic, seq in last_seq.items():
            last = self._known(topic, seq)
            self._last[topic] = max(seq, last)
            if seq > last:
                gaps.append(Gap(topic, last + 1, seq))
        self._begins_at_1 = True
        return gaps

    def _known(self, topic: str, when_joining: int) -> int:
        return self._last.get(topic, 0 if self._begins_at_1 else when_joining)
