"""Static age finds objects that stay. It does not find people who pass or light that changes."""

import math
from collections.abc import Callable

import numpy as np
import pytest

from monitor.detector.base import Observation
from monitor.detector.static_detector import StaticAge, StaticSettings, _quantiles
from monitor.errors import ModelError, UsageError
from monitor.types import Detection, Frame, Image

WIDTH, HEIGHT, RATE = 320, 180, 10.0
_GROUND = np.kron(np.random.default_rng(5).integers(90, 150, (18, 32)), np.ones((10, 10)))


def _clip(
    seconds: float, paint: Callable[[Image, float], None], light: Callable[[float], float] = lambda _: 1.0
) -> list[Frame]:
    frames = []
    for i in range(round(seconds * RATE)):
        t = i / RATE
        grey = np.clip(_GROUND * light(t) + np.random.default_rng(i).normal(0, 2, _GROUND.shape), 0, 255)
        picture = np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
        paint(picture, t)
        frames.append(Frame("a", i, t, picture))
    return frames


def _walker(picture: Image, t: float) -> None:
    x = int(60 * t) % 400
    picture[60:120, x : x + 20] = 30


def _with_bag(from_s: float, to_s: float, passers_by: bool = False) -> Callable[[Image, float], None]:
    def paint(picture: Image, t: float) -> None:
        if from_s <= t < to_s:
            picture[90:106, 150:166] = 220
        if passers_by:
            _walker(picture, t)

    return paint


def _nothing(picture: Image, t: float) -> None:
    """An empty scene."""


@pytest.fixture(scope="module")
def static() -> StaticAge:
    return StaticAge.fit([_clip(20, _walker)])


def _scores(detector: StaticAge, frames: list[Frame]) -> list[Detection]:
    stream = detector.new_stream()
    return [detector.score([Observation(frame, stream)])[0] for frame in frames]


def test_a_thing_left_behind_grows_older_until_it_is_taken_away(static: StaticAge) -> None:
    found = _scores(static, _clip(16, _with_bag(2, 12)))
    at = {second: found[round(second * RATE)].score for second in (1, 6, 9, 11.9, 14)}
    assert at[1] == 0
    assert 3 < at[6] < 4.2
    assert at[9] == pytest.approx(at[6] + 3, abs=0.3)
    assert at[11.9] > static.min_threshold
    assert at[14] == 0
    assert str(found[90].reasons[0]).startswith("unmoved object for")


@pytest.mark.parametrize("step_s", [2.0, 1.0, 1 / 60])
def test_a_thing_left_behind_is_as_old_as_it_is_whatever_the_frame_rate(static: StaticAge, step_s: float) -> None:
    times = np.arange(0.0, 3.0 if step_s < 0.1 else 20.0, step_s)
    paint, frames = _with_bag(2 * step_s, math.inf), []
    for number, t in enumerate(times):
        picture = np.repeat(_GROUND.astype(np.uint8)[:, :, None], 3, axis=2)
        paint(picture, float(t))
        frames.append(Frame("a", number, float(t), picture))
    last = _scores(static, frames)[-1]
    assert last.anomaly_map is not None
    assert last.score == pytest.approx(max(0.0, times[-1] - 2 * step_s - static.settings()["usual_age_s"]), abs=0.5)


def test_the_map_shows_where_the_thing_is(static: StaticAge) -> None:
    anomaly_map = _scores(static, _clip(8, _with_bag(1, 8)))[-1].anomaly_map
    assert anomaly_map is not None
    rows, columns = np.nonzero(anomaly_map > 3)
    height, width = anomaly_map.shape
    assert (rows.mean() + 0.5) / height * HEIGHT == pytest.approx(98, abs=3)
    assert (columns.mean() + 0.5) / width * WIDTH == pytest.approx(158, abs=3)


def test_a_thing_is_found_though_people_pass_in_front_of_it(static: StaticAge) -> None:
    found = _scores(static, _clip(14, _with_bag(1, 14, passers_by=True)))
    assert max(d.score for d in found[-20:]) > static.min_threshold


def test_what_is_there_when_the_stream_begins_was_not_left_behind(static: StaticAge) -> None:
    assert max(d.score for d in _scores(static, _clip(12, _with_bag(0, 12)))[1:]) == 0


def test_somebody_who_sways_hardly_grows_old(static: StaticAge) -> None:
    def paint(picture: Image, t: float) -> None:
        if t >= 1:
            x = round(150 + 2 * math.sin(3 * t))
            picture[60:120, x : x + 12] = np.linspace(10, 60, 12)[None, :, None]

    assert max(d.score for d in _scores(static, _clip(15, paint))[1:]) < static.min_threshold


