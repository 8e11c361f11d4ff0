"""Today's monitor as the engine of a node: a child process with the cameras that the node holds.

Its config file is written anew, and read again by SIGHUP, when cameras come or go; other cameras do not notice. The
node is a subscriber of its alerts. An event that is open when the node gets the camera is told from then on. One that
is open when the camera is let go ends there: another node tells what is left of it.
"""

from __future__ import annotations

import json
import logging
import queue
import secrets
import signal
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import tomli_w

from monitor.alerts.messages import AlertMessage, HealthMessage, Stored, encode
from monitor.client import AlertSubscriber, Received
from monitor.errors import RunError
from monitor.machines.capacity_gauge import Work, processor_times
from monitor.machines.engine_control import EngineControl
from monitor.machines.fleet_messages import Order, Watching
from monitor.machines.heartbeat_reader import HeartbeatReader
from monitor.machines.learned_courier import LearnedCourier
from monitor.private_files import make_private_folder, write_private
from monitor.processes import child_command, child_environment, how_it_died
from monitor.states import CameraState, Phase

log = logging.getLogger("monitor")

AGAIN_S, LONGEST_AGAIN_S = 1.0, 60.0
"""An engine that ended is started again after the first value, then twice as long each time, up to the second."""
SOON_S = 60.0
_MOST_ENDED = 1000  # what comes late for an event comes soon
_OPENING = (CameraState.CONNECTING, CameraState.LEARNING)
_FAILED = (CameraState.OFFLINE, CameraState.STALLED, CameraState.FAILED)

Tell = Callable[[str, str, bytes, bytes | None, float], bool]
"""Camera, topic, body, picture, and when the frame was captured; see ``NodeLink.tell``."""


class Choices(Protocol):
    """What people have chosen for cameras, see Order."""

    def choice(self, camera: str) -> str:
        """What is kept for a camera; "" if nothing."""

    def take_choice(self, camera: str, choice: str) -> None:
        """Keep it. Raises OSError."""


