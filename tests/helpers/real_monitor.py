"""The whole monitor as a process, with a looped video, for clients and pages that ask it to change."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2

from monitor.alerts.control import Cameras, ControlReply, ControlRequest
from monitor.app.demo import MODEL_FOLDER
from monitor.client.controller import Controller
from monitor.sources.synthetic.synthetic_scene import FPS, SyntheticScene
from monitor.testing.captured import eventually
from monitor.web.bus_reader import BusAddress
from tests.places import ROOT

DEADLINE_S = 60.0
_ADDRESSES = re.compile(r"publishing alerts on (\S+), scores on (\S+)")
SETTINGS = """
state = "{state}"
model = "{model}"
device = "cpu"
analysis_fps = 5
[cameras.street]
source = "{video}"
[cameras.street.masks.door]
polygon = [[0.0, 0.0], [0.05, 0.0], [0.05, 0.05]]
[playback]
loop = true
[capture]
isolation = "thread"
[publish]
alerts = "tcp://127.0.0.1:*"
scores = "tcp://127.0.0.1:*"
history = "tcp://127.0.0.1:*"
"""


def street_video(path: Path, seconds: float = 4.0) -> Path:
    """The beginning of the synthetic street, as a video file."""
    scene = SyntheticScene()
    writer: cv2.VideoWriter | None = None
    for index in range(round(seconds * FPS)):
        image = scene.render(index)
        size = (image.shape[1], image.shape[0])
        writer = writer or cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, size)
        writer.write(image)
    assert writer is not None
    writer.release()
    return path


@dataclass
class RealMonitor:
    """A monitor that runs. lines: its log so far."""

    process: subprocess.Popen[str]
    folder: Path
    video: Path
    lines: list[str] = field(default_factory=list)
    news: threading.Condition = field(default_factory=threading.Condition)
    address: BusAddress = field(default_factory=lambda: BusAddress("", None))

    @property
    def choices(self) -> Path:
        return self.folder / "state" / "runs" / "choices.json"

    def until(self, text: str, count: int = 1) -> None:
        """Wait for a line of the log."""
        with self.news:
            found = self.news.wait_for(lambda: sum(text in line for line in self.lines) >= count, DEADLINE_S)
        assert found, "\n".join(self.lines[-30:])

    def ask(self, request: ControlRequest) -> ControlReply:
        with Controller(self.address.alerts, timeout_s=DEADLINE_S) as controller:
            return controller.ask(request)

    def camera(self, name: str = "street") -> dict[str, Any]:
        (found,) = self.ask(Cameras(camera=name)).data["cameras"]
        assert isinstance(found, dict)
        return found

    def until_watched(self, name: str = "street") -> None:
        """Wait until the camera is scored. On a busy machine, its file is played more slowly."""
        assert eventually(lambda: self.camera(name)["state"] in ("online", "overloaded"), DEADLINE_S)

    def hang_up(self) -> None:
        """Let it read its config again, and wait until it has."""
        before = sum("read again" in line for line in self.lines)
        os.kill(self.process.pid, signal.SIGHUP)
        self.until("read again", before + 1)

    def read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self.news:
                self.lines.append(line.rstrip())
                self.news.notify_all()


@contextmanager
def real_monitor(folder: Path, *arguments: str, video: Path | None = None) -> Iterator[RealMonitor]:
    """Start it, until the block ends. With the same folder, it is a restart."""
    video = video or folder / "street.avi"
    config = folder / "cameras.toml"
    if not config.exists():
        if not video.exists():
            street_video(video)
        config.write_text(SETTINGS.format(state=folder / "state", model=MODEL_FOLDER, video=video))
    command = [sys.executable, "-u", str(ROOT / "run_monitor.py"), "--config", str(config), "--headless", *arguments]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, env=environment, cwd=folder
    ) as process:
        monitor = RealMonitor(process, folder, video)
        thread = threading.Thread(target=monitor.read)
        thread.start()
        try:
            monitor.until("publishing alerts on")
            found = next(match for line in monitor.lines if (match := _ADDRESSES.search(line)))
            monitor.address = BusAddress(found[1], found[2].rstrip(","))
            yield monitor
        finally:
            process.terminate()
            try:
                process.wait(DEADLINE_S)
            finally:
                process.kill()
                thread.join(DEADLINE_S)
