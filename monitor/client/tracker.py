"""Numbers in, losses out."""

from __future__ import annotations

from collections.abc import Mapping

from monitor.client.items import Gap


class SequenceTracker:
    """Finds what is missing from the numbers of one socket's messages. Pure.

    A subscriber that joins a running monitor misses nothing of what came before. Once a heartbeat has named all topics,
    or the monitor was seen to restart, a topic not met yet is known to begin at 1.
    """

    def __init__(self) -> None:
        self.epoch: str | None = None
        """The run whose numbers these are; None before the first."""
        self._begins_at_1 = False
        self._last: dict[str, int] = {}

    def enter(self, epoch: str) -> bool:
        """Take note of a message's epoch, before its number; True if the monitor was seen to restart."""
        if epoch == self.epoch:
            return False
        restarted = self.epoch is not None
        self.epoch, self._begins_at_1 = epoch, restarted
        self._last.clear()
        return restarted

    def received(self, topic: str, seq: int) -> tuple[bool, Gap | None]:
        """A message came: is it new (or seen before), and what is missing before it."""
        last = self._known(topic, seq - 1)
        self._last[topic] = max(seq, last)
        return seq > last, Gap(topic, last + 1, seq - 1) if seq > last + 1 else None

    def announced(self, last_seq: Mapping[str, int]) -> list[Gap]:
        """A heartbeat came with the last number of each topic that this socket should have had: what is missing."""
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
