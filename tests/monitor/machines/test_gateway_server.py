import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from monitor.alerts.journal import Journal
from monitor.alerts.messages import encode
from monitor.alerts.publisher import Publisher
from monitor.client import AlertSubscriber, Received
from monitor.errors import BindError, ConfigError, RunError
from monitor.machines.fleet_messages import Fence, Fenced, Granted, Renewal, Report, StepHead, Taken, decoded, encoded
from monitor.machines.fleet_socket import ClientSocket, ServerSocket
from monitor.machines.fleet_token import make_token, read_token
from monitor.machines.gateway_server import FENCE, FENCED, GRANTED, RENEWAL, STEP, TAKEN, GatewayServer
from monitor.machines.step_journal import Step, StepJournal
from monitor.machines.step_sender import StepSender
from tests.helpers.alert_messages import an_alert_message
from tests.helpers.publishing import ANY, DEADLINE_S

TOKEN = "a token of this fleet alone"  # noqa: S105 - of a test


def open_publisher(journal: Journal) -> Publisher:
    return Publisher(ANY, ANY, ANY, node="lab", journal=journal, carries=True)


@contextmanager
def running(folder: Path, endpoint: str = ANY, token: str | None = TOKEN) -> Iterator[GatewayServer]:
    """A gateway in a thread of its own."""
    started, ended, running = threading.Event(), threading.Event(), []

    def run() -> None:
        with GatewayServer("lab", folder, endpoint, token, open_publisher) as server:
            running.append(server)
            started.set()
            while not ended.is_set():
                server.pump(0.02)

    thread = threading.Thread(target=run)
    thread.start()
    assert started.wait(DEADLINE_S)
    try:
        yield running[0]
    finally:
        ended.set()
        thread.join()


class Node:
    """A node with a real journal and socket."""

    def __init__(self, folder: Path, name: str, endpoint: str, token: str | None = TOKEN) -> None:
        self.name = name
        self.journal = StepJournal(folder / f"{name}.sqlite3")
        self.socket = ClientSocket(endpoint, token, "the gateway")
        self.granted: list[Granted] = []

    def __enter__(self) -> "Node":
        self.journal.__enter__()
        self.socket.__enter__()
        self.sender = StepSender(self.journal, self.name, "boot", self._send)
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.__exit__()
        self.journal.__exit__()

    def _send(self, head: StepHead, step: Step) -> None:
        self.socket.send(STEP, encoded(head), step.topic.encode(), step.body, step.jpeg or b"")

    def alert(self, number: int, epoch: int = 5, age_s: float = 1.0) -> None:
        body = encode(an_alert_message(event_id=f"{self.name}-gate-{number}"))
        self.sender.offer(self.journal.append("gate", epoch, age_s, "alert/gate/", body, b"picture")[0])

    def pump(self, until: Callable[[], bool]) -> None:
        deadline = time.monotonic() + DEADLINE_S
        while not until():
            assert time.monotonic() < deadline
            self.sender.tick(time.monotonic())
            for kind, parts in self.socket.receive(0.02):
                if kind == TAKEN:
                    self.sender.taken(decoded(Taken, parts[0]), time.monotonic())
                elif kind == GRANTED:
                    self.granted.append(decoded(Granted, parts[0]))


