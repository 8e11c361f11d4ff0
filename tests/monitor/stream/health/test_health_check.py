"""The health check: alone on synthetic pictures and on real footage, and in the pipeline."""

from __future__ import annotations

import io
import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace

import av
import cv2
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from monitor.judging.scorer import Scorer
from monitor.live.capture import Capture, CaptureSettings
from monitor.sources.source import Position, Reader, Source
from monitor.sources.video import VideoSource
from monitor.states import CameraState
from monitor.stream.health.health_check import HealthCheck
from monitor.stream.health.health_settings import HealthSettings
from monitor.testing.fakes import brightness_model, frame
from monitor.testing.scripted import Clock, ClockedStop, RecordingSink
from monitor.types import Frame, Health, Image
from tests.places import SHARED_DATA

ONLINE, FROZEN, DARK = CameraState.ONLINE, CameraState.FROZEN, CameraState.DARK
RNG = np.random.default_rng(0)
SCENE: Image = cv2.GaussianBlur(RNG.integers(0, 256, (240, 320, 3), np.uint8), (0, 0), 5).astype(np.uint8)
NOISE = RNG.normal(0.0, 1.0, (480, 640, 3)).astype(np.float32)
UPCAM = sorted((SHARED_DATA / "upcam").glob("day*/*.mp4"))
CLIPS = sorted((SHARED_DATA / "clips").glob("*.mp4"))


def noisy(sigma: float, base: NDArray[np.uint8] = SCENE) -> Image:
    """Other noise every time: another part of ``NOISE``, which takes less time than new numbers."""
    height, width = base.shape[:2]
    top, left = RNG.integers(0, NOISE.shape[0] - height + 1), RNG.integers(0, NOISE.shape[1] - width + 1)
    return np.clip(base + sigma * NOISE[top : top + height, left : left + width], 0, 255).astype(np.uint8)


def flat(level: int) -> Image:
    return np.full((240, 320, 3), level, np.uint8)


def states(pictures: Iterable[Image], fps: float = 10.0, check: HealthCheck | None = None) -> list[CameraState]:
    check = check or HealthCheck(HealthSettings(scene_change=False))
    return [check.update(index / fps, picture)[0].state for index, picture in enumerate(pictures)]


def first(found: list[CameraState], state: CameraState, fps: float = 10.0) -> float:
    """Seconds until a state is first seen."""
    return found.index(state) / fps


def test_the_same_picture_again_and_again_is_frozen_after_its_seconds_and_thaws_soon() -> None:
    found = states([*[SCENE] * 80, *[noisy(1.0) for _ in range(30)]])
    assert first(found, FROZEN) == pytest.approx(5.1, abs=0.11)
    assert set(found[52:80]) == {FROZEN}
    assert found[80:].index(ONLINE) <= 20
    assert found[-1] is ONLINE


@pytest.mark.parametrize("sigma", [0.3, 1.0, 3.0])
def test_a_still_but_noisy_scene_is_not_frozen(sigma: float) -> None:
    assert set(states(noisy(sigma) for _ in range(200))) == {ONLINE}


def test_a_camera_that_gives_every_picture_three_times_is_not_frozen() -> None:
    pictures = [picture for _ in range(60) for picture in [noisy(1.0)] * 3]
    assert set(states(pictures)) == {ONLINE}


def test_a_still_picture_sent_by_an_encoder_that_refreshes_it_is_frozen() -> None:
    refreshed = [noisy(0.5) for _ in range(6)]
    assert FROZEN in states(picture for again in refreshed for picture in [again] * 20)


def encoded_again(picture: Image, count: int, codec: str, options: dict[str, str]) -> Iterator[Image]:
    """The same picture through an encoder, as a camera or a recorder sends it."""
    memory = io.BytesIO()
    with av.open(memory, "w", format="matroska") as container:
        stream = container.add_stream(codec, rate=10, options=options)
        assert isinstance(stream, VideoStream)
        stream.height, stream.width = picture.shape[:2]
        stream.pix_fmt = "yuv420p"
        for _ in range(count):
            container.mux(stream.encode(VideoFrame.from_ndarray(picture, format="bgr24")))
        container.mux(stream.encode())
    memory.seek(0)
    with av.open(memory, mode="r") as encoded:
        for shown in encoded.decode(video=0):
            yield shown.to_ndarray(format="bgr24").astype(np.uint8)


