"""The cost of a memory that grows, at 10 frames per second of one camera.

    python -m benchmarks.learning_on_cost FOOTAGE --model models/door [--minutes 20]

It prints CPU time per frame for what the main thread does (small pictures, message) and for what the memory does, both
as a share of one core at 10 frames per second. If the memory ran in a thread of the monitor, it would take both shares
from it, and hold up scores while a version is made. Then it prints how long a version and a checkpoint take, and their
size.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2

from monitor.detector.motion.motion_detector import Motion
from monitor.errors import MonitorError
from monitor.learning.growing_memory import GrowingMemory
from monitor.learning.look import Look
from monitor.learning.memory_messages import message_of
from monitor.learning.memory_store import MemoryStore
from monitor.model.model_store import load_model
from monitor.replay import AS_LIVE, frames
from monitor.stream.frame_rules import FrameRules
from training.recordings import recorded_sources

FPS = 10.0


def measure(footage: str, folder: Path, minutes: float) -> list[str]:
    """The lines to print. Raises MonitorError if the footage or the model cannot be used."""
    model = load_model(folder)
    motion = next(detector for detector in model.detectors if isinstance(detector, Motion))
    memory = GrowingMemory(motion)
    scores = {detector.name: 0.1 for detector in model.detectors if detector is not motion}
    sent_s = grown_s = 0.0
    count = size = 0
    for source in recorded_sources([footage], split="testing_videos"):
        rules = FrameRules(AS_LIVE, model.viewpoint, model.learned_size)
        for frame in frames(source, rules, to_s=60 * minutes):
            if not frame.health.scored:
                continue
            frame.small.grey(motion.picture_size)  # the detector has computed it
            started = time.process_time()
            look = Look.of(frame, motion.picture_size, scores)
            size = len(message_of(source.name, look).encoded())
            between = time.process_time()
            memory.take(look)
            grown_s += time.process_time() - between
            sent_s += between - started
            count += 1
    with TemporaryDirectory() as temporary:
        store = MemoryStore(Path(temporary))
        started = time.process_time()
        store.save("camera", memory)
        saved_s, stored = time.process_time() - started, store.path("camera").stat().st_size
    started = time.process_time()
    memory.make()
    made_s = time.process_time() - started
    kept = sum(piece.nbytes for piece in memory.held.pieces) + memory.cells.coverage.points.nbytes

    def share(seconds: float) -> str:
        return f"{1000 * seconds / count:.2f} ms per frame, {100 * FPS * seconds / count:.1f} % of a core"

    return [
        f"frames                  {count}, {size} bytes each",
        f"in the monitor          {share(sent_s)}",
        f"in the memory           {share(grown_s)}",
        f"a version               {made_s:.1f} s",
        f"a checkpoint            {saved_s:.2f} s, {stored / 1e6:.1f} MB",
        f"kept in memory          {kept / 1e6:.1f} MB",
    ]


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="The cost of a memory that grows.")
    parser.add_argument("footage", help="a video or a folder of videos of the camera")
    parser.add_argument("--model", type=Path, required=True, help="its model, or a folder of versions")
    parser.add_argument("--minutes", type=float, default=20.0, help="of each video")
    given = parser.parse_args()
    cv2.setNumThreads(1)
    try:
        for line in measure(given.footage, given.model, given.minutes):
            print(line)
    except MonitorError as error:
        sys.exit(f"error: {error}")


if __name__ == "__main__":
    main()
