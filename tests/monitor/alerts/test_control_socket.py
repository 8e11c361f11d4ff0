"""The control socket against real clients and hostile peers."""

from __future__ import annotations

import logging
import time
from pathlib import Path

import pytest
import zmq
from typer.testing import CliRunner

from monitor.alerts.bus.zmtp import encode_frame
from monitor.alerts.control import Ping, Undo
from monitor.alerts.control_desk import Desk, Done
from monitor.alerts.endpoints import control_beside
from monitor.alerts.keys import make_keys
from monitor.alerts.messages import encode
from monitor.alerts.publisher import Publisher
from monitor.client import Controller
from monitor.client.__main__ import app
from monitor.errors import ConfigError, RefusedError, RunError
from tests.helpers.controlled import controlled
from tests.helpers.publishing import ANY, DEADLINE_S
from tests.helpers.raw_peer import RawPeer, hello


def undoing(desk: Desk) -> None:
    desk.serve(Undo, lambda request, asker: Done(f"{asker} undid {request.event}"))


def test_a_client_finds_the_socket_by_the_alerts_address() -> None:
    with controlled(undoing) as publisher, Controller(publisher.alerts_endpoint, timeout_s=DEADLINE_S) as controller:
        assert controller.ask(Ping()).said == "the monitor answers; this client may change things"
        assert controller.ask(Undo(event="e1-door-1")).said == "127.0.0.1 undid e1-door-1"
    done = CliRunner().invoke(app, ["ping", "--endpoint", "tcp://127.0.0.1:9", "--timeout", "0.2"])
    assert done.exit_code == 1
    assert "no monitor answered at tcp://127.0.0.1:9 within 0.2 s" in done.stderr


def test_ping_says_what_this_client_may_do() -> None:
    with controlled() as publisher:
        done = CliRunner().invoke(app, ["ping", "--endpoint", publisher.alerts_endpoint])
    assert (done.exit_code, done.stdout) == (0, "the monitor answers; this client may change things\n")


def test_a_monitor_without_control_is_one_sentence() -> None:
    with (
        controlled(control=None) as publisher,
        pytest.raises(RunError, match="has no control socket"),
        Controller(publisher.alerts_endpoint, timeout_s=DEADLINE_S),
    ):
        pass


def test_keys_say_who_asks_and_what_it_may(tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    make_keys(keys, "phone")
    make_keys(keys, "desk", control=True)
    make_keys(tmp_path / "other")
    with controlled(undoing, keys=keys / "monitor") as publisher:
        at = publisher.alerts_endpoint
        with Controller(at, keys=keys / "phone", timeout_s=DEADLINE_S) as phone:
            assert phone.ask(Ping()).data == {"changes": False, "name": "phone"}
            assert "phone.key" in phone.ask(Undo(event="e")).said
            # Moving the key counts at once, without a new connection.
            (keys / "monitor/clients/phone.key").rename(keys / "monitor/controllers/phone.key")
            assert phone.ask(Undo(event="e")).said == "phone at 127.0.0.1 undid e"
        with Controller(at, keys=keys / "desk", timeout_s=DEADLINE_S) as desk:
            assert desk.ask(Undo(event="e")).said == "desk at 127.0.0.1 undid e"
        with pytest.raises(RefusedError), Controller(at, keys=tmp_path / "other/client", timeout_s=DEADLINE_S):
            pass


def test_hostile_peers_do_not_keep_others_from_being_answered(caplog: pytest.LogCaptureFixture) -> None:
    with controlled(undoing) as publisher, caplog.at_level(logging.WARNING):
        assert publisher.control is not None
        at = publisher.control.endpoint
        with (
            RawPeer(at, b"GET / HTTP/1.1\r\n\r\n"),
            RawPeer(at, hello("DEALER") + encode_frame(b"x" * 70_000)),
            RawPeer(at, hello("DEALER") + encode_frame(b"no json") * 2_000),  # never reads its replies
            RawPeer(at, hello("SUB")),
            RawPeer(at),  # silent
            Controller(publisher.alerts_endpoint, timeout_s=DEADLINE_S) as controller,
        ):
            for _ in range(20):
                assert controller.ask(Undo(event="e")).reply == "ok"


def test_a_request_waits_for_its_reply_before_the_next_is_read() -> None:
    with controlled(undoing) as publisher, zmq.Context() as context, context.socket(zmq.DEALER) as asking:
        assert publisher.control is not None
        asking.linger = 0
        asking.connect(publisher.control.endpoint)
        for number in range(50):
            asking.send(encode(Undo(event=f"e{number}")))
        for number in range(50):
            assert asking.poll(int(DEADLINE_S * 1000))
            assert f"undid e{number}".encode() in asking.recv()


def test_a_slow_client_costs_a_tick_no_time() -> None:
    with Publisher(ANY, ANY, ANY, ANY) as publisher, zmq.Context() as context, context.socket(zmq.DEALER) as asking:
        assert publisher.control is not None
        asking.linger, asking.rcvhwm = 0, 1
        asking.connect(publisher.control.endpoint)
        for _ in range(500):
            asking.send(b"{}")
        longest = 0.0
        for _ in range(50):
            began = time.monotonic()
            publisher.control.tick()
            longest = max(longest, time.monotonic() - began)
        assert longest < 1.0


def test_control_without_keys_is_never_open_to_other_machines() -> None:
    with pytest.raises(ConfigError, match="could change what this monitor alerts to"):
        Publisher(ANY, ANY, ANY, "tcp://0.0.0.0:*", insecure=True)


@pytest.mark.parametrize(
    ("alerts", "control"),
    [
        ("tcp://127.0.0.1:5560", "tcp://127.0.0.1:5563"),
        ("tcp://[::1]:*", "tcp://[::1]:*"),
        ("tcp://127.0.0.1:65533", "tcp://127.0.0.1:*"),
        ("ipc:///run/alerts", "ipc:///run/alerts-control"),
    ],
)
def test_the_usual_address_is_beside_the_alerts(alerts: str, control: str) -> None:
    assert control_beside(alerts) == control
