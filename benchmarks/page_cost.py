"""What live pictures cost the monitor and the page: processor time, pictures per second, delay of the main loop.

python -m benchmarks.page_cost --cameras 8

One process plays the monitor's main thread: it takes frames of all cameras, 10 per second each, and gives them to the
publisher and to the live pictures. The page is a process of its own, as beside a monitor; a third process is the
browser. Four parts of the same length in one run: no page, a page at which nobody looks, one viewer of all cameras,
and one viewer more that reads nothing. The detectors are left out: they would hide the difference.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from monitor.alerts.publisher import Publisher
from monitor.judging.camera_monitor import Judgement
from monitor.reports import RunReport
from monitor.sinks.previews.preview_sink import PreviewSink
from monitor.sinks.publish_sink import PublishSink
from monitor.sources.synthetic.synthetic_scene import SyntheticScene
from monitor.testing.fakes import brightness_scale
from monitor.testing.sink_contract import report_of
from monitor.types import Detection, Frame, Image, ScoredFrame

ANY = "tcp://127.0.0.1:*"
FPS = 10
_VIEWER = """
import sys, time, urllib.request
answer = urllib.request.urlopen(sys.argv[1])
if sys.argv[2] == "stuck":
    time.sleep(1e6)
count = 0
while True:
    chunk = answer.read1(1 << 16)
    if not chunk:
        break
    count += chunk.count(b"X-Camera")
    print(count, flush=True)
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, and print the figures."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--cameras", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each part")
    parser.add_argument("--size", default="1280x720", help="WIDTHxHEIGHT of the cameras' pictures")
    given = parser.parse_args(arguments)
    width, height = map(int, given.size.split("x"))
    names = [f"camera-{number}" for number in range(given.cameras)]
    images = pictures(width, height)
    print(f"{given.cameras} cameras of {width}x{height}, {FPS} frames per second each; load {os.getloadavg()[0]:.1f}")
    with Publisher(ANY, ANY, ANY, ANY) as publisher, PreviewSink(publisher) as previews:
        previews.leases.serve_at(publisher.desk)
        loop = Loop(publisher, previews, names, images)
        loop.part("no page", given.seconds)
        page, url = start_page(publisher, loop)
        try:
            loop.part("page, nobody looks", given.seconds, page)
            query = "&".join(f"camera={name}" for name in names)
            viewer = look(f"{url}/api/v1/live?{query}", "reads")
            loop.run(2.0)  # until the pictures come
            loop.part("one viewer of all", given.seconds, page, viewer)
            stuck = look(f"{url}/api/v1/live?{query}", "stuck")
            loop.part("and one that reads nothing", given.seconds, page, viewer)
            for process in (viewer, stuck):
                process.kill()
                process.wait()
        finally:
            page.send_signal(signal.SIGTERM)
            page.wait(10)
    return 0


def pictures(width: int, height: int) -> list[Image]:
    """Some pictures of the synthetic street in this size, (height, width, 3) uint8."""
    scene = SyntheticScene()
    found = [cv2.resize(scene.render(number * 5), (width, height)) for number in range(20)]
    return [np.asarray(image, np.uint8) for image in found]


