"""The scene of the cameras in a benchmark: the synthetic street as a camera would send it, and a model of it.

Both are created once and kept.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import av
import cv2
import numpy as np

from monitor.detector.base import Detector
from monitor.detector.registry import LEARNED
from monitor.detector.true_sight2.true_sight2_detector import TrueSight2
from monitor.errors import ModelError, UsageError
from monitor.model.model_store import CARD_FILE, Provenance, load_model, save_model, utc_now
from monitor.replay import score_frames
from monitor.scores.held_out import HeldOut
from monitor.sources.synthetic.synthetic_scene import SyntheticScene
from monitor.sources.video import VideoSource
from monitor.stream.health.viewpoint import Viewpoint
from monitor.types import Image
from training.learn.fit_clip_net import fit_true_sight2
from training.learn.learners import chosen
from training.learn.normal_footage import read_normal
from training.progress import Report
from training.provenance import code_commit

WIDTH, HEIGHT, FPS = 1280, 720, 25.0
BITS_A_SECOND, GOP = 2_000_000, 50
SENSOR_NOISE = 3.0
"""Standard deviation in grey levels."""
STEPS = 100
"""Training steps of the network, a seventh of those for a real camera."""
_MARGIN = 64  # px by which the noise image is larger than a frame

# Settings like those of cameras: high profile, no B-frames, a key frame every two seconds, a limited rate.
_ENCODER = {"preset": "veryfast", "profile": "high", "bf": "0", "g": str(GOP), "sc_threshold": "0"}
_ENCODER |= {"maxrate": str(BITS_A_SECOND), "bufsize": str(BITS_A_SECOND)}


def street_video(folder: Path, seconds: float, say: Callable[[str], None]) -> Path:
    """The path of the video in ``folder``; writes it if it does not exist."""
    path = folder / f"street-{WIDTH}x{HEIGHT}-{seconds:g}s.mp4"
    if not path.exists():
        say(f"writing {path} (only once)")
        folder.mkdir(parents=True, exist_ok=True)
        partial = path.with_suffix(".partial")
        write_street(partial, seconds)
        partial.rename(path)
    return path


def write_street(path: Path, seconds: float, seed: int = 5) -> None:
    """Write the street without any anomaly as H.264 in MP4. This takes about a third of its duration."""
    scene = SyntheticScene(seed=seed, duration_s=seconds, abnormal=False)
    rng = np.random.default_rng(seed)
    noise = rng.normal(0, SENSOR_NOISE, (HEIGHT + _MARGIN, WIDTH + _MARGIN, 3)).round().astype(np.int16)
    with av.open(str(path), "w", format="mp4") as container:
        stream = container.add_stream("libx264", round(FPS), _ENCODER)
        stream.width, stream.height, stream.pix_fmt, stream.bit_rate = WIDTH, HEIGHT, "yuv420p", BITS_A_SECOND
        for index in range(scene.frames):
            picture = _as_large(scene.render(index), noise, rng)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, "bgr24")))
        container.mux(stream.encode(None))


def _as_large(picture: Image, noise: np.ndarray, rng: np.random.Generator) -> Image:
    """A frame of the scene at the size of the camera, with the noise of the camera's own pixels."""
    large = cv2.resize(picture, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC)
    row, column = rng.integers(0, _MARGIN, 2)
    own = noise[row : row + HEIGHT, column : column + WIDTH]
    return np.asarray(cv2.add(large, own, dtype=cv2.CV_8U), np.uint8)


def model_of(video: Path, folder: Path, say: Callable[[str], None]) -> Path:
    """A model of the video's scene with all four detectors; learns it if it is not in ``folder`` yet.

    It keeps all detectors, even those that learned badly. The network learns only briefly, and all footage counts as
    held out. This is enough, because speed does not depend on quality and the benchmarks do not use its thresholds.
    """
    path = folder / f"model-{video.stem}-{video.stat().st_size}"
    if (path / CARD_FILE).exists():
        with suppress(ModelError):  # a model of an earlier version is learned again
            load_model(path, "cpu")
            return path
    say(f"learning {', '.join(LEARNED)} from {video} (only once)")
    started, report = time.monotonic(), Report(every_s=30.0)
    cv2.setNumThreads(1)
    normal = read_normal([VideoSource(video)], report)
    fast = [name for name in LEARNED if name != TrueSight2.name]
    detectors: list[Detector] = [learner.fit(normal.stretches, 0, "cpu", report) for learner in chosen(fast).values()]
    detectors.append(fit_true_sight2(normal.stretches, steps=STEPS, report=report))
    scores = {
        detector.name: np.concatenate([score_frames(stretch, detector) for stretch in normal.stretches])
        for detector in detectors
    }
    held_out = HeldOut(
        np.concatenate([np.array(stretch.times, np.float64) for stretch in normal.stretches]),
        np.concatenate([np.full(len(stretch), n, np.int32) for n, stretch in enumerate(normal.stretches)]),
        scores,
    )
    provenance = Provenance(
        recipe="benchmark",
        data=[str(video)],
        frames=normal.frames,
        seed=0,
        commit=code_commit(),
        device="cpu",
        trained_at=utc_now(),
        notes={"width": normal.size[0], "height": normal.size[1]},
    )
    save_model(path, "benchmark", detectors, held_out, provenance, Viewpoint.learn(normal.stretches))
    say(f"learned in {time.monotonic() - started:.0f} s: {path}")
    return path


def detectors_of(model: Path) -> tuple[str, ...]:
    """The names of a model's detectors. Raises ModelError."""
    return tuple(detector.name for detector in load_model(model, "cpu").detectors)


def scene_of(
    work: Path, video: Path | None, model: Path | None, say: Callable[[str], None], seconds: float = 60.0
) -> tuple[Path, Path]:
    """(video, model): those that the user gave, or those created once in ``work``. Raises UsageError, ModelError."""
    if video is not None and not video.is_file():
        raise UsageError(f"there is no file {video}: check the path")
    video = (video or street_video(work, seconds, say)).resolve()
    model = (model or model_of(video, work, say)).resolve()
    names = detectors_of(model)
    if missing := [name for name in LEARNED if name not in names]:
        say(f"note: {model} has no {', '.join(missing)}: figures are for {', '.join(names)} only")
    return video, model
