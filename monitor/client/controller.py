"""Ask a monitor to change something: one request, one reply, over its control socket.

with Controller("tcp://127.0.0.1:5560") as controller:
    print(controller.ask(Undo(event=event_id)).said)
"""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Self

import zmq

from monitor.alerts.control import ControlReply, ControlRequest, decode_reply
from monitor.alerts.endpoints import check_endpoint
from monitor.alerts.keys import ClientKeys
from monitor.alerts.messages import Heartbeat, MalformedError, decode, encode
from monitor.client.connection import RefusalWatch, connect, history_endpoint, new_socket
from monitor.errors import ConfigError, RunError
from monitor.text.commands import monitor_command

ANSWER_S = 10.0
"""Default time to wait for the monitor, seconds. It answers most requests within a tenth of a second."""


class Controller:
    """A connection to one monitor. Only one thread may use it.

    endpoint   the monitor's alerts address
    control    its control address; None: the one that the monitor reports
    keys       folder of this client's keys
    timeout_s  how long to wait for the monitor, and for each reply, seconds

    Raises ConfigError for a malformed address or unusable keys. On entry, raises RunError if no monitor answers or if
    it has no control socket, and RefusedError if it refuses the keys.
    """

    def __init__(
        self, endpoint: str, control: str | None = None, *, keys: Path | None = None, timeout_s: float = ANSWER_S
    ) -> None:
        for address in (endpoint, control):
            if address is not None:
                check_endpoint(address)
        self._alerts, self._control = endpoint, control
        self._keys = None if keys is None else ClientKeys.load(keys)
        self._timeout_s = timeout_s
        self._tag = 0

    def __enter__(self) -> Self:
        self._context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
        try:
            at = self._control or self._reported()
            self._socket = new_socket(self._context, zmq.DEALER, self._keys)
            self._watch = RefusalWatch(self._socket, at, has_keys=self._keys is not None)
            connect(self._socket, at)
            self._at = at
        except BaseException:
            self._context.destroy(linger=0)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.disable_monitor()
        self._watch.events.close()
        self._context.destroy(linger=0)

    def ask(self, request: ControlRequest, timeout_s: float | None = None) -> ControlReply:
        """Send a request and wait for its reply, which may be an error. Raises RunError if none comes in time.

        A request is sent again only if the monitor has refused it for the moment: else it might be done twice.
        """
        wait_s = self._timeout_s if timeout_s is None else timeout_s
        ends_at = time.monotonic() + wait_s
        while True:
            reply = self._answer(request, wait_s, ends_at)
            again_s = reply.data.get("wait_s") if reply.reply == "error" else None
            if not isinstance(again_s, float) or not 0 < again_s <= ends_at - time.monotonic():
                return reply
            time.sleep(again_s)

    def _answer(self, request: ControlRequest, wait_s: float, ends_at: float) -> ControlReply:
        self._tag += 1
        tag = str(self._tag)
        self._socket.send(encode(request.model_copy(update={"tag": tag})))
        while (left_s := ends_at - time.monotonic()) > 0:
            if not self._has_data(self._socket, self._watch, left_s):
                continue
            try:
                reply = decode_reply(self._socket.recv_multipart()[-1])
            except MalformedError as error:
                raise RunError(f"{self._at} is not the control address of a monitor ({error})") from None
            if reply.tag in ("", tag):  # "": the monitor could not read the request, not even its tag
                return reply
        raise RunError(
            f"the monitor did not answer at {self._at} within {wait_s:g} s: it may still do what was asked; look with "
            "the command `verdicts` or `changes`, or wait longer with --timeout"
        )

    def _reported(self) -> str:
        """The address of the control socket, as the monitor's heartbeat gives it."""
        listening = new_socket(self._context, zmq.SUB, self._keys, ("heartbeat/",))
        watch = RefusalWatch(listening, self._alerts, has_keys=self._keys is not None)
        connect(listening, self._alerts)
        ends_at = time.monotonic() + self._timeout_s
        try:
            while (left_s := ends_at - time.monotonic()) > 0:
                if not self._has_data(listening, watch, left_s):
                    continue
                try:
                    heard = decode(listening.recv_multipart()).message
                except MalformedError:
                    continue
                if isinstance(heard, Heartbeat):
                    return self._address(heard)
        finally:
            listening.disable_monitor()
            watch.events.close()
            listening.close()
        raise RunError(
            f"no monitor answered at {self._alerts} within {self._timeout_s:g} s: start one with "
            f"`{monitor_command()}`, or give its alerts address with --endpoint"
        )

    def _address(self, heartbeat: Heartbeat) -> str:
        if heartbeat.control is None:
            raise RunError(
                f"the monitor {heartbeat.node} has no control socket: its log says why; it may be an older version, or "
                'run with control = "off"'
            )
        try:
            return history_endpoint(self._alerts, heartbeat.control)
        except ConfigError:
            raise ConfigError(
                f"the monitor says that its control socket is at {heartbeat.control[:200]!r}, to which this client "
                "does not go by itself: give its address with --control-endpoint"
            ) from None

    @staticmethod
    def _has_data(waiting: zmq.Socket[bytes], watch: RefusalWatch, left_s: float) -> bool:
        """Wait for data. Raises RefusedError if the monitor refuses this client."""
        poller = zmq.Poller()
        poller.register(waiting, zmq.POLLIN)
        poller.register(watch.events, zmq.POLLIN)
        ready = dict(poller.poll(math.ceil(min(left_s, 1.0) * 1000)))
        if watch.events in ready:
            watch.read()
        return waiting in ready
