"""Requests from another thread of this process."""

from __future__ import annotations

from monitor.alerts.control import ControlReply, Ping, Undo
from monitor.alerts.control_desk import Asker, Desk, Done
from monitor.alerts.control_queue import MOST_WAITING, ControlQueue


def test_a_request_is_answered_by_the_main_thread_and_recorded_with_who_asked() -> None:
    noted: list[tuple[str, str]] = []
    desk = Desk("lab", "e1", record=lambda asker, _, said: noted.append((str(asker), said)))
    desk.serve(Undo, lambda request, _: Done(f"undone {request.event}"))
    queue, replies = ControlQueue(desk, Asker("mqtt")), list[ControlReply]()
    assert queue.ask(Undo(event="e1"), replies.append)
    assert replies == []
    queue.tick()
    assert [(reply.reply, reply.said) for reply in replies] == [("ok", "undone e1")]
    assert noted == [("mqtt", "undone e1")]


def test_a_request_that_takes_long_is_finished_and_a_flood_is_refused() -> None:
    desk = Desk("lab", "e1")

    def slowly(_request: object, _asker: object):  # type: ignore[no-untyped-def]
        for _ in range(3):
            yield
        return Done("at last")

    desk.serve(Undo, slowly)
    queue, replies = ControlQueue(desk, Asker("mqtt")), list[ControlReply]()
    assert queue.ask(Undo(event="e1"), replies.append)
    taken = sum(queue.ask(Ping(), replies.append) for _ in range(1000))
    assert taken == MOST_WAITING - 1
    for _ in range(100):
        queue.tick()
    assert replies[0].said == "at last"
    assert len(replies) == MOST_WAITING
