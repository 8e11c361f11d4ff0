"""Every source keeps the promises of ``monitor.sources.source``."""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import av
import numpy as np
import pytest

from benchmarks.lib.live_file import LiveFile
from benchmarks.lib.stamped_monitor import Stamped, Stamps
from monitor.app.demo import DemoStreet
from monitor.errors import CaptureError, SourceError
from monitor.learning.footage import CARD, FootageSource, FootageWriter
from monitor.sources.camera import CameraSource
from monitor.sources.folder import FolderSource
from monitor.sources.isolated.isolated_source import IsolatedSource, isolate
from monitor.sources.source import Source
from monitor.sources.synthetic.synthetic_scene import SyntheticScene
from monitor.sources.video import VideoSource
from monitor.testing.fakes import LevelSource, picture
from monitor.testing.faulty_camera import PASSWORD, Fault, FaultyCamera
from monitor.testing.scripted import Clock, ScriptedSource, Shot, shots
from monitor.testing.source_contract import (
    SOURCE_CHECKS,
    SourceCase,
    SourceCheck,
    check_hopeless,
    check_interrupted,
    check_lost,
)
from tests.helpers.decoders import Break, NoiseSource, Plan
from tests.helpers.isolated import isolated
from tests.helpers.made_footage import write_image, write_video
from training.evaluate.corrupt import CorruptedSource, Corruption
from training.evaluate.joined_recordings import Joined

ROOT = Path(__file__).parents[3]
TIMEOUT_S = 5.0
CORRUPTION = Corruption(flip=0.3, noise=0.3, drop=0.3, seed=3)


class Places:
    """Recordings on the disk and a camera on a loopback port, each made when it is first used."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @cached_property
    def video(self) -> Path:
        return write_video(self.folder / "video.avi", frames=12)

    @cached_property
    def film(self) -> Path:
        """H.264 with B-frames, as a phone writes it: decoded in another order than shown. 30000/1001 frames per s."""
        path = self.folder / "film.mp4"
        rng = np.random.default_rng(0)
        with av.open(str(path), "w") as container:
            stream = container.add_stream("libx264", Fraction(30000, 1001), options={"bf": "2", "g": "10"})
            stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
            for level in range(15):
                image = rng.integers(10 * level, 10 * level + 60, (48, 64, 3)).astype(np.uint8)
                container.mux(stream.encode(av.VideoFrame.from_ndarray(image, "bgr24")))
            container.mux(stream.encode(None))
        return path

    @cached_property
    def cut_off(self) -> Path:
        """A video that ends long before its container says, so that reading it fails halfway."""
        whole = write_video(self.folder / "whole.avi", frames=60)
        path = self.folder / "cut_off.avi"
        data = whole.read_bytes()
        path.write_bytes(data[: len(data) // 3])
        return path

    @cached_property
    def numbered(self) -> Path:
        """Images with a gap in their numbers, another size among them and one that cannot be read."""
        folder = self.folder / "numbered"
        for number in (3, 4, 5, 8, 9):
            write_image(folder / f"frame_{number}.png", 20 * number)
        (folder / "frame_6.png").write_bytes(b"not an image")
        picture_of_another_size = write_video(self.folder / "other.avi", frames=1)
        with VideoSource(picture_of_another_size).open() as reader:
            reader.grab()
            image = reader.retrieve()
        assert image is not None
        write_png(folder / "frame_10.png", image)
        return folder

    @cached_property
    def unnumbered(self) -> Path:
        folder = self.folder / "unnumbered"
        for number, name in enumerate("abc"):
            write_image(folder / f"{name}.jpg", 50 * number)
        return folder

    @cached_property
    def footage(self) -> Path:
        folder = self.folder / "door" / "footage"
        writer = FootageWriter(folder, "door", (32, 24), 10.0)
        for stretch in range(2):
            writer.new_stretch()
            for number in range(5):
                writer.add(number / 10, picture(100 * stretch + 10 * number))
        return folder

    @cached_property
    def camera(self) -> FaultyCamera:
        return FaultyCamera()

    def close(self) -> None:
        if "camera" in self.__dict__:
            self.camera.__exit__(None, None, None)