class Loop:
    """The main thread of a monitor, without detectors."""

    def __init__(
        self, publisher: Publisher, previews: PreviewSink, names: Sequence[str], images: Sequence[Image]
    ) -> None:
        self._publisher, self._previews, self._names, self._images = publisher, previews, names, images
        self._sinks = (PublishSink(publisher), previews)
        self._scale = brightness_scale()
        self._report = RunReport(1.0, 0, tuple(report_of(name) for name in names))
        self._number = 0
        self._late: list[float] = []
        self._took: list[float] = []

    def run(self, seconds: float) -> None:
        """Take frames for this long."""
        self._late, self._took = [], []
        steps = round(seconds * FPS * len(self._names))
        began = time.perf_counter()
        for step in range(steps):
            due = began + step / (FPS * len(self._names))
            if (wait_s := due - time.perf_counter()) > 0:
                time.sleep(wait_s)
            at = time.perf_counter()
            self._late.append(at - due)
            self._take(self._names[step % len(self._names)])
            self._took.append(time.perf_counter() - at)
            if step % len(self._names) == 0:
                for sink in self._sinks:
                    sink.tick(self._report)
                if self._publisher.control is not None:
                    self._publisher.control.tick()

    def part(
        self,
        name: str,
        seconds: float,
        page: subprocess.Popen[str] | None = None,
        viewer: subprocess.Popen[str] | None = None,
    ) -> None:
        """Measure this long, and print a line."""
        counted = 0 if viewer is None else last_number(viewer)
        own, of_page, began = time.process_time(), cpu_s(page), time.perf_counter()
        self.run(seconds)
        lasted = time.perf_counter() - began
        own, of_page = time.process_time() - own, cpu_s(page) - of_page
        line = f"{name:28} monitor {100 * own / lasted:5.1f} % of a core, page {100 * of_page / lasted:5.1f} %"
        p50, p99 = (1e6 * float(np.quantile(self._took, share)) for share in (0.5, 0.99))
        line += f"; sinks per frame p50 {p50:.0f} us, p99 {p99:.0f} us"
        if viewer is not None:
            line += f"; {(last_number(viewer) - counted) / lasted:.1f} pictures per second"
        if page is not None:
            line += f"; page {memory_mb(page):.0f} MB"
        print(line, flush=True)

    def _take(self, camera: str) -> None:
        self._number += 1
        now = time.time()
        image = self._images[self._number % len(self._images)]
        frame = Frame(camera, self._number, self._number / FPS, image, 0, time.monotonic(), now)
        scored = ScoredFrame(frame, (Detection(0.1),), time.monotonic())
        judgement = Judgement(scored, 0.3, (), self._scale, (0.1,))
        for sink in self._sinks:
            sink.frame(scored)
            sink.score(judgement)


def start_page(publisher: Publisher, loop: Loop) -> tuple[subprocess.Popen[str], str]:
    """The page as a process, and its address, once it answers."""
    command = [sys.executable, "-m", "monitor.web", "--listen", "127.0.0.1:0"]
    command += ["--endpoint", publisher.alerts_endpoint, "--scores-endpoint", publisher.scores_endpoint]
    page = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    assert page.stdout is not None
    url = page.stdout.readline().removeprefix("the page is at ").strip()
    with urllib.request.urlopen(f"{url}/api/v1/health", timeout=60):  # noqa: S310 - of loopback
        loop.run(2.0)  # it connects
    return page, url


def look(url: str, how: str) -> subprocess.Popen[str]:
    """A browser that looks at live pictures: ``reads``, or is ``stuck``. It prints the number of pictures so far."""
    process = subprocess.Popen([sys.executable, "-u", "-c", _VIEWER, url, how], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    os.set_blocking(process.stdout.fileno(), False)
    return process


def last_number(viewer: subprocess.Popen[str]) -> int:
    """The pictures that a viewer has got so far."""
    assert viewer.stdout is not None
    text = b""
    while True:
        try:
            more = os.read(viewer.stdout.fileno(), 1 << 20)
        except BlockingIOError:
            break
        if not more:
            break
        text += more
    lines = text.split(b"\n")[:-1]
    seen = int(lines[-1]) if lines else getattr(viewer, "seen", 0)
    viewer.seen = seen  # type: ignore[attr-defined]
    return seen


def cpu_s(process: subprocess.Popen[str] | None) -> float:
    """Processor time of a process so far, seconds; 0 for none."""
    if process is None:
        return 0.0
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def memory_mb(process: subprocess.Popen[str]) -> float:
    """Resident memory of a process, MB."""
    pages = int(Path(f"/proc/{process.pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    sys.exit(main())
