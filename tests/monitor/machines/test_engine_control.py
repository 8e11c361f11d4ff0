"""A node asks its monitor over a real control socket, and never waits for it."""

from __future__ import annotations

from monitor.alerts.control import Kept, Ping, decode_reply
from monitor.alerts.control_desk import Desk, Done
from monitor.alerts.messages import encode
from monitor.machines.engine_control import MOST_OPEN, EngineControl
from tests.helpers.controlled import controlled
from tests.monitor.machines.test_fleet_network import wait_for


def test_requests_are_answered_each_on_its_own_also_with_what_is_kept_of_a_long_event() -> None:
    def prepare(desk: Desk) -> None:
        desk.serve(Kept, lambda *_: Done("", {"traits": "x" * 1_400_000}))

    found: dict[int, bytes | None] = {}

    def answered(control: EngineControl) -> int:
        found.update(control.take())
        return len(found)

    with controlled(prepare) as publisher:
        assert publisher.control is not None
        control = EngineControl(publisher.control.endpoint)
        assert control.ask(1, encode(Kept(event="long")), 60.0)
        assert control.ask(2, encode(Ping()), 60.0)
        wait_for(lambda: answered(control) == 2)
        control.close()
    long, ping = found[1], found[2]
    assert long is not None
    assert ping is not None
    assert len(decode_reply(long).data["traits"]) == 1_400_000
    assert decode_reply(ping).reply == "ok"


def test_a_monitor_that_does_not_answer_is_given_up() -> None:
    now = 0.0
    control = EngineControl("ipc://@true-sight-nobody", lambda: now)
    assert all(control.ask(number, b"{}", 5.0) for number in range(MOST_OPEN))
    assert not control.ask(99, b"{}", 5.0)
    assert control.take() == []
    now = 6.0
    assert control.take() == [(number, None) for number in range(MOST_OPEN)]
    assert control.ask(99, b"{}", 5.0)
    control.close()