def test_people_who_pass_never_grow_old(static: StaticAge) -> None:
    assert max(d.score for d in _scores(static, _clip(20, _walker))[1:]) < 0.5 * static.min_threshold


def test_slow_light_is_nothing_unusual(static: StaticAge) -> None:
    frames = _clip(20, _nothing, light=lambda t: 1 + 0.25 * math.sin(t / 3))
    assert max(d.score for d in _scores(static, frames)[1:]) == 0


def test_age_is_counted_in_seconds_not_in_frames(static: StaticAge) -> None:
    frames = _clip(9, _with_bag(1, 9))
    every, half = _scores(static, frames)[-2].score, _scores(static, frames[::2])[-1].score
    assert half == pytest.approx(every, abs=0.3)


def test_the_first_frame_cannot_be_judged(static: StaticAge) -> None:
    assert math.isnan(_scores(static, _clip(0.1, _nothing))[0].score)


def test_a_stream_scores_the_same_in_any_batch(static: StaticAge) -> None:
    a, b = _clip(5, _with_bag(1, 5)), _clip(5, _walker)
    alone = [d.score for d in _scores(static, a)]
    streams = static.new_stream(), static.new_stream()
    mixed = [
        static.score([Observation(other, streams[1]), Observation(frame, streams[0])])[1].score
        for frame, other in zip(a, b, strict=True)
    ]
    np.testing.assert_array_equal(mixed, alone)


def test_a_model_survives_its_own_settings_and_tensors(static: StaticAge) -> None:
    again = StaticAge.load(static.settings(), static.tensors(), "cpu")
    frames = _clip(5, _with_bag(1, 5))
    np.testing.assert_array_equal([d.score for d in _scores(again, frames)], [d.score for d in _scores(static, frames)])


def test_a_damaged_model_is_refused_with_the_reason(static: StaticAge) -> None:
    settings, tensors = static.settings(), static.tensors()
    with pytest.raises(ModelError, match="static detector lacks the tensor 'high'"):
        StaticAge.load(settings, {"low": tensors["low"]}, "cpu")
    with pytest.raises(ModelError, match=r"'high' is .* and should be"):
        StaticAge.load(settings, tensors | {"high": tensors["high"][:, :-1]}, "cpu")
    with pytest.raises(ModelError, match="setting 'min_area' of the static detector"):
        StaticAge.load(settings | {"min_area": 0}, tensors, "cpu")


def test_footage_to_learn_from_must_be_enough() -> None:
    with pytest.raises(UsageError, match="at least 20 frames"):
        StaticAge.fit([_clip(1, _nothing)])


@pytest.mark.parametrize("count", [1, 2, 37, 200])
@pytest.mark.parametrize("kind", [np.uint8, np.float32])
def test_a_pixel_s_quantiles_are_those_of_numpy(count: int, kind: type[np.generic]) -> None:
    pictures = np.random.default_rng(count).uniform(0, 255, (count, 16, 24)).astype(kind)
    shares = (0.0, 0.05, 0.5, 0.95, 1.0)
    for found, share in zip(_quantiles(pictures, *shares), shares, strict=True):
        np.testing.assert_allclose(found, np.quantile(pictures, share, axis=0), rtol=1e-6)


def test_short_pieces_of_footage_do_not_show_how_long_things_stand_still() -> None:
    settings = StaticSettings(width=32, height=32, usual_age_s=2.0)
    grey = np.full((32, 32), 100, np.uint8)
    detector = StaticAge(settings, grey, grey, grey)
    assert not detector.shown_by(clip_s=59.0, threshold=3.0), "twice as long, but shorter than a minute"
    assert not detector.shown_by(clip_s=79.0, threshold=38.0)
    assert detector.shown_by(clip_s=80.0, threshold=38.0)


def test_a_thing_that_stays_for_minutes_belongs_to_the_scene_and_another_thing_does_not(static: StaticAge) -> None:
    def paint(picture: Image, t: float) -> None:
        if t >= 5:
            picture[90:106, 150:166] = 220  # a parked car
        if t >= 340:
            picture[90:106, 40:56] = 220  # a bag
        if t >= 370:
            picture[90:106, 150:166] = 110  # the car leaves

    times = np.arange(0.0, 380.0, 1.0)
    frames = []
    for number, t in enumerate(times):
        picture = np.repeat(_GROUND.astype(np.uint8)[:, :, None], 3, axis=2)
        paint(picture, float(t))
        frames.append(Frame("a", number, float(t), picture))
    scores = np.array([found.score for found in _scores(static, frames)])
    assert (scores[20:300] > static.min_threshold).all()
    assert scores[320:340].max() == 0, "it is no alarm for ever"
    assert scores[350:].min() > static.min_threshold, "but a bag beside it is one"
