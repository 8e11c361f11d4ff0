from __future__ import annotations

import logging
import re
import select
import socket
import stat
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
import zmq

from monitor.alerts.journal import Journal
from monitor.alerts.keys import ClientKeys, ServerKeys, make_keys
from monitor.alerts.message_parts import ModelRef
from monitor.alerts.messages import AlertMessage
from monitor.alerts.publisher import Publisher
from monitor.client import AlertSubscriber, Received
from monitor.errors import ConfigError, RefusedError
from monitor.states import AlertEvent, Phase
from tests.helpers import commands

ANY = "tcp://127.0.0.1:*"
DEADLINE_S = 20.0


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys of a monitor, of two clients, of an unknown client and of another monitor."""
    folder = tmp_path_factory.mktemp("keys")
    make_keys(folder / "keys")
    make_keys(folder / "keys", "second")
    make_keys(folder / "other")
    return folder


def publish_alert(publisher: Publisher, number: int) -> AlertMessage:
    return publisher.publish_alert(
        "cam1",
        AlertEvent(number, Phase.START, 10.0, None, 1.25, 1.5, 10.5, notify=True),
        started_at=1.5e9,
        ended_at=None,
        model=ModelRef(id="street", hash="ab12"),
        frame_age_s=0.1,
        dropped_frames=0,
    )


def crank(publisher: Publisher, subscriber: AlertSubscriber, done: Callable[[list[object]], bool]) -> list[object]:
    """Publish and receive in turn until ``done`` accepts the received items."""
    items: list[object] = []
    deadline = time.monotonic() + DEADLINE_S
    while not done(items):
        assert time.monotonic() < deadline, f"still not done: {items}"
        publisher.update_subscriptions(timeout_s=0.01)
        publisher.tick(time.monotonic())
        item = subscriber.next_now()
        if item is not None:
            items.append(item)
    return items


# Keys


def test_keys_are_for_their_owner_only_and_in_the_folders_where_they_belong(tmp_path: Path) -> None:
    written = make_keys(tmp_path / "keys")
    assert {str(file.relative_to(tmp_path / "keys")) for file in written} == {
        "monitor/server.key", "monitor/server.key_secret", "monitor/clients/client.key", "client/client.key_secret",
        "client/server.key",
    }  # fmt: skip
    assert {stat.S_IMODE(file.stat().st_mode) for file in written} == {0o600}
    assert sorted(p.name for p in (tmp_path / "keys").iterdir()) == ["client", "monitor"]
    server, client = ServerKeys(tmp_path / "keys/monitor"), ClientKeys.load(tmp_path / "keys/client")
    assert client.server == server.public
    assert client.public != client.server


def test_keys_are_never_overwritten(tmp_path: Path) -> None:
    first = {file: file.read_bytes() for file in make_keys(tmp_path)}
    with pytest.raises(ConfigError, match="already exists and is never overwritten: choose another --name"):
        make_keys(tmp_path)
    second = make_keys(tmp_path, "second")
    assert not set(second) & set(first)
    assert {file: file.read_bytes() for file in first} == first
    assert (tmp_path / "second/server.key").read_bytes() == (tmp_path / "client/server.key").read_bytes()


@pytest.mark.parametrize("name", ["", "monitor", "../x", "a/b", ".", ".."])
def test_a_client_s_name_cannot_lead_elsewhere(tmp_path: Path, name: str) -> None:
    with pytest.raises(ConfigError, match="cannot be a client's name"):
        make_keys(tmp_path, name)


def test_keys_that_cannot_be_used_are_one_sentence(tmp_path: Path, keys: Path) -> None:
    with pytest.raises(ConfigError, match=r"must contain the monitor's keys.*monitor\.client keys DIR"):
        Publisher(ANY, ANY, keys=tmp_path)
    with pytest.raises(ConfigError, match=r"must contain the keys of a client.*monitor\.client keys DIR"):
        AlertSubscriber(keys=keys / "keys")
    (tmp_path / "monitor" / "clients").mkdir(parents=True)
    (tmp_path / "monitor" / "server.key_secret").write_text("rubbish")
    with pytest.raises(ConfigError, match="is not a key file"):
        Publisher(ANY, ANY, keys=tmp_path / "monitor")
    (tmp_path / "monitor" / "server.key_secret").write_bytes((keys / "keys/monitor/server.key").read_bytes())
    with pytest.raises(ConfigError, match="contains no secret key"):
        Publisher(ANY, ANY, keys=tmp_path / "monitor")


def test_the_program_makes_keys_says_what_to_do_with_them_and_refuses_twice(tmp_path: Path) -> None:
    result = commands.client("keys", tmp_path / "keys")
    assert result.returncode == 0
    assert f'set keys = "{tmp_path}/keys/monitor" under [publish]' in result.stdout
    assert f"--keys {tmp_path}/keys/client" in result.stdout
    again = commands.client("keys", tmp_path / "keys")
    assert again.returncode == 2
    assert "never overwritten" in again.stderr
    assert again.stderr.count("\n") == 1


# Encrypted, end to end


def test_with_keys_an_address_open_to_other_machines_is_bound(keys: Path) -> None:
    with Publisher("tcp://0.0.0.0:*", "tcp://0.0.0.0:*", "tcp://0.0.0.0:*", keys=keys / "keys/monitor") as publisher:
        assert publisher.alerts_endpoint.startswith("tcp://0.0.0.0:")


def test_allowed_clients_get_alerts_scores_and_history(keys: Path, tmp_path: Path) -> None:
    with (
        Journal(tmp_path / "j") as journal,
        Publisher(ANY, ANY, ANY, keys=keys / "keys/monitor", journal=journal) as publisher,
    ):
        publish_alert(publisher, 1)
        for name in ("client", "second"):
            with AlertSubscriber(
                publisher.alerts_endpoint,
                since="1h",
                scores_endpoint=publisher.scores_endpoint,
                keys=keys / "keys" / name,
            ) as subscriber:

                def alert_and_score(items: list[object]) -> bool:
                    if "score/" in publisher.update_subscriptions():
                        publisher.publish_score("cam1", time_s=1.0, frame_index=1, score=0.5, captured_at=1.5e9, raw={})
                    topics = {item.message.topic for item in items if isinstance(item, Received)}
                    return topics == {"alert/cam1/", "score/cam1/"}

                crank(publisher, subscriber, alert_and_score)


class Eavesdropper:
    """Forwards one connection and records every byte that comes back."""

    def __init__(self, port: int) -> None:
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._port = port
        self.endpoint = f"tcp://127.0.0.1:{self._listening.getsockname()[1]}"
        self.heard = b""
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        with (
            suppress(ConnectionError),  # the side that closes first may reset the other
            self._listening,
            self._listening.accept()[0] as client,
            socket.create_connection(("127.0.0.1", self._port)) as server,
        ):
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(65_536)
                    if not data:
                        return
                    if ready is server:
                        self.heard += data
                    (client if ready is server else server).sendall(data)

    def join(self) -> None:
        self._thread.join(DEADLINE_S)


@pytest.mark.parametrize("encrypted", [True, False])
def test_with_keys_nobody_on_the_way_can_read_an_alert(keys: Path, encrypted: bool) -> None:
    with Publisher(ANY, ANY, keys=keys / "keys/monitor" if encrypted else None) as publisher:
        between = Eavesdropper(int(publisher.alerts_endpoint.rpartition(":")[2]))
        own = keys / "keys/client" if encrypted else None
        with AlertSubscriber(between.endpoint, keys=own, repair=False) as subscriber:

            def received(items: list[object]) -> bool:
                if "alert/" in publisher.update_subscriptions():
                    publish_alert(publisher, 1)
                return any(isinstance(item, Received) for item in items)

            crank(publisher, subscriber, received)
        between.join()
    assert (b"peak_score" in between.heard) is not encrypted


def test_a_client_whose_key_is_not_allowed_gets_nothing_and_both_sides_say_why(
    keys: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (keys / "stranger").mkdir(exist_ok=True)
    for name, source in (("client.key_secret", "other/client"), ("server.key", "keys/client")):
        (keys / "stranger" / name).write_bytes((keys / source / name).read_bytes())
    with (
        Publisher(ANY, ANY, ANY, keys=keys / "keys/monitor") as publisher,
        AlertSubscriber(publisher.alerts_endpoint, keys=keys / "stranger") as subscriber,
    ):
        began = time.monotonic()
        with pytest.raises(RefusedError, match="refused this client's key"):
            crank(publisher, subscriber, lambda _: not publish_alert(publisher, 1))
        assert time.monotonic() - began < 5
        assert publisher.update_subscriptions() == frozenset()
        public = ClientKeys.load(keys / "stranger").public.decode()
        assert f"refused a client at 127.0.0.1: its public key {public} is not in any file" in caplog.text


@pytest.mark.parametrize("mistake", ["no keys", "another monitor's key"])
def test_a_client_that_uses_wrong_keys_or_none_gets_nothing_and_both_sides_say_why(
    keys: Path, tmp_path: Path, mistake: str, caplog: pytest.LogCaptureFixture
) -> None:
    own: Path | None = None
    if mistake == "another monitor's key":
        own = tmp_path
        for name, source in (("client.key_secret", "keys/client"), ("server.key", "other/client")):
            (own / name).write_bytes((keys / source / name).read_bytes())
    with (
        Publisher(ANY, ANY, ANY, keys=keys / "keys/monitor") as publisher,
        AlertSubscriber(publisher.alerts_endpoint, keys=own) as subscriber,
    ):
        began = time.monotonic()
        says = "requires keys" if own is None else "server.key is not its public key"
        with pytest.raises(RefusedError, match=says):
            crank(publisher, subscriber, lambda _: not publish_alert(publisher, 1))
        assert time.monotonic() - began < 8
        assert publisher.update_subscriptions() == frozenset()
        deadline = time.monotonic() + DEADLINE_S
        while not re.search("refused a client at .*: it uses no keys, or a public key of another monitor", caplog.text):
            assert time.monotonic() < deadline, caplog.text
            publisher.update_subscriptions(timeout_s=0.05)


def test_a_client_without_keys_is_told_by_its_address(keys: Path, caplog: pytest.LogCaptureFixture) -> None:
    with (
        Publisher(ANY, ANY, ANY, keys=keys / "keys/monitor") as publisher,
        socket.create_connection(("127.0.0.1", int(publisher.alerts_endpoint.rpartition(":")[2]))) as client,
    ):
        publisher.update_subscriptions(timeout_s=0.5)  # a greeting also takes a while over a network
        client.sendall(b"\xff\0\0\0\0\0\0\0\x01\x7f\x03\x01NULL" + bytes(48))
        deadline = time.monotonic() + DEADLINE_S
        while "refused a client at 127.0.0.1: it uses no keys" not in caplog.text:
            assert time.monotonic() < deadline, caplog.text
            publisher.update_subscriptions(timeout_s=0.05)


def test_a_stranger_does_not_keep_an_allowed_client_out(keys: Path) -> None:
    with (
        Publisher(ANY, ANY, ANY, keys=keys / "keys/monitor") as publisher,
        zmq.Context() as context,
        context.socket(zmq.SUB) as stranger,
        AlertSubscriber(publisher.alerts_endpoint, keys=keys / "keys/client") as subscriber,
    ):
        stranger.linger = 0
        stranger.subscribe("")
        stranger.connect(publisher.alerts_endpoint)

        def received(items: list[object]) -> bool:
            if "alert/" in publisher.update_subscriptions():
                publish_alert(publisher, 1)
            return any(isinstance(item, Received) for item in items)

        crank(publisher, subscriber, received)
        assert not stranger.poll(100)


def test_a_client_is_let_in_and_shut_out_without_a_restart(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_keys(tmp_path / "keys")
    server = ServerKeys(tmp_path / "keys/monitor")
    raw = zmq.utils.z85.decode(ClientKeys.load(tmp_path / "keys/client").public)
    assert server.name_of(raw) == "client"
    listed = tmp_path / "keys/monitor/clients/client.key"
    content = listed.read_bytes()
    listed.unlink()
    assert server.name_of(raw) is None
    (listed.parent / "torn.key").write_text("half a k")
    listed.write_bytes(content)
    with caplog.at_level(logging.WARNING):
        assert server.name_of(raw) == "client"
    assert "torn.key is not a key file" in caplog.text


def test_a_secret_key_that_others_can_read_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    make_keys(tmp_path)
    (tmp_path / "client/client.key_secret").chmod(0o644)
    ClientKeys.load(tmp_path / "client")
    assert "other users can read the secret key" in caplog.text
