"""A real MQTT broker for tests, Debian's mosquitto, and a client that records what it gets."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from paho.mqtt.client import Client
from paho.mqtt.enums import CallbackAPIVersion

from monitor.processes import ending_with_this_process

DEADLINE_S = 60.0
PROGRAM = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


class Mosquitto:
    """A context manager around the broker's process. ``stop`` and ``start`` keep the port.

    folder  for its files
    tls     lines of the config for TLS; empty for none
    keeps   True: keep sessions and retained messages over a restart
    login   user and password that it asks for, or None
    """

    def __init__(
        self, folder: Path, *, tls: str = "", keeps: bool = False, login: tuple[str, str] | None = None
    ) -> None:
        assert PROGRAM is not None
        with socket.socket() as holder:
            holder.bind(("127.0.0.1", 0))
            self.port = int(holder.getsockname()[1])
        self._config = folder / "mosquitto.conf"
        lines = [f"listener {self.port} 127.0.0.1", f"allow_anonymous {'false' if login else 'true'}", tls]
        if keeps:
            lines += ["persistence true", f"persistence_location {folder}/"]
        if login is not None:
            passwords = folder / "passwords"
            passwords.touch(mode=0o600)
            subprocess.run(["mosquitto_passwd", "-b", passwords, *login], check=True, capture_output=True)  # noqa: S607
            lines.append(f"password_file {passwords}")
        if os.geteuid() == 0:
            lines.append("user root")  # otherwise it changes to a user that cannot read the folder
        self._config.write_text("\n".join(lines) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the broker, and wait until it listens."""
        assert PROGRAM is not None
        self._process = subprocess.Popen(
            [PROGRAM, "-c", self._config],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=ending_with_this_process(),
        )
        deadline = time.monotonic() + DEADLINE_S
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                assert time.monotonic() < deadline, "mosquitto does not listen"
                assert self._process.poll() is None, "mosquitto has ended"
                time.sleep(0.02)

    def stop(self) -> None:
        """End the broker. Unless it keeps them, it forgets all sessions and retained messages."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait(DEADLINE_S)
            self._process = None


class Observer:
    """A client that records everything. Use it as a context manager.

    keeps  True: the broker keeps what comes while this client is away
    got   all messages in order: topic, payload, retained
    last  topic -> last payload
    """

    def __init__(self, port: int, *, keeps: bool = False, set_up: Callable[[Client], object] = lambda _: None) -> None:
        self.got: list[tuple[str, bytes, bool]] = []
        self.last: dict[str, bytes] = {}
        self._changed = threading.Condition()
        self._port = port
        self._client = Client(CallbackAPIVersion.VERSION2, client_id="observer", clean_session=not keeps)
        self._client.on_connect = lambda client, *_: client.subscribe("#", 1)
        self._listens = threading.Event()
        self._client.on_subscribe = lambda *_: self._listens.set()
        self._client.on_message = self._on_message
        self._client.reconnect_delay_set(1, 1)
        set_up(self._client)

    def __enter__(self) -> Self:
        self._client.connect_async("127.0.0.1", self._port)
        self._client.loop_start()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: str, *, retain: bool = False) -> None:
        """Publish, and wait until the broker has it. A client that is not connected yet would refuse."""
        assert self._listens.wait(DEADLINE_S), "the broker does not answer"
        self._client.publish(topic, payload, qos=1, retain=retain).wait_for_publish(DEADLINE_S)

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        """Wait until a condition about what was received holds. Raises AssertionError if it does not."""
        with self._changed:
            assert self._changed.wait_for(condition, DEADLINE_S), f"never seen: {what}; last: {self.last}"

    def await_payload(self, topic: str, payload: bytes) -> None:
        """Wait until this is the last payload of a topic."""
        self.wait_for(lambda: self.last.get(topic) == payload, f"{topic} = {payload!r}")

    def of(self, topic: str) -> list[bytes]:
        """All payloads of a topic."""
        with self._changed:
            return [payload for where, payload, _ in self.got if where == topic]

    def _on_message(self, _client: Client, _data: Any, message: Any) -> None:
        with self._changed:
            self.got.append((message.topic, message.payload, message.retain))
            self.last[message.topic] = message.payload
            self._changed.notify_all()
