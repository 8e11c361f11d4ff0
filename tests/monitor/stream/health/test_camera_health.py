"""Faults of a camera, found by comparison with its usual views: on the synthetic street and on real footage."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.live.capture import Capture, CaptureSettings
from monitor.sources.synthetic.synthetic_scene import SyntheticScene
from monitor.sources.video import VideoSource
from monitor.states import CameraState
from monitor.stream.frame_rules import FrameRules, RuleSettings
from monitor.stream.health.health_check import GOOD, HealthCheck
from monitor.stream.health.health_settings import HealthSettings
from monitor.stream.health.viewpoint import Viewpoint
from monitor.testing.fakes import brightness_model
from monitor.testing.scripted import Clock, ClockedStop, RecordingSink
from monitor.types import Frame, Health, Image
from tests.monitor.stream.health.test_health_check import Pictures
from tests.places import SHARED_DATA

ONLINE, SCENE_CHANGE, FLIPPED = CameraState.ONLINE, CameraState.SCENE_CHANGE, CameraState.FLIPPED
MOVED, DEFOCUSED, NOISY = CameraState.MOVED, CameraState.DEFOCUSED, CameraState.NOISY
FPS = 10.0
SIZE = (320, 180)
RNG = np.random.default_rng(1)
NOISE = RNG.normal(0.0, 25.0, (180, 320, 3)).astype(np.int16)
Change = Callable[[Image], Image]


def street(seed: int, frames: int) -> list[Image]:
    scene = SyntheticScene(seed=seed, abnormal=False)
    rendered = (scene.render(index * 5) for index in range(frames))
    return [np.asarray(cv2.resize(image, SIZE, interpolation=cv2.INTER_NEAREST), np.uint8) for image in rendered]


def clip(pictures: Sequence[Image]) -> list[Frame]:
    return [Frame("cam", index, index / FPS, picture) for index, picture in enumerate(pictures)]


PICTURES = street(seed=3, frames=40)
OTHER_PLACE = np.asarray(cv2.GaussianBlur(RNG.integers(0, 256, (180, 320, 3), np.uint8), (0, 0), 4), np.uint8) * 2
VIEWPOINT = Viewpoint.learn([clip(street(seed=4, frames=40))])


def seconds(duration_s: float, change: Change = lambda image: image) -> list[Image]:
    """The street for this many seconds, as the camera shows it."""
    return [change(picture) for picture in itertools.islice(itertools.cycle(PICTURES), round(duration_s * FPS))]


def watched(pictures: Sequence[Image], check: HealthCheck | None = None) -> list[Health]:
    check = check or HealthCheck(viewpoint=VIEWPOINT)
    return [check.update(index / FPS, picture)[0] for index, picture in enumerate(pictures)]


def changes(verdicts: Sequence[Health]) -> list[tuple[CameraState, float]]:
    """Each new state, with its start in seconds."""
    starts = [0, *(i for i in range(1, len(verdicts)) if verdicts[i].state is not verdicts[i - 1].state)]
    return [(verdicts[i].state, i / FPS) for i in starts]


def shifted(right: float, down: float = 0.0) -> Change:
    """The camera turned, by fractions of the width and height."""

    def change(image: Image) -> Image:
        height, width = image.shape[:2]
        by = np.array([[1, 0, right * width], [0, 1, down * height]], np.float32)
        return np.asarray(cv2.warpAffine(image, by, (width, height), borderMode=cv2.BORDER_REFLECT), np.uint8)

    return change


def blurred(image: Image) -> Image:
    return np.asarray(cv2.GaussianBlur(image, (0, 0), 2.0), np.uint8)


def noisy(image: Image) -> Image:
    noise = np.roll(NOISE, RNG.integers(0, NOISE.size), axis=None)
    return np.asarray(cv2.add(image, noise, dtype=cv2.CV_8U), np.uint8)


def darker(image: Image) -> Image:
    return (image * 0.5).astype(np.uint8)


def infrared(image: Image) -> Image:
    return np.repeat(cv2.cvtColor(darker(image), cv2.COLOR_BGR2GRAY)[..., None], 3, axis=2)


def flipped(code: int) -> Change:
    return lambda image: np.asarray(cv2.flip(image, code), np.uint8)


# Flips


@pytest.mark.parametrize("code", [0, 1, -1], ids=["vertical", "horizontal", "both"])
def test_a_flipped_frame_is_turned_back_to_the_very_same_pixels(code: int) -> None:
    for picture in PICTURES:
        health, image = HealthCheck(viewpoint=VIEWPOINT).update(0.0, flipped(code)(picture))
        assert np.array_equal(image, picture)
        assert health == GOOD


def test_an_upright_frame_is_not_touched() -> None:
    check = HealthCheck(viewpoint=VIEWPOINT)
    for index, picture in enumerate(PICTURES):
        assert check.update(index / FPS, picture)[1] is picture


@pytest.mark.parametrize(
    "picture",
    [OTHER_PLACE, np.zeros((180, 320, 3), np.uint8), RNG.integers(0, 256, (180, 320, 3), np.uint8)],
    ids=["another place", "black", "snow"],
)
def test_what_is_not_recognised_is_never_turned(picture: Image) -> None:
    for code in (0, 1, -1):
        turned = flipped(code)(picture)
        assert HealthCheck(viewpoint=VIEWPOINT).update(0.0, turned)[1] is turned


def test_a_scene_that_is_its_own_mirror_image_is_not_turned() -> None:
    half = OTHER_PLACE[:, :160]
    picture = np.concatenate([half, half[:, ::-1]], axis=1)
    check = HealthCheck(viewpoint=Viewpoint.learn([clip([picture] * 20)]))
    mirrored = np.ascontiguousarray(picture[:, ::-1])
    assert check.update(0.0, mirrored)[1] is mirrored
    assert np.array_equal(check.update(0.1, flipped(-1)(picture))[1], picture)


@pytest.mark.parametrize(
    ("code", "sentence"),
    [(0, "frames come flipped top to bottom"), (1, "frames come mirrored"), (-1, "frames come upside down")],
)
def test_a_camera_upside_down_is_said_after_two_seconds_and_scored(code: int, sentence: str) -> None:
    verdicts = watched([*seconds(2), *seconds(10, flipped(code)), *seconds(14)])
    assert [state for state, _ in changes(verdicts)] == [ONLINE, FLIPPED, ONLINE]
    assert changes(verdicts)[1][1] == pytest.approx(4.0, abs=0.2)
    assert changes(verdicts)[2][1] == pytest.approx(22.0, abs=0.2)
    assert all(health.scored for health in verdicts)
    assert verdicts[50].detail.endswith(f"{sentence}: they are turned back before they are scored")


def test_a_stream_that_flips_single_frames_is_one_report_and_every_frame_is_upright() -> None:
    check = HealthCheck(viewpoint=VIEWPOINT)
    verdicts = []
    for index, picture in enumerate(seconds(40)):
        came = flipped(int(RNG.integers(-1, 2)))(picture) if RNG.random() < 0.1 else picture
        health, image = check.update(index / FPS, came)
        assert np.array_equal(image, picture)
        verdicts.append(health)
    assert [state for state, _ in changes(verdicts)] == [ONLINE, FLIPPED]
    assert verdicts[-1].detail.startswith("some frames come ")


def test_a_frame_or_two_that_come_flipped_are_not_worth_a_report() -> None:
    pictures = seconds(20)
    for index in (30, 100):
        pictures[index] = flipped(-1)(pictures[index])
    assert set(watched(pictures)) == {GOOD}


# Faults of the camera during which it is scored


@pytest.mark.parametrize(
    ("change", "state", "sentence"),
    [
        (shifted(0.08), MOVED, "the picture is shifted: put the camera back, or learn it again"),
        (shifted(-0.04), MOVED, "the picture is shifted: put the camera back, or learn it again"),
        (shifted(0.0, 0.08), MOVED, "the picture is shifted: put the camera back, or learn it again"),
        (blurred, DEFOCUSED, "the picture is less sharp than usual: focus or clean the lens"),
        (noisy, NOISY, "the picture is noisier than usual"),
    ],
    ids=["right", "left", "down", "blurred", "noisy"],
)
def test_what_lasts_is_said_and_scored_and_over_when_it_is_over(
    change: Change, state: CameraState, sentence: str
) -> None:
    check = HealthCheck(HealthSettings(frozen=False, scene_change=False), VIEWPOINT)
    verdicts = watched([*seconds(6), *seconds(12, change), *seconds(12)], check)
    assert [found for found, _ in changes(verdicts)] == [ONLINE, state, ONLINE]
    begin, end = (at_s for _, at_s in changes(verdicts)[1:])
    assert 9.0 <= begin <= 11.5
    assert 21.0 <= end <= 23.5
    unscored = [index / FPS for index, health in enumerate(verdicts) if not health.scored]
    if state is NOISY:  # at first, they count as single corrupted frames
        assert 6.0 <= min(unscored) <= max(unscored) <= 8.0
    else:
        assert not unscored
    assert verdicts[round(begin * FPS)].detail == sentence


@pytest.mark.parametrize("change", [shifted(0.08), blurred, noisy, darker, infrared])
def test_single_frames_change_no_state(change: Change) -> None:
    pictures = seconds(30)
    for index in range(5, len(pictures), 17):
        pictures[index] = change(pictures[index])
    assert {health.state for health in watched(pictures)} == {ONLINE}


def test_single_noisy_frames_are_not_scored() -> None:
    pictures = seconds(12)
    corrupted = range(5, len(pictures), 5)
    for index in corrupted:
        pictures[index] = noisy(pictures[index])
    assert [index for index, health in enumerate(watched(pictures)) if not health.scored] == list(corrupted)


def test_the_frame_after_a_single_one_that_is_not_scored_is_analysed_in_its_place() -> None:
    rules = FrameRules(RuleSettings(analysis_fps=10.0, health=HealthSettings()), VIEWPOINT)
    pictures, corrupted = seconds(4), {100, 151, 152}
    analysed = {}
    for number in range(200):
        if rules.arrive(number / 50, 50.0):
            picture = pictures[number // 5]
            taken = rules.take(number / 50, noisy(picture) if number in corrupted else picture)
            analysed[number] = taken.health.scored
            assert taken.segment == 0
    assert [number for number, scored in analysed.items() if not scored] == [100, 151, 152]
    late = [number for number in analysed if number >= 90]
    assert late == [90, 95, 100, *range(101, 152, 5), *range(152, 200, 5)]


@pytest.mark.parametrize("change", [shifted(0.08), blurred, noisy])
def test_single_good_frames_do_not_end_a_state(change: Change) -> None:
    pictures = seconds(30, change)
    for index in range(5, len(pictures), 17):
        pictures[index] = PICTURES[index % len(PICTURES)]
    assert len(changes(watched(pictures, HealthCheck(HealthSettings(scene_change=False), VIEWPOINT)))) == 2


def test_a_camera_turned_elsewhere_is_said_after_half_a_minute() -> None:
    pictures = [np.roll(OTHER_PLACE, index % 3, axis=1) for index in range(400)]
    verdicts = watched([*seconds(2), *pictures])
    assert [state for state, _ in changes(verdicts)] == [ONLINE, MOVED]
    assert changes(verdicts)[1][1] == pytest.approx(30.0, abs=3.0)
    assert verdicts[-1].detail.startswith("the picture is unlike everything learned")
    assert verdicts[-1].detail.endswith("or give another model with --model")


def test_people_who_fill_half_of_the_picture_do_not_move_the_camera() -> None:
    pictures = seconds(40)
    for index, picture in enumerate(pictures):
        pictures[index] = picture.copy()
        pictures[index][:, 75:235] = 30 + (index % 20)
    assert {health.state for health in watched(pictures)} == {ONLINE}


def test_of_several_states_the_gravest_is_shown_and_all_are_said() -> None:
    last = watched(seconds(15, lambda image: noisy(shifted(0.08)(image))))[-1]
    assert last.state is MOVED
    assert last.detail == (
        "the picture is shifted: put the camera back, or learn it again; the picture is noisier than usual"
    )
    last = watched(seconds(15, lambda image: flipped(-1)(noisy(image))))[-1]
    assert last.state is FLIPPED
    assert last.detail == (
        "frames come upside down: they are turned back before they are scored; the picture is noisier than usual"
    )


def test_a_reconnect_does_not_end_a_state_of_the_camera() -> None:
    check = HealthCheck(viewpoint=VIEWPOINT)
    assert watched(seconds(10, shifted(0.08)), check)[-1].state is MOVED
    check.reset()
    later = [check.update(100 + index / FPS, picture)[0] for index, picture in enumerate(seconds(10))]
    assert [state for state, _ in changes(later)] == [MOVED, ONLINE]


# The whole picture changes


def test_a_light_switch_is_not_scored_until_it_has_settled() -> None:
    verdicts = watched([*seconds(5), *seconds(10, darker)])
    assert [state for state, _ in changes(verdicts)] == [ONLINE, SCENE_CHANGE, ONLINE]
    paused = [index for index, health in enumerate(verdicts) if not health.scored]
    assert paused == list(range(50, paused[-1] + 1))
    assert 82 <= paused[-1] <= 84
    assert changes(verdicts)[1][1] == pytest.approx(5.3)
    assert verdicts[53].detail == (
        "the whole picture has changed (light, exposure): scoring pauses until it has settled"
    )


def test_infrared_is_called_by_its_name() -> None:
    verdicts = watched([*seconds(5), *seconds(6, infrared), *seconds(6)])
    said = [detail for detail, _ in itertools.groupby(health.detail for health in verdicts) if "colour" in detail]
    assert said == [
        "the picture has lost its colour (infrared on): scoring pauses until it has settled",
        "the picture has its colour back (infrared off): scoring pauses until it has settled",
    ]


@pytest.mark.parametrize("share", [0.5, 0.9])
def test_a_white_car_that_covers_the_colour_and_changes_the_exposure_is_no_infrared(share: float) -> None:
    def white(image: Image) -> Image:
        shown = darker(image)
        width = round(share * image.shape[1])
        shown[:, :width] = infrared(shown[:, :width])
        return shown

    verdicts = watched([*seconds(5), *seconds(6, white), *seconds(6)])
    assert SCENE_CHANGE in {health.state for health in verdicts}
    assert not any("infrared" in health.detail for health in verdicts)


def test_a_light_that_fades_is_one_change() -> None:
    fading = [(picture * (1.0 - 0.5 * i / 15)).astype(np.uint8) for i, picture in enumerate(seconds(1.5))]
    verdicts = watched([*seconds(5), *fading, *seconds(10, darker)])
    assert [state for state, _ in changes(verdicts)] == [ONLINE, SCENE_CHANGE, ONLINE]


def test_a_single_frame_of_other_light_is_not_scored_and_starts_no_state() -> None:
    pictures = seconds(6)
    pictures[30] = darker(pictures[30])
    verdicts = watched(pictures)
    assert [index for index, health in enumerate(verdicts) if not health.scored] == [30]
    assert {health.state for health in verdicts} == {ONLINE}


def test_a_light_that_flickers_is_one_change_as_long_as_it_does() -> None:
    flicker = [darker(picture) if index % 2 else picture for index, picture in enumerate(seconds(10))]
    verdicts = watched([*seconds(5), *flicker, *seconds(10)])
    assert [state for state, _ in changes(verdicts)] == [ONLINE, SCENE_CHANGE, ONLINE]
    assert changes(verdicts)[1][1] < 8.0
    assert changes(verdicts)[2][1] > 17.0


def test_what_fills_the_picture_is_no_switch_of_light() -> None:
    passing = [np.roll(OTHER_PLACE, 20 * index, axis=1) for index in range(20)]
    assert all(health == GOOD for health in watched([*seconds(5), *passing, *seconds(5)]))


# Without a viewpoint, switched off, of any size


def test_without_a_viewpoint_only_what_needs_none_is_checked() -> None:
    for change in (shifted(0.08), blurred, noisy, flipped(-1)):
        assert set(watched(seconds(12, change), HealthCheck())) == {GOOD}
    assert SCENE_CHANGE in {health.state for health in watched([*seconds(2), *seconds(2, darker)], HealthCheck())}


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("moved", shifted(0.08)),
        ("defocused", blurred),
        ("noisy", noisy),
        ("flipped", flipped(0)),
        ("scene_change", darker),
        ("dark", lambda image: np.zeros_like(image) + RNG.integers(0, 2, image.shape, np.uint8)),
        ("frozen", lambda _: PICTURES[0]),
    ],
)
def test_each_check_can_be_switched_off(name: str, change: Change) -> None:
    pictures = [*seconds(2), *seconds(10, change)]
    off = {"moved": False, "defocused": False, "noisy": False, "flipped": False}
    off |= {"scene_change": False, "dark": False, "frozen": False}
    assert CameraState(name) in {
        health.state for health in watched(pictures, HealthCheck(HealthSettings(**off | {name: True}), VIEWPOINT))
    }
    assert set(watched(pictures, HealthCheck(HealthSettings(**off), VIEWPOINT))) == {GOOD}


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 300), st.integers(1, 500), st.integers(0, 255))
def test_any_size_is_judged(height: int, width: int, level: int) -> None:
    check = HealthCheck(viewpoint=VIEWPOINT)
    picture = np.full((height, width, 3), level, np.uint8)
    for index in range(4):
        health, image = check.update(index / FPS, picture)
        assert health == GOOD
        assert image is picture


def test_a_camera_that_sends_its_picture_in_another_size_is_recognised() -> None:
    check = HealthCheck(viewpoint=VIEWPOINT)
    for index, picture in enumerate(PICTURES):
        small = np.asarray(cv2.resize(picture, (240, 135), interpolation=cv2.INTER_AREA), np.uint8)
        health, image = check.update(index / FPS, flipped(-1)(small))
        assert np.array_equal(image, small)
        assert health.state in (ONLINE, FLIPPED)


# In the pipeline


def captured(pictures: Sequence[Image]) -> list[Frame]:
    clock, sink = Clock(), RecordingSink(room=len(pictures) - 1)
    source, live = Pictures(pictures, clock), CaptureSettings(health=HealthSettings())
    model = replace(brightness_model(), viewpoint=VIEWPOINT)
    Capture(source, sink, live, ClockedStop(clock), clock, model=model).run()
    return sink.frames


def test_what_comes_out_of_a_capture_is_upright() -> None:
    pictures = seconds(6)
    came = [flipped(index % 3 - 1)(picture) for index, picture in enumerate(pictures)]
    frames = captured(came)
    assert all(np.array_equal(frame.image, picture) for frame, picture in zip(frames, pictures, strict=False))
    assert frames[-1].health.state is FLIPPED
    assert {frame.segment for frame in frames} == {0}


def test_a_single_bad_frame_and_a_moved_camera_start_no_segment_a_switch_of_light_starts_one() -> None:
    pictures = [*seconds(5), *seconds(10, shifted(0.08)), *seconds(5, lambda image: darker(shifted(0.08)(image)))]
    pictures[20] = darker(pictures[20])
    frames = captured(pictures)
    states = [state for state, _ in itertools.groupby(frame.health.state for frame in frames)]
    assert states == [ONLINE, MOVED, SCENE_CHANGE, MOVED]
    unscored = [index for index, frame in enumerate(frames) if not frame.health.scored]
    assert unscored == [20, *range(150, unscored[-1] + 1)]
    assert [frame.segment for frame in frames] == [0] * (unscored[-1] + 1) + [1] * (len(frames) - unscored[-1] - 1)


# Real footage


def real(path: str, every: int) -> Iterator[Frame]:
    with VideoSource(SHARED_DATA / path).open() as reader:
        while (position := reader.grab()) is not None:
            if position.index % every == 0 and (image := reader.retrieve()) is not None:
                yield Frame("cam", position.index, position.time_s, image)


@pytest.mark.parametrize(
    ("normal", "watched_path"),
    [
        ("avenue/training_videos/16.avi", "avenue/testing_videos/17.avi"),
        ("ped1/normal/30_0.mp4", "ped1/test/01.avi"),
        ("umn/lawn_1.mp4", "umn/lawn_2.mp4"),
    ],
)
def test_real_frames_are_turned_back_and_nothing_is_said_of_them(normal: str, watched_path: str) -> None:
    if not (SHARED_DATA / watched_path).exists():
        pytest.skip(f"no footage in {SHARED_DATA}")
    viewpoint = Viewpoint.learn([list(itertools.islice(real(normal, every=6), 40))])
    as_they_are = HealthCheck(HealthSettings(), viewpoint)
    for frame in itertools.islice(real(watched_path, every=6), 40):
        assert as_they_are.update(frame.time_s, frame.image) == (GOOD, frame.image)
        for code in (0, 1, -1):
            turned = HealthCheck(viewpoint=viewpoint).update(0.0, flipped(code)(frame.image))[1]
            assert np.array_equal(turned, frame.image)
