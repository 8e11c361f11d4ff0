"""Adds faults to recorded footage on purpose (flipped, noisy, missing frames), to measure their effect on results."""

from __future__ import annotations

import zlib
from dataclasses import dataclass, fields

import cv2
import numpy as np

from monitor.errors import UsageError
from monitor.sources.source import Position, Reader, Source
from monitor.text.wording import nearest
from monitor.types import Image


@dataclass(frozen=True, slots=True)
class Corruption:
    """How often frames are corrupted. The faults are independent of each other.

    flip         share of frames that are upside down, mirrored or both (each equally often), 0..1
    noise        share of frames with Gaussian noise, 0..1
    drop         share of missing frames, 0 or more and below 1
    noise_sigma  standard deviation of the noise in grey levels, independent per pixel and colour channel
    seed         the same seed corrupts the same frames of the same video in the same way
    """

    flip: float = 0.0
    noise: float = 0.0
    drop: float = 0.0
    noise_sigma: float = 25.0
    seed: int = 0

    @classmethod
    def parse(cls, text: str) -> Corruption:
        """Parse a text such as ``flip=0.1,noise=0.2,drop=0.05,seed=0``. Raises UsageError."""
        known = [field.name for field in fields(cls)]
        given: dict[str, float] = {}
        for part in text.split(","):
            key, equals, value = (word.strip() for word in part.partition("="))
            if key not in known or not equals:
                near = nearest(key, known)
                hint = f"did you mean '{near}'?" if near and near != key else f"known keys are {', '.join(known)}"
                raise UsageError(f"--corrupt does not understand '{part.strip()}': give key=value pairs; {hint}")
            if key in given:
                raise UsageError(f"--corrupt contains {key} twice: give it once")
            try:
                given[key] = int(value) if key == "seed" else float(value)
            except ValueError:
                kind = "a whole number" if key == "seed" else "a number"
                raise UsageError(f"--corrupt {key}={value}: {key} must be {kind}") from None
        for key in ("flip", "noise", "drop"):
            if not 0 <= given.get(key, 0.0) <= 1:
                raise UsageError(f"--corrupt {key}={given[key]:g}: give a share of the frames between 0 and 1")
        if given.get("drop") == 1:
            raise UsageError("--corrupt drop=1 drops all frames: give a lower share")
        if not 0 <= given.get("noise_sigma", 0.0) <= 255:
            raise UsageError(f"--corrupt noise_sigma={given['noise_sigma']:g}: give 0 to 255 grey levels")
        if given.get("seed", 0) < 0:
            raise UsageError(f"--corrupt seed={given['seed']}: give 0 or more")
        return cls(**{**given, "seed": int(given.get("seed", 0))})  # type: ignore[arg-type]

    def __str__(self) -> str:
        """The text form, as on the command line."""
        return ",".join(f"{field.name}={getattr(self, field.name):g}" for field in fields(self))

    def rng(self, video: str, index: int) -> np.random.Generator:
        """The random numbers of one frame of one video. They do not depend on which other frames are read."""
        return np.random.default_rng((self.seed, zlib.crc32(video.encode()), index))

    def drops(self, video: str, index: int) -> bool:
        """True if this frame is missing."""
        return bool(self.rng(video, index).random(3)[0] < self.drop)

    def apply(self, image: Image, video: str, index: int) -> Image:
        """The image, (H, W, 3) uint8 BGR, with the faults added. It is a new array, or the same one without a fault."""
        rng = self.rng(video, index)
        _, flip, noise = rng.random(3)
        if flip < self.flip:
            way = int(rng.integers(-1, 2))  # -1 both, 0 upside down, 1 mirrored
            image = np.asarray(cv2.flip(image, way), np.uint8)
        if noise < self.noise:
            added = rng.standard_normal(image.shape, np.float32) * np.float32(self.noise_sigma)
            image = np.clip(np.rint(image + added), 0, 255).astype(np.uint8)
        return image


class CorruptedSource(Source):
    """Wraps another source and corrupts its frames.

    video: name of the video in its data set; selects the random numbers
    """

    def __init__(self, inner: Source, corruption: Corruption, video: str) -> None:
        super().__init__(inner.name, inner.label)
        self.live = inner.live
        self._inner = inner
        self._corruption = corruption
        self._video = video

    def open(self) -> Reader:
        """Open the inner source."""
        return _CorruptedReader(self._inner.open(), self._corruption, self._video)

    def interrupt(self) -> None:
        """Interrupt the inner source."""
        self._inner.interrupt()

    def check(self) -> None:
        """Check the inner source."""
        self._inner.check()


class _CorruptedReader(Reader):
    def __init__(self, inner: Reader, corruption: Corruption, video: str) -> None:
        self.fps = inner.fps
        self._inner = inner
        self._corruption = corruption
        self._video = video
        self._index = 0

    def grab(self) -> Position | None:
        while (position := self._inner.grab()) is not None:
            if not self._corruption.drops(self._video, position.index):
                self._index, self.frame_name = position.index, self._inner.frame_name
                return position
        return None

    def retrieve(self) -> Image | None:
        image = self._inner.retrieve()
        return None if image is None else self._corruption.apply(image, self._video, self._index)

    def close(self) -> None:
        self._inner.close()