@pytest.mark.parametrize(
    ("codec", "options"),
    [
        ("libx264", {"g": "10"}),
        ("libx264", {"g": "5", "preset": "ultrafast", "tune": "zerolatency"}),
        ("mpeg4", {"g": "12"}),
    ],
)
def test_a_frozen_picture_that_is_encoded_again_is_frozen(codec: str, options: dict[str, str]) -> None:
    found = states(encoded_again(SCENE, 150, codec, options))
    assert set(found[120:]) == {FROZEN}


@pytest.mark.parametrize("sigma", [0.3, 1.0])
@pytest.mark.parametrize("times", [2, 3, 5])
def test_a_camera_whose_pictures_come_several_times_is_not_frozen(sigma: float, times: int) -> None:
    pictures = [picture for _ in range(120 // times) for picture in [noisy(sigma)] * times]
    assert set(states(pictures)) == {ONLINE}


def test_a_frozen_picture_that_becomes_another_frozen_picture_has_thawed_in_between() -> None:
    found = states([*[SCENE] * 60, *[255 - SCENE] * 60])
    assert found[59:62] == [FROZEN, ONLINE, ONLINE]
    assert found[-1] is FROZEN


@pytest.mark.parametrize(
    "picture",
    [flat(0), flat(16), noisy(3.0, flat(10)), flat(128), noisy(1.0, flat(60)), flat(255)],
    ids=["black", "video black", "black and noisy", "grey", "covered and noisy", "white"],
)
def test_a_black_or_covered_picture_is_dark_after_its_seconds(picture: Image) -> None:
    found = states([noisy(1.0), *[picture] * 40, *[noisy(1.0) for _ in range(20)]])
    assert first(found, DARK) == pytest.approx(2.1)
    assert found[41:].index(ONLINE) == 10
    assert found[-1] is ONLINE


def test_a_short_flash_of_black_and_a_night_with_a_lamp_are_not_dark() -> None:
    night = flat(5)
    night[100:140, 140:180] = 250
    assert set(states([noisy(1.0), *[flat(0)] * 15, *[noisy(1.0) for _ in range(15)]])) == {ONLINE}
    assert DARK not in states(noisy(1.0, night) for _ in range(60))


def test_a_flicker_between_dark_and_bright_shows_one_or_the_other_and_does_not_flap() -> None:
    found = states(itertools.islice(itertools.cycle([flat(0), noisy(1.0)]), 200))
    assert set(found) == {ONLINE}


def test_switched_off_everything_is_good() -> None:
    assert set(states([flat(0)] * 100, check=HealthCheck(HealthSettings(enabled=False)))) == {ONLINE}


def test_after_a_reset_nothing_is_remembered() -> None:
    check = HealthCheck()
    assert states([SCENE] * 60, check=check)[-1] is FROZEN
    check.reset()
    assert check.update(7.0, SCENE)[0].state is ONLINE


@settings(max_examples=50, deadline=None)
@given(st.integers(1, 400), st.integers(1, 700), st.floats(0.1, 60.0))
def test_any_size_and_rate_is_judged(height: int, width: int, fps: float) -> None:
    picture = np.zeros((height, width, 3), np.uint8)
    assert states([picture] * 5, fps)[0] is ONLINE


def test_a_setting_that_makes_no_sense_is_refused() -> None:
    with pytest.raises(ValueError, match="frozen_after_s must be 0 to 86400, got -1"):
        HealthSettings(frozen_after_s=-1.0)
    with pytest.raises(ValueError, match="dark_mean must be 0 to 100, got nan"):
        HealthSettings(dark_mean=math.nan)


@pytest.mark.parametrize(
    ("name", "value"), [("dark_mean", 255.0), ("flat_spread", 255.0), ("changed_share", 0.0), ("changed_levels", 0.0)]
)
def test_a_setting_with_which_nothing_would_ever_be_judged_is_refused(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=f"{name} must be "):
        HealthSettings(**{name: value})


@pytest.mark.no_cover  # thousands of frames through lines that other tests reach
def test_ordinary_footage_is_good_day_and_night() -> None:
    # In one clip, the cars are so near that the exposure adapts to each of them, so the whole picture changes.
    paths = [*(path for path in CLIPS if path.stem != "car-detection"), *UPCAM[::12]]
    if not paths:
        pytest.skip(f"no footage in {SHARED_DATA}")
    for path in paths:
        check, found, due_s = HealthCheck(), set(), 0.0
        with VideoSource(path).open() as reader:
            while (position := reader.grab()) is not None and position.time_s < 120.0:
                if position.time_s < due_s:
                    continue
                due_s = position.time_s + 0.09  # 10 per second, as in a live run
                image = reader.retrieve()
                assert image is not None
                found.add(check.update(position.time_s, image)[0].state)
        assert found == {ONLINE}, path


# In the pipeline


class Pictures(Source):
    """A live camera at 10 frames per second, on a clock that it advances itself."""

    live = True

    def __init__(self, pictures: Sequence[Image], clock: Clock) -> None:
        super().__init__("cam", "pictures")
        self.pictures = pictures
        self.clock = clock

    def open(self) -> Reader:
        return PicturesReader(self.pictures, self.clock)


class PicturesReader(Reader):
    fps = 10.0

    def __init__(self, pictures: Sequence[Image], clock: Clock) -> None:
        self._left = iter(pictures)
        self._clock = clock
        self._image: Image | None = None

    def grab(self) -> Position:
        self._clock.now += 0.1
        self._image = next(self._left)
        return Position(0, self._clock.now)

    def retrieve(self) -> Image | None:
        return self._image


def capture(pictures: Sequence[Image], wall_clock: Callable[[], float] = time.time) -> tuple[list[Frame], list[str]]:
    """The frames of a capture loop over these pictures, and the states it showed."""
    clock, shown = Clock(), []
    stop = ClockedStop(clock)
    sink = RecordingSink(room=len(pictures) - 1)
    loop = Capture(
        Pictures(pictures, clock), sink, CaptureSettings(health=HealthSettings()), stop, clock, wall_clock=wall_clock
    )
    sink.on_put = lambda _: shown.append(f"{loop.status.state} {loop.status.detail}")
    loop.run()
    return sink.frames, shown


def test_a_frozen_camera_says_so_is_not_scored_and_starts_a_segment_when_it_is_back() -> None:
    moving = [noisy(2.0) for _ in range(20)]
    frames, shown = capture([*moving, *[SCENE] * 80, *moving, *moving])
    verdicts = [frame.health.state for frame in frames]
    frozen = [index for index, verdict in enumerate(verdicts) if verdict is FROZEN]
    assert frozen[0] in range(65, 73)
    assert frozen == list(range(frozen[0], frozen[-1] + 1))
    assert frozen[-1] < 120
    assert {frames[index].segment for index in range(frozen[-1] + 1)} == {0}
    assert {frame.segment for frame in frames[frozen[-1] + 1 :]} == {1}
    assert {shown[index] for index in frozen} == {"frozen the same picture for 5 s: scoring pauses"}
    assert shown[frozen[-1] + 1] == "online "


def test_a_frozen_camera_that_then_falls_silent_is_stalled() -> None:
    clock = Clock()
    pictures, sink = [SCENE] * 100, RecordingSink(room=99)
    seen: list[CameraState] = []
    loop = Capture(Pictures(pictures, clock), sink, CaptureSettings(health=HealthSettings()), ClockedStop(clock), clock)

    def later(frame: Frame) -> None:
        if frame.index == 97:
            seen.append(loop.status.state)
            clock.now += 5.0
            seen.append(loop.status.state)

    sink.on_put = later
    loop.run()
    assert seen == [FROZEN, CameraState.STALLED]


def test_the_wall_clock_decides_nothing() -> None:
    pictures = [noisy(2.0) for _ in range(40)] + [SCENE] * 80 + [noisy(2.0) for _ in range(40)]
    hours = itertools.cycle([0.0, -3600.0, 7200.0, -86400.0])
    steady, shown = capture(pictures)
    jumping, shown_jumping = capture(pictures, lambda: 1.7e9 + next(hours))
    assert [(f.time_s, f.captured_at, f.segment, f.health) for f in steady] == [
        (f.time_s, f.captured_at, f.segment, f.health) for f in jumping
    ]
    assert shown == shown_jumping
    assert min(f.wall_time for f in jumping) < 1.7e9 - 80000


def test_a_detector_never_sees_a_frame_that_is_not_worth_scoring() -> None:
    scorer = Scorer({"cam": brightness_model()})
    bad = Health(DARK, "black", scored=False)
    batch = [frame(0.0), replace(frame(0.1), health=bad), replace(frame(0.2), health=bad), frame(0.3)]
    scores = [scored.detections[0].score for scored in scorer.score(batch)]
    assert [math.isnan(score) for score in scores] == [False, True, True, False]
    assert scorer._streams["cam"][2] == [[2]], "the stream counts only the frames that it has received"
