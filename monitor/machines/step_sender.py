"""Sends the steps of a node to the gateway, in order, until the gateway has dealt with each. Pure; no sockets.

Steps of an earlier run of the node, which its journal still holds, come first. Connections lose messages when they
break, so steps are numbered per session: if one is missing, or if no answer comes, a new session begins with the first
one that was not dealt with.
"""

from __future__ import annotations

import sqlite3
from collections import deque
from collections.abc import Callable

from monitor.machines.fleet_messages import StepHead, Taken
from monitor.machines.step_journal import Step, StepJournal

WINDOW = 256
"""Steps that may wait for an answer."""
AGAIN_S = 3.0
"""Without an answer for so long, a new session begins."""
MOST_IN_MEMORY = 5000
"""Steps of this run in memory, so that they are sent even if the disk is away. Others are read from the journal."""
_FORGET_AT, _FORGET_S = 100, 0.5


class StepSender:
    """send: puts a step on the way to the gateway."""

    def __init__(self, journal: StepJournal, node: str, boot: str, send: Callable[[StepHead, Step], None]) -> None:
        self._journal, self._node, self._boot, self._send = journal, node, boot, send
        self._queue: deque[Step] = deque()
        self._backlog_from, self._backlog_to = 0, journal.last_position if len(journal) else 0
        self._flying: deque[Step] = deque()
        self._session, self._begun, self._answered = 1, 0, 0
        self._heard_at = 0.0
        self._gone: list[int] = []
        self._forgot_at = 0.0

    @property
    def waiting(self) -> int:
        """Steps in memory that the gateway has not dealt with."""
        return len(self._queue) + len(self._flying)

    @property
    def done(self) -> bool:
        """Whether the gateway has dealt with everything."""
        return not self.waiting and self._backlog_from >= self._backlog_to

    def offer(self, step: Step) -> None:
        """A new step, which is in the journal if the disk allows it."""
        self._queue.append(step)
        if len(self._queue) > MOST_IN_MEMORY:
            self._backlog_to = self._queue[-1].position
            self._queue.clear()

    def taken(self, reply: Taken, now: float) -> None:
        """The gateway's answer."""
        if reply.boot != self._boot or reply.session != self._session:
            return
        self._heard_at = now
        while self._answered < reply.count and self._flying:
            self._gone.append(self._flying.popleft().position)
            self._answered += 1
        if reply.again:
            self.again(now)

    def again(self, now: float) -> None:
        """Begin a new session."""
        self._queue.extendleft(reversed(self._flying))
        self._flying.clear()
        self._session, self._begun, self._answered = self._session + 1, 0, 0
        self._heard_at = now

    def tick(self, now: float) -> None:
        """Send what may be sent. Call it often."""
        if self._flying and now - self._heard_at > AGAIN_S:
            self.again(now)
        if not self._flying:
            self._heard_at = now
        while len(self._flying) < WINDOW and (step := self._next()) is not None:
            head = StepHead(
                node=self._node,
                boot=self._boot,
                session=self._session,
                index=self._begun,
                position=step.position,
                camera=step.camera,
                epoch=step.epoch,
                age_s=step.age_s,
            )
            self._begun += 1
            self._flying.append(step)
            self._send(head, step)
        if len(self._gone) >= _FORGET_AT or (self._gone and now - self._forgot_at >= _FORGET_S):
            self._forgot_at = now
            try:
                self._journal.taken(self._gone)
            except sqlite3.Error:  # the disk is away: they are sent again after a restart, and taken once
                return
            self._gone.clear()

    def _next(self) -> Step | None:
        # What was sent before, or came before the backlog was complete, is older than the rest of the backlog.
        if self._queue and (self._backlog_from >= self._backlog_to or self._queue[0].position <= self._backlog_from):
            return self._queue.popleft()
        if self._backlog_from < self._backlog_to:
            try:
                page = self._journal.page(self._backlog_from, WINDOW)
            except sqlite3.Error:
                # The disk is away. Steps of this run have epochs of their own, so they need not wait.
                return self._queue.popleft() if self._queue else None
            page = [step for step in page if step.position <= self._backlog_to]
            self._backlog_from = page[-1].position if page else self._backlog_to
            self._queue.extendleft(reversed(page))
            return self._next()
        return None
