"""Every source fulfils the contract of ``monitor.sources.source``."""

from __future__ import annotations

import itertools
import json
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from benchmarks.lib.live_file import LiveFile
from monitor.app.demo import DemoStreet
from monitor.errors import CaptureError, SourceError
from monitor.learning.footage import CARD, FootageSource, FootageWriter
from monitor.places import Polygon
from monitor.sources.camera import CameraSource
from monitor.sources.folder import FolderSource
from monitor.sources.isolated.isolated_source import IsolatedSource, isolate
from monitor.sources.masked import Mask, MaskedSource
from monitor.sources.source import Position, Reader, Source
from monitor.sources.synthetic.synthetic_scene import SyntheticScene
from monitor.sources.unreadable import UnreadableSource
from monitor.sources.video import VideoSource
from monitor.testing.fakes import LevelSource, Shown, ShownSource, picture
from monitor.testing.faulty_camera import PASSWORD, Fault, FaultyCamera
from monitor.testing.scripted import Clock, ScriptedSource, Shot, shots
from monitor.testing.source_case import SourceCase
from monitor.testing.source_contract import (
    SOURCE_CHECKS,
    SourceCheck,
    check_hopeless,
    check_interrupted,
    check_lost,
)
from monitor.testing.web_camera import WebCamera
from monitor.types import Image
from tests.helpers.decoders import Break, NoiseSource, Plan
from tests.helpers.isolated import isolated
from tests.helpers.made_footage import write_image, write_video
from training.evaluate.corrupt import CorruptedSource, Corruption
from training.evaluate.joined_recordings import Joined

ROOT = Path(__file__).parents[3]
FAULTS = Corruption(flip=0.3, noise=0.3, drop=0.3, seed=3)