class MonitorEngine:
    """See Engine. Only one thread may use it: call ``pump`` often.

    folder    for its config and state; it belongs to this engine alone
    settings  text of a config file without cameras: what holds for all of them
    clock     the clock of leases
    learned   brings what cameras have learned before they are opened; None: they have only what is in the folder
    choices   keeps what people have chosen for cameras where the monitor finds it
    """

    def __init__(
        self,
        folder: Path,
        settings: str,
        clock: Callable[[], float],
        learned: LearnedCourier | None = None,
        choices: Choices | None = None,
    ) -> None:
        self._folder, self._settings, self._clock, self._learned = folder, settings, clock, learned
        self._choices = choices
        self.tells: Tell = lambda *_: False
        """Called with each message of a camera that the node may tell."""
        self._orders: dict[str, Order] = {}
        self._ready: dict[str, Order] = {}  # those of which is here what they have learned
        self._lacking: dict[str, tuple[str, float]] = {}  # camera -> what cannot be stored, and when it is tried again
        self._asked: set[str] = set()  # those that people change here
        self._telling: set[str] = set()
        self._states: dict[str, CameraState | str] = {}
        self._open: dict[str, dict[str, tuple[AlertMessage, float]]] = {}  # camera -> event id -> last message
        self._ended: dict[str, None] = {}  # events that were ended here
        self._inbox: queue.SimpleQueue[Received] = queue.SimpleQueue()
        self._address = f"ipc://@true-sight-{secrets.token_hex(8)}"
        self.control = EngineControl(f"{self._address}-control")
        """Asks the monitor what clients ask of it."""
        self._heartbeats: HeartbeatReader | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = self._again_at = 0.0
        self._wait_s = AGAIN_S
        self._changed = False
        threading.Thread(target=self._listen, name="engine", daemon=True).start()

    # Engine

    def open(self, camera: str, order: Order) -> None:
        """Open and judge a camera; tell nothing yet."""
        self._orders[camera] = order
        self._choose(camera, order.choice)
        self._states.pop(camera, None)
        self._open.pop(camera, None)
        self._ready.pop(camera, None)
        if self._learned is not None:
            self._learned.want(camera)

    def choose(self, camera: str, order: Order) -> None:
        """See Engine. What people have asked of the monitor here is newer."""
        if camera in self._asked or (self._choices is not None and self._choices.choice(camera) == order.choice):
            return
        self._choose(camera, order.choice)
        self._changed = self._changed or camera in self._ready
        if camera in self._lacking:
            self._ready.pop(camera, None)

    def asked(self, camera: str) -> None:
        """The monitor here is asked to change a camera: from now on, it knows what is chosen before the head does."""
        self._asked.add(camera)

    def _choose(self, camera: str, choice: str) -> None:
        """If it cannot be stored, the camera is not opened: it may be a privacy mask."""
        was = self._lacking.pop(camera, None)
        try:
            if self._choices is not None:
                self._choices.take_choice(camera, choice)
        except OSError as error:
            self._lacking[camera] = choice, time.monotonic() + AGAIN_S
            if was is None:
                log.error(  # noqa: TRY400 - the sentence says all
                    "%s is not opened, because what people have chosen for it, masks too, cannot be stored on this "
                    "node (%s): free space on its disk",
                    camera,
                    error.strerror or error,
                )

    def tell(self, camera: str, epoch: int) -> None:
        """Tell its alerts from now on, also the events that are open."""
        self._telling.add(camera)
        if self._learned is not None:
            self._learned.hold(camera, epoch)
        for message, captured_at in self._open.get(camera, {}).values():
            self._pass(message.model_copy(update={"phase": Phase.START}), None, captured_at)

    def let_go(self, camera: str) -> None:
        """End open events, then close the camera."""
        if camera in self._telling:
            for message, _ in self._open.get(camera, {}).values():
                ended = {"phase": Phase.END, "ended_at": message.sent_at, "ended_s": None, "interrupted": True}
                self._pass(message.model_copy(update=ended), None, self._clock())
        self._ended |= dict.fromkeys(self._open.pop(camera, {}))
        while len(self._ended) > _MOST_ENDED:
            del self._ended[next(iter(self._ended))]
        self._telling.discard(camera)
        self._orders.pop(camera, None)
        self._lacking.pop(camera, None)
        self._asked.discard(camera)
        if self._learned is not None:
            self._learned.drop(camera)
        self._changed = self._ready.pop(camera, None) is not None or self._changed

    def state_of(self, camera: str) -> Watching:
        """How the camera is."""
        state = self._states.get(camera)
        if camera in self._lacking:
            return "failed"
        if state is None or state in _OPENING:
            return "opening"
        return "failed" if state in _FAILED else "watching"

    @property
    def running(self) -> bool:
        """Whether the monitor runs, so that it can be asked."""
        return self._process is not None

    def work(self) -> tuple[Work | None, bool]:
        """What the monitor has done so far, None if it does not run; and whether it only watches, as usual."""
        counted = None if self._heartbeats is None else self._heartbeats.frames()
        if self._process is None or counted is None:
            return None, False
        usual = not any(self._states.get(camera) in (None, *_OPENING) for camera in self._orders)
        return Work(counted[0], counted[1], *processor_times(self._process.pid)), usual

    # The process

    def pump(self) -> None:
        """Take what the monitor has published, and give it the cameras of now."""
        while True:
            try:
                self._take(self._inbox.get_nowait())
            except queue.Empty:
                break
        self._look_for_learned()
        now = time.monotonic()
        if self._process is not None and (code := self._process.poll()) is not None:
            self._process = None
            self._states.clear()
            if self._ready and not self._changed:
                self._wait_s = AGAIN_S if now - self._started_at > SOON_S else min(LONGEST_AGAIN_S, 2 * self._wait_s)
                log.error("the engine ended (%s): it is started again in %g s", how_it_died(code), self._wait_s)
                self._again_at = now + self._wait_s
        if self._process is None:
            if self._ready and now >= self._again_at:
                self._start(now)
        elif self._changed:
            if self._ready:
                self._write()
                self._process.send_signal(signal.SIGHUP)
            else:
                self._process.send_signal(signal.SIGTERM)
        self._changed = False

    def _look_for_learned(self) -> None:
        """Cameras of which all is here that they have learned, and that people have chosen, can be opened."""
        for camera, (choice, again_at) in list(self._lacking.items()):
            if time.monotonic() >= again_at:
                self._choose(camera, choice)
        for camera, order in self._orders.items():
            if camera in self._ready or camera in self._lacking:
                continue
            if self._learned is None or self._learned.is_ready(camera):
                self._ready[camera] = order
                self._changed = True
        if self._learned is not None and self._learned.take_changed():
            self._changed = True

    def close(self) -> None:
        """End the process."""
        process, self._process = self._process, None
        self.control.close()
        if self._heartbeats is not None:
            self._heartbeats.__exit__()
        if process is None:
            return
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30.0)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()

    def _start(self, now: float) -> None:
        self._started_at = now
        if self._heartbeats is None:
            self._heartbeats = HeartbeatReader(f"{self._address}-alerts").__enter__()
        self._write()
        arguments = ["--config", str(self._config), "--state", str(self._folder / "state"), "--headless"]
        arguments += [f"--{name}={self._address}-{name}" for name in ("alerts", "scores", "history", "control")]
        try:
            with (self._folder / "engine.log").open("ab") as output:
                self._process = subprocess.Popen(  # noqa: S603 - a command of this program
                    child_command("monitor.machines.engine_child", *arguments),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=output,
                    env=child_environment(),
                    start_new_session=True,
                )
        except OSError as error:
            raise RunError(f"an engine cannot be started ({error.strerror}): end other programs") from error

    @property
    def _config(self) -> Path:
        return self._folder / "cameras.toml"

    def _write(self) -> None:
        make_private_folder(self._folder)
        tables = [_table(camera, order) for camera, order in sorted(self._ready.items())]
        write_private(self._config, "\n".join([self._settings, *tables]).encode())

    # What it publishes

    def _listen(self) -> None:
        """Of a thread of its own: wait for messages."""
        with AlertSubscriber(f"{self._address}-alerts", health=True) as subscriber:
            for item in subscriber:
                if isinstance(item, Received):
                    self._inbox.put(item)

    def _take(self, item: Received) -> None:
        message = item.message
        if not isinstance(message, AlertMessage | HealthMessage) or message.camera not in self._orders:
            return
        camera, now = message.camera, self._clock()
        captured_at = now - max(0.0, time.time() - message.sent_at)
        if isinstance(message, HealthMessage):
            self._states[camera] = message.state
        else:
            if message.event_id in self._ended:
                return
            captured_at -= max(0.0, message.frame_age_s)
            events = self._open.setdefault(camera, {})
            if message.phase is Phase.END:
                events.pop(message.event_id, None)
            else:
                events[message.event_id] = message, captured_at
        if camera in self._telling:
            self._pass(message, item.jpeg, captured_at)

    def _pass(self, message: Stored, jpeg: bytes | None, captured_at: float) -> None:
        self.tells(message.camera, message.topic, encode(message), jpeg, captured_at)


def _table(camera: str, order: Order) -> str:
    """The table of a camera in the config file."""
    return tomli_w.dumps({"cameras": {camera: _literal({**json.loads(order.settings), "source": order.source})}})


def _literal(value: Any) -> Any:
    """The value without references to secrets of this machine: the head has put in its own."""
    match value:
        case dict():
            return {key: _literal(inner) for key, inner in value.items()}
        case list():
            return [_literal(inner) for inner in value]
        case str():
            return value.replace("${", "$${")
    return value
