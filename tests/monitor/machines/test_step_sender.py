import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.machines.fleet_messages import StepHead, Taken
from monitor.machines.step_journal import Step, StepJournal
from monitor.machines.step_sender import AGAIN_S, WINDOW, StepSender


class Line:
    """A gateway that takes steps in order, at the end of a line that loses messages."""

    def __init__(self, seed: int, loss: float) -> None:
        self.random, self.loss = random.Random(seed), loss
        self.came: list[bytes] = []
        self.position = 0
        self.stream = (0, 0)
        self.replies: list[Taken] = []

    def send(self, head: StepHead, step: Step) -> None:
        if self.random.random() < self.loss:
            return
        session, count = self.stream
        if head.session > session:
            session, count = head.session, 0
        if head.session < session or head.index != count:
            again = head.session == session and head.index > count
            reply = Taken(boot=head.boot, session=head.session, count=count if again else 0, again=again)
        else:
            if head.position > self.position:  # else it is a duplicate
                self.came.append(step.body)
                self.position = head.position
            self.stream = session, count + 1
            reply = Taken(boot=head.boot, session=session, count=count + 1)
        if self.random.random() >= self.loss:
            self.replies.append(reply)

    def answer(self, sender: StepSender, now: float) -> None:
        replies, self.replies = self.replies, []
        for reply in replies:
            sender.taken(reply, now)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[StepJournal]:
    with StepJournal(tmp_path / "node.sqlite3", power_safe=False) as opened:
        yield opened


@pytest.mark.parametrize("seed", range(5))
def test_each_step_arrives_once_and_in_order_over_a_line_that_loses_messages(journal: StepJournal, seed: int) -> None:
    bodies = [f"{number}".encode() for number in range(300)]
    for body in bodies[:100]:  # of an earlier run
        journal.append("gate", 1, 0.0, "alert/gate/", body)
    line = Line(seed, loss=0.1)
    sender = StepSender(journal, "south", "boot", line.send)
    now = 0.0
    for body in bodies[100:]:
        sender.offer(journal.append("gate", 1, 0.0, "alert/gate/", body)[0])
        sender.tick(now)
        line.answer(sender, now)
        now += 0.1
    while not sender.done:
        assert now < 10_000
        sender.tick(now)
        line.answer(sender, now)
        now += 0.1
    sender.tick(now + 10.0)
    assert line.came == bodies
    assert len(journal) == 0


def test_without_an_answer_a_new_session_begins_with_the_first_step(journal: StepJournal) -> None:
    sent: list[StepHead] = []
    sender = StepSender(journal, "south", "boot", lambda head, _: sent.append(head))
    for number in range(WINDOW + 10):
        sender.offer(journal.append("gate", 1, 0.0, "alert/gate/", bytes([number % 256]))[0])
    sender.tick(0.0)
    assert len(sent) == WINDOW
    sender.tick(AGAIN_S / 2)
    assert len(sent) == WINDOW
    sender.tick(AGAIN_S + 0.1)
    assert len(sent) == 2 * WINDOW
    assert (sent[WINDOW].session, sent[WINDOW].index) == (2, 0)
    assert sent[WINDOW].position == sent[0].position
    sender.taken(Taken(boot="boot", session=1, count=5), 4.0)  # of the session before
    sender.tick(4.0)
    assert sender.waiting == WINDOW + 10