class Places:
    """Recordings on the disk and a camera on a loopback port. Each is created when a test first needs it."""

    def __init__(self, folder: Path, stack: ExitStack) -> None:
        self.folder = folder
        self._stack = stack

    @cached_property
    def video(self) -> Path:
        return write_video(self.folder / "video.avi", frames=12)

    @cached_property
    def film(self) -> Path:
        """H.264 with B-frames, 29.97 frames per second. The frames are stored in another order than they are shown."""
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
        """A video that ends long before the end that its container states. The last read fails."""
        path = self.folder / "cut_off.avi"
        data = write_video(self.folder / "whole.avi", frames=60).read_bytes()
        path.write_bytes(data[: len(data) // 3])
        return path

    @cached_property
    def garbage(self) -> Path:
        path = self.folder / "garbage.mp4"
        path.write_bytes(np.random.default_rng(0).bytes(5000))
        return path

    @cached_property
    def numbered(self) -> Path:
        """Images with gaps in their numbers; one cannot be read, and one is of another size."""
        folder = self.folder / "numbered"
        for number in (3, 4, 5, 8, 9):
            write_image(folder / f"frame_{number}.png", 20 * number)
        (folder / "frame_6.png").write_bytes(b"not an image")
        assert cv2.imwrite(str(folder / "frame_10.png"), picture(200))
        return folder

    @cached_property
    def unnumbered(self) -> Path:
        for number, name in enumerate("abc"):
            write_image(self.folder / "unnumbered" / f"{name}.jpg", 50 * number)
        return self.folder / "unnumbered"

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
    def long_footage(self) -> Path:
        """Times and folders have one digit more after 1,000,000 s and after 10,000,000 pictures."""
        folder = self.card(10.0, "long")
        for number, name in enumerate(("0999/999999800", "9999/999999900", "9999/1000000000", "10000/1000000100")):
            write_image(folder / f"{name}.jpg", 50 * number)
        return folder

    @cached_property
    def camera(self) -> FaultyCamera:
        return self._stack.enter_context(FaultyCamera())

    @cached_property
    def snapshots(self) -> WebCamera:
        levels = itertools.cycle(range(0, 250, 10))

        def snapshot() -> tuple[int, dict[str, str], bytes]:
            return 200, {"Content-Type": "image/png"}, cv2.imencode(".png", picture(next(levels)))[1].tobytes()

        return self._stack.enter_context(WebCamera({"/snap.png": snapshot}))

    def card(self, fps: float | str, name: str) -> Path:
        """A folder of footage without pictures."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        (folder / CARD).write_text(json.dumps({"width": 32, "height": 24, "fps": fps}))
        return folder


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Places]:
    with ExitStack() as stack:
        yield Places(tmp_path_factory.mktemp("places"), stack)


@dataclass(frozen=True)
class Entry:
    """How the sources of a class are created. kind: the class under test."""

    kind: type[Source]
    what: str
    make: Callable[[Places], Source]
    repeats: bool = True
    secret: str = ""

    def case(self, places: Places) -> SourceCase:
        return SourceCase(lambda: self.make(places), live_frames=8, repeats=self.repeats, secret=self.secret)

    def __str__(self) -> str:
        return f"{self.kind.__name__}, {self.what}"


def camera(places: Places) -> CameraSource:
    return CameraSource("gate", places.camera.url)


def snapshots(places: Places) -> CameraSource:
    return CameraSource("gate", places.snapshots.url("/snap.png", f"admin:{PASSWORD}@"), snapshot_fps=30.0)


def looped_script() -> list[Shot]:
    """Frames of two sizes, one missing and one unreadable."""
    return [
        *(Shot(0.0), Shot(0.04, readable=False), Shot(0.08, index=2, name="c.png")),
        *(Shot(0.5, index=12, size=(16, 4)), Shot(0.6, index=13)),
    ]


def joined(places: Places) -> Joined:
    parts = [
        *(VideoSource(places.video), VideoSource(places.garbage), VideoSource(places.cut_off)),
        *(LevelSource("empty", []), FolderSource(places.numbered), FootageSource(places.footage)),
    ]
    return Joined(parts, lambda _: None)


MASKS = (
    Mask(Polygon(((0.0, 0.0), (0.4, 0.1), (0.3, 0.5)))),
    Mask(Polygon(((0.6, 0.4), (1.0, 0.4), (1.0, 1.0))), "pixelated"),
)

ENTRIES = (
    Entry(VideoSource, "MJPEG", lambda places: VideoSource(places.video)),
    Entry(VideoSource, "H.264 with B-frames", lambda places: VideoSource(places.film)),
    Entry(VideoSource, "decoded by one thread", lambda places: VideoSource(places.film, "one", threads=1)),
    Entry(FolderSource, "numbered", lambda places: FolderSource(places.numbered, fps=5.0)),
    Entry(FolderSource, "unnumbered", lambda places: FolderSource(places.unnumbered, "letters")),
    Entry(CameraSource, "RTSP", camera, secret=PASSWORD),
    Entry(CameraSource, "snapshots", snapshots, secret=PASSWORD),
    Entry(IsolatedSource, "snapshots", lambda places: isolate(snapshots(places), "auto"), secret=PASSWORD),
    Entry(IsolatedSource, "a camera", lambda places: isolate(camera(places), "auto"), secret=PASSWORD),
    Entry(IsolatedSource, "a video", lambda places: isolate(VideoSource(places.film), "auto")),
    Entry(IsolatedSource, "a folder", lambda places: isolate(FolderSource(places.numbered, fps=5.0), "auto")),
    Entry(IsolatedSource, "frames of many sizes", lambda _: isolated(many_sizes())),
    Entry(IsolatedSource, "a masked video", lambda places: isolate(VideoSource(places.film), "auto", MASKS)),
    Entry(MaskedSource, "frames of many sizes", lambda _: MaskedSource(NoiseSource(many_sizes()), MASKS)),
    Entry(MaskedSource, "a video", lambda places: MaskedSource(VideoSource(places.film), MASKS)),
    Entry(MaskedSource, "a folder", lambda places: MaskedSource(FolderSource(places.numbered, fps=5.0), MASKS)),
    Entry(MaskedSource, "live", lambda _: MaskedSource(LevelSource("a", range(60), live=True), MASKS)),
    Entry(NoiseSource, "recorded", lambda _: NoiseSource(many_sizes())),
    Entry(NoiseSource, "live", lambda _: NoiseSource(Plan(), live=True)),
    Entry(SyntheticScene, "abnormal", lambda _: SyntheticScene(duration_s=0.4)),
    Entry(DemoStreet, "learned and watched", lambda _: street(), repeats=False),
    Entry(FootageSource, "two stretches", lambda places: FootageSource(places.footage)),
    Entry(FootageSource, "of twelve days", lambda places: FootageSource(places.long_footage)),
    Entry(CorruptedSource, "levels", lambda _: CorruptedSource(LevelSource("a", range(0, 250, 10)), FAULTS, "a")),
    Entry(CorruptedSource, "a folder", lambda places: CorruptedSource(FolderSource(places.numbered), FAULTS, "b")),
    Entry(CorruptedSource, "live", lambda _: CorruptedSource(LevelSource("a", range(60), live=True), FAULTS, "c")),
    Entry(Joined, "recordings of many kinds", joined),
    Entry(ScriptedSource, "recorded", lambda _: ScriptedSource([looped_script()], live=False)),
    Entry(ScriptedSource, "live", lambda _: ScriptedSource([shots(1.0)], live=True, clock=Clock())),
    Entry(ShownSource, "recorded", lambda _: ShownSource([Shown(n / 10, picture(10 * n)) for n in range(10)], 10.0)),
    Entry(LevelSource, "recorded", lambda _: LevelSource("levels", range(10))),
    Entry(LevelSource, "live", lambda _: LevelSource("levels", range(60), live=True)),
    Entry(LiveFile, "a looped video", lambda places: LiveFile(places.video, "loop", fps=200.0)),
)


def many_sizes() -> Plan:
    """Frames of three sizes, with one unreadable frame."""
    return Plan(((32, 24), (8, 6), (48, 40)), frames=16, at=3, what=Break.UNREADABLE)


def street() -> DemoStreet:
    return DemoStreet(SyntheticScene(duration_s=0.2), learned_s=0.2)


@pytest.mark.parametrize("check", SOURCE_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("entry", ENTRIES, ids=str)
def test_a_source_keeps_its_promises(entry: Entry, check: SourceCheck, places: Places) -> None:
    assert type(entry.make(places)) is entry.kind
    check(entry.case(places))


def test_no_source_of_the_project_is_left_out() -> None:
    paths = [path for top in ("monitor", "training", "tests/helpers") for path in (ROOT / top).rglob("*.py")]
    found = {name for path in paths for name in re.findall(r"(?m)^class (\w+)\(Source\)", path.read_text("utf-8"))}
    never = UnreadableSource.__name__  # has no frames: see HOPELESS
    assert found <= {never, *(entry.kind.__name__ for entry in ENTRIES)}


def test_footage_in_the_working_folder_is_named_by_the_folder_above(
    places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(places.footage.parent)
    assert FootageSource(Path("footage")).name == FootageSource(places.footage).name == "door"


# Sources that can never give a frame


def isolated_video(path: Path) -> Source:
    return isolate(VideoSource(path), "auto")


HOPELESS: dict[str, Callable[[Places], Source]] = {
    "a video that is missing": lambda places: VideoSource(places.folder / "missing.mp4"),
    "a video of garbage": lambda places: VideoSource(places.garbage),
    "a video that is a folder": lambda places: VideoSource(places.folder),
    "a video with a name too long for a file": lambda places: VideoSource(places.folder / ("x" * 300 + ".mp4")),
    "a video below a file": lambda places: VideoSource(places.video / "a.mp4"),
    "an isolated video that is missing": lambda places: isolated_video(places.folder / "missing.mp4"),
    "an isolated video of garbage": lambda places: isolated_video(places.garbage),
    "an isolated source without frames": lambda _: isolated(Plan(frames=0)),
    "a folder that is missing": lambda places: FolderSource(places.folder / "missing"),
    "a folder with a name too long": lambda places: FolderSource(places.folder / ("x" * 300)),
    "a folder without images": lambda places: FolderSource(places.footage),
    "a folder of garbage": lambda places: FolderSource(garbage_images(places)),
    "a folder with no rate": lambda places: FolderSource(places.numbered, fps=0.0),
    "a folder with a rate of nan": lambda places: FolderSource(places.numbered, fps=float("nan")),
    "a folder with an infinite rate": lambda places: FolderSource(places.numbered, fps=float("inf")),
    "footage without a card": lambda places: FootageSource(places.numbered),
    "footage with an infinite rate": lambda places: FootageSource(places.card(float("inf"), "infinite")),
    "footage with no rate": lambda places: FootageSource(places.card(0.0, "zero")),
    "footage without pictures": lambda places: FootageSource(places.card(10.0, "none")),
    "footage that was deleted": lambda places: deleted_footage(places),
    "footage of garbage": lambda places: FootageSource(garbage_footage(places)),
    "a scene without length": lambda _: SyntheticScene(duration_s=0.0),
    "a scene with a bad seed": lambda _: SyntheticScene(seed=-1),
    "a corrupted video of garbage": lambda places: CorruptedSource(VideoSource(places.garbage), FAULTS, "a"),
    "a source that could not be read": lambda _: UnreadableSource("a", "a.mp4", "there is no a.mp4: check the path"),
    "joined garbage": lambda places: Joined([VideoSource(places.garbage)] * 2, lambda _: None),
}


def garbage_images(places: Places) -> Path:
    folder = places.folder / "garbage"
    folder.mkdir(exist_ok=True)
    (folder / "1.png").write_bytes(b"not an image")
    return folder


def deleted_footage(places: Places) -> FootageSource:
    folder = places.card(10.0, "deleted")
    source = FootageSource(folder)
    shutil.rmtree(folder)
    return source


def garbage_footage(places: Places) -> Path:
    folder = places.card(10.0, "damaged")
    (folder / "0000").mkdir(exist_ok=True)
    (folder / "0000" / "000000000.jpg").write_bytes(b"not an image")
    return folder


@pytest.mark.parametrize("what", HOPELESS)
def test_a_source_that_can_never_give_a_frame_is_refused(what: str, places: Places) -> None:
    check_hopeless(lambda: HOPELESS[what](places))


# Sources that wait


WAITING: dict[str, Callable[[], Source]] = {
    "isolated": lambda: isolated(Plan(at=1, what=Break.HANG), live=True, read_timeout_s=60.0),
    "isolated recording": lambda: isolated(Plan(at=1, what=Break.HANG), read_timeout_s=60.0),
    "corrupted": lambda: CorruptedSource(isolated(Plan(at=1, what=Break.HANG), read_timeout_s=60.0), Corruption(), "a"),
    "joined": lambda: Joined([isolated(Plan(at=1, what=Break.HANG), read_timeout_s=60.0)], lambda _: None),
}


@pytest.mark.parametrize("what", WAITING)
def test_interrupt_ends_a_read_that_waits(what: str) -> None:
    source = WAITING[what]()
    with source.open() as reader:
        assert reader.grab() is not None
        check_interrupted(source, reader)


# Cameras that are lost


@pytest.mark.parametrize("apart", [False, True], ids=["direct", "isolated"])
@pytest.mark.parametrize("fault", [Fault.REFUSES, Fault.SILENT])
def test_a_lost_camera_is_an_error_within_its_deadline(fault: Fault, apart: bool) -> None:
    with FaultyCamera() as server:
        inner = CameraSource("gate", server.url, read_timeout_s=0.5)
        source = isolate(inner, "process") if apart else inner
        with source.open() as reader:
            reader.grab()
            server.strike(fault)
            check_lost(reader, within_s=10.0, secret=PASSWORD)


def test_a_camera_that_cannot_be_opened_is_an_error_without_its_password() -> None:
    source = CameraSource("gate", f"rtsp://admin:{PASSWORD}@127.0.0.1:9/live")
    for one in (source, isolate(source, "process")):
        with pytest.raises(CaptureError) as caught:
            one.open()
        assert PASSWORD not in str(caught.value)


# The checks themselves


class BrokenReader(Reader):
    """Gives ten pictures. With a fault, it violates one part of the contract."""

    fps = 25.0

    def __init__(self, fault: str, first: int = 0) -> None:
        self.fault = fault
        self.at = first - 1
        self.closed = 0
        self.memory = np.zeros((6, 8, 3), np.uint8)

    def grab(self) -> Position | None:
        self.at += 1
        if self.at >= 10:
            if self.fault == "end":
                raise IndexError(self.at)
            return None
        passed = 1 if self.fault == "passed" else 0
        return Position(self.at // 2 if self.fault == "index" else self.at, self.time_s, passed)

    @property
    def time_s(self) -> float:
        return 0.0 if self.fault == "time" else self.at / self.fps

    def skip_to(self, time_s: float) -> Position | None:
        before = self.at
        while self.fault in ("late", "count") and self.at < 8 and (self.at + 1) / self.fps < time_s:
            self.at += 1
        if self.fault == "late" and 0.0 < time_s < 0.3:
            self.at += 1
        found = self.grab()
        return None if found is None else replace(found, passed=0 if self.fault == "count" else self.at - before - 1)

    def retrieve(self) -> Image | None:
        if self.fault == "again":
            self.memory = self.memory + 1
            return self.memory
        if self.fault == "reused":
            self.memory[:] = self.at
            return self.memory
        return np.full((6, 8, 3), self.at, np.float32 if self.fault == "type" else np.uint8)

    def retrieve_into(self, memory: Image) -> Image | None:
        if self.fault == "memory":
            memory[:1] = self.at
            return memory
        return self.retrieve()

    def close(self) -> None:
        self.closed += 1
        if self.fault == "close" and self.closed > 1:
            raise ValueError("closed already")


class BrokenSource(Source):
    def __init__(self, fault: str) -> None:
        super().__init__("a/b" if fault == "name" else "a", "rtsp://me:secret@b/" if fault == "label" else "a label")
        self.fault = fault
        self.opened = 0

    def open(self) -> Reader:
        self.opened += 1
        if self.fault == "open":
            raise OSError("no such thing")
        return BrokenReader(self.fault, self.opened - 1 if self.fault == "second" else 0)

    def check(self) -> None:
        if self.fault == "check":
            raise SourceError("this source gives nothing")


@pytest.mark.parametrize(
    ("fault", "sentence"),
    [
        ("name", "contains a '/'"),
        ("label", "contains credentials"),
        ("open", "raises OSError"),
        ("check", "check fails: this source gives nothing"),
        ("second", "with two readers open at the same time, there are 10 frames and not 9"),
        ("index", "index 0 follows 0"),
        ("time", "time 0.0 s follows 0.0 s"),
        ("passed", "grab skipped 1 frames"),
        ("end", "raises IndexError"),
        ("late", "later than necessary"),
        ("count", "reports 0 skipped frames"),
        ("again", "another picture if retrieved again"),
        ("reused", "changed after it was returned"),
        ("type", "float32"),
        ("memory", "put into given memory"),
        ("close", "close raises ValueError"),
    ],
)
def test_a_broken_promise_is_found(fault: str, sentence: str) -> None:
    found = []
    for check in SOURCE_CHECKS:
        try:
            check(SourceCase(lambda: BrokenSource(fault)))
        except AssertionError as error:
            found.append(str(error))
    assert any(sentence in text for text in found), found


def test_a_sound_source_passes_the_checks() -> None:
    for check in SOURCE_CHECKS:
        check(SourceCase(lambda: BrokenSource("")))
