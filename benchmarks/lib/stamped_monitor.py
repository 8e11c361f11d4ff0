"""The monitor as ``run_monitor.py`` runs it. In addition, it records the time stamp in each frame.

    python -m benchmarks.lib.stamped_monitor CONFIG STAMPS

Every source is wrapped in one that reads the stamps of the frames (0.02 ms each) and changes nothing. At the end, the
file STAMPS has one line ``camera<TAB>frame index<TAB>unix seconds`` per frame with a readable stamp (see ``stamp``).
The frame index is the same as in the score messages.
"""

from __future__ import annotations

import math
import os
import sys
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from benchmarks.lib.stamp import read
from monitor.app.config_file import load_config
from monitor.app.planning import find_sources, plan_cameras
from monitor.app.session import RunOptions, Session
from monitor.app.signal_handling import obey_signals
from monitor.errors import MonitorError
from monitor.sources.source import Position, Reader, Source
from monitor.text.logs import log_to_stderr
from monitor.types import Image


@dataclass
class Stamps:
    """The stamps that were found: per camera, a list of (frame index, unix seconds). One thread writes each list."""

    found: dict[str, list[tuple[int, float]]] = field(default_factory=dict)

    def write(self, path: Path) -> None:
        """Write the stamps to a file."""
        with path.open("w") as file:
            for camera, entries in self.found.items():
                file.writelines(f"{camera}\t{index}\t{unix_s!r}\n" for index, unix_s in entries)


def read_stamps(path: Path) -> dict[tuple[str, int], float]:
    """Read such a file: (camera, frame index) -> unix seconds at which the camera gave the frame to its encoder."""
    lines = (line.split("\t") for line in path.read_text().splitlines())
    return {(camera, int(index)): float(unix_s) for camera, index, unix_s in lines}


class Stamped(Source):
    """Wraps a source and reads the stamps in its frames."""

    def __init__(self, inner: Source, stamps: Stamps) -> None:
        super().__init__(inner.name, inner.label)
        self.live = inner.live
        self._inner = inner
        self._found = stamps.found.setdefault(inner.name, [])
        self._grabbed = 0

    def open(self) -> Reader:
        """Open the wrapped source. The frame count continues from its last reader, as in the capture thread."""
        return _StampedReader(self._inner.open(), self)

    def interrupt(self) -> None:
        """Interrupt the wrapped source."""
        self._inner.interrupt()

    def step(self, frames: int) -> None:
        """Count this number of grabbed frames."""
        self._grabbed += frames

    def look(self, image: Image) -> None:
        """Store the time stamp of the last grabbed frame."""
        if (unix_s := read(image)) is not None:
            self._found.append((self._grabbed - 1, unix_s))


class _StampedReader(Reader):
    def __init__(self, inner: Reader, source: Stamped) -> None:
        self._inner = inner
        self._source = source
        self.fps = inner.fps

    def grab(self) -> Position | None:
        return self.skip_to(-math.inf)

    def skip_to(self, time_s: float) -> Position | None:
        position = self._inner.skip_to(time_s)
        if position is not None:
            self._source.step(1 + position.passed)
        return position

    def retrieve(self) -> Image | None:
        image = self._inner.retrieve()
        if image is not None:
            self._source.look(image)
        return image

    def close(self) -> None:
        self._inner.close()


def main() -> None:
    """Run until a signal stops it."""
    config, path = (Path(word) for word in sys.argv[1:])
    log_to_stderr(verbose=False)
    stamps = Stamps()
    code = 0
    try:
        settings = load_config(config)
        sources = [Stamped(source, stamps) for source in find_sources([], settings)]
        planned = plan_cameras(sources, settings, None)
        session = Session(planned, settings, RunOptions(headless=True), Console(width=200), lambda: (settings, planned))
        obey_signals(session.stop, None)
        session.run()
    except MonitorError as error:
        sys.stderr.write(f"error: {error}\n")
        code = error.exit_code
    stamps.write(path)
    sys.stdout.flush()
    os._exit(code)  # a thread may still hang in a camera read


if __name__ == "__main__":
    main()