def test_a_client_sees_one_monitor_and_each_alert_of_two_nodes_once(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        endpoint = server.publisher.alerts_endpoint
        with (
            Node(tmp_path, "south", server.socket.endpoint) as south,
            Node(tmp_path, "north", server.socket.endpoint) as north,
            AlertSubscriber(endpoint, since="1h", timeout_s=DEADLINE_S) as subscriber,
        ):
            for number in range(20):
                south.alert(number)
                north.alert(number, epoch=6)
            south.pump(lambda: south.sender.done)
            north.pump(lambda: north.sender.done)
            south.alert(99, epoch=5, age_s=60.0)  # a zombie: north has the camera
            south.pump(lambda: south.sender.done)
            found = []
            for item in subscriber:
                if isinstance(item, Received):
                    found.append(item)
                if len(found) == 40:
                    break
        assert {item.message.node for item in found} == {"lab"}
        assert {item.jpeg for item in found} == {b"picture"}
        ids = [str(getattr(item.message, "event_id", "")) for item in found]
        assert sorted(ids) == sorted(f"{node}-gate-{number}" for node in ("south", "north") for number in range(20))
        assert server.desk.counts == {"taken": 40, "stale": 1}


def test_what_was_journalled_while_the_gateway_was_away_is_told_once_when_it_is_back(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        endpoint = server.socket.endpoint
        with Node(tmp_path, "south", endpoint) as south:
            south.alert(1)
            south.pump(lambda: south.sender.done)
    with Node(tmp_path, "south", endpoint) as south:
        south.alert(2)
        south.sender.tick(time.monotonic())
        with running(tmp_path, endpoint) as server:
            south.alert(3)
            south.pump(lambda: south.sender.done)
            assert server.desk.counts["taken"] == 2
    with Journal(tmp_path / "journal.sqlite3") as journal:
        assert len(journal.page(0, ("alert/",), limit=9, max_bytes=10**7).entries) == 3


def test_renewals_and_fences_are_answered(tmp_path: Path) -> None:
    report = Report(epoch=5, state="watching", since_s=0.0)
    asked = Renewal(node="south", boot="boot", number=1, cameras={"gate": report})
    with running(tmp_path) as server, Node(tmp_path, "south", server.socket.endpoint) as south:
        south.pump(lambda: south.socket.send(RENEWAL, encoded(asked)))
        south.pump(lambda: bool(south.granted))
        assert south.granted[0].refused == ()
        with ClientSocket(server.socket.endpoint, TOKEN, "the gateway") as coordinator:
            fence = encoded(Fence(number=1, cameras={"gate": (5, 6, "north")}))
            deadline = time.monotonic() + DEADLINE_S
            while not coordinator.send(FENCE, fence):
                assert time.monotonic() < deadline
            ((kind, parts),) = coordinator.receive(DEADLINE_S)
            assert kind == FENCED
            assert 5.0 < decoded(Fenced, parts[0]).wait_s["gate"] <= 10.0


def test_a_wrong_token_is_said_at_both_ends_and_counted_and_the_rest_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with running(tmp_path) as server:
        with Node(tmp_path, "stranger", server.socket.endpoint, "another token altogether") as stranger:
            stranger.alert(1)
            stranger.pump(lambda: stranger.socket.refused > 0 and server.socket.refused > 0)
            assert not stranger.sender.done
        with Node(tmp_path, "south", server.socket.endpoint) as south:
            south.alert(1)
            south.pump(lambda: south.sender.done)
        assert server.desk.counts == {"taken": 1}
    assert sum("without the token of this fleet tries to connect" in line for line in caplog.messages) == 1
    assert sum("because its token is another one: copy the token" in line for line in caplog.messages) == 1


def test_what_is_no_message_is_counted_and_the_rest_goes_on(tmp_path: Path) -> None:
    with running(tmp_path) as server, Node(tmp_path, "south", server.socket.endpoint) as south:
        south.alert(1)
        south.pump(lambda: south.sender.done)
        for kind, parts in ((STEP, [b"{}"]), (b"?", [b""]), (RENEWAL, [])):
            assert south.socket.send(kind, *parts)
        south.alert(2)
        south.pump(lambda: south.sender.done)
        assert server.malformed == 3
        assert server.desk.counts == {"taken": 2}


def test_a_second_gateway_with_the_same_folder_or_address_is_refused(tmp_path: Path) -> None:
    with running(tmp_path) as server:
        again = GatewayServer("lab", tmp_path, ANY, TOKEN, open_publisher)
        with pytest.raises(RunError, match=r"the gateway 'lab' runs already with .*: stop it, or give this one"), again:
            pass
        other = GatewayServer("lab", tmp_path / "other", server.socket.endpoint, TOKEN, open_publisher)
        with pytest.raises(BindError, match="may be another gateway of this fleet"), other:
            pass


def test_other_machines_need_a_token() -> None:
    with pytest.raises(ConfigError, match="so it needs a token"):
        ServerSocket("tcp://0.0.0.0:5570", None)
    ServerSocket("tcp://0.0.0.0:5570", TOKEN)
    ServerSocket("tcp://127.0.0.1:5570", None)


def test_a_token_is_made_once_and_is_for_this_user_only(tmp_path: Path) -> None:
    path = tmp_path / "fleet" / "token"
    token = make_token(path)
    assert make_token(path) == read_token(path) == token
    assert path.stat().st_mode & 0o777 == 0o600
    for content in (b"", b"short", b"\xff" * 40, b"two words and more than twenty letters"):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match="holds no token: copy it from the machine of the head"):
            read_token(path)
    path.unlink()
    with pytest.raises(ConfigError, match=r"cannot be read .*: copy it from the machine of the head"):
        read_token(path)
