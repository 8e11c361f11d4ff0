"""Roboflow's InferencePipeline with an empty model, run by any Python that has the package ``inference``.

    python benchmarks/lib/inference_peer.py VIDEO COUNT   # prints time.monotonic() of every frame: one JSON list
                                                          # per stream

It imports only that package and the standard library, so it can run in a Python without this project.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any


def installed(python: str) -> bool:
    """True if that Python has the package."""
    code = "import importlib.util; raise SystemExit(importlib.util.find_spec('inference') is None)"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


def times(python: str, video: Path, count: int) -> list[list[float]]:
    """Run this file in that Python. Returns one list per stream with the times at which its frames were finished."""
    done = subprocess.run(
        [python, __file__, str(video), str(count)], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True
    )
    found: list[list[float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def main() -> None:
    """Run the pipeline and print the times."""
    from inference import InferencePipeline  # type: ignore[import-not-found]

    video, count = sys.argv[1], int(sys.argv[2])
    seen: list[list[float]] = [[] for _ in range(count)]

    def done(_: Any, frames: Any) -> None:
        now = time.monotonic()
        for frame in frames if isinstance(frames, list) else [frames]:
            if frame is not None:
                seen[frame.source_id or 0].append(now)

    pipeline = InferencePipeline.init_with_custom_logic(
        video_reference=[video] * count if count > 1 else video,
        on_video_frame=lambda frames: [{} for _ in frames],
        on_prediction=done,
    )
    pipeline.start(use_main_thread=True)
    pipeline.join()
    print(json.dumps(seen))


if __name__ == "__main__":
    main()
