"""The contract of the chain: the same footage, live as fast as possible and replayed, gives the same judgements."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass, replace
from datetime import UTC, datetime
from functools import cache
from typing import Any

import cv2
import numpy as np
import pytest

from monitor.app.demo import MODEL_FOLDER
from monitor.judging.camera_monitor import Alert, Judgement
from monitor.live.capture import CaptureSettings
from monitor.live.sink import Sink
from monitor.live.watch import Watch
from monitor.model.model_store import Model, load_model
from monitor.places import CameraPlaces, PlaceRules, Polygon
from monitor.replay import replay
from monitor.reports import CameraReport
from monitor.sources.finding import open_sources
from monitor.sources.isolated.decoder import _Ahead
from monitor.sources.isolated.isolated_source import isolate
from monitor.sources.source import Position, Reader, Source
from monitor.sources.synthetic.synthetic_scene import SyntheticScene
from monitor.stream.health.health_settings import HealthSettings
from monitor.stream.health.viewpoint import Viewpoint
from monitor.stream.schedule_settings import ScheduleSettings
from monitor.testing.fakes import Brightness, Shown, ShownSource, brightness_model, fleet_of, monitor_of, watched_by
from monitor.types import Frame, Image
from tests.places import SHARED_DATA

pytestmark = pytest.mark.no_cover  # thousands of frames through lines that other tests reach

DEADLINE_S = 60.0
LIVE = CaptureSettings(speed=None, analysis_fps=10.0, health=HealthSettings())
CLOCKS = ("captured_at", "wall_time", "scored_at", "read_at", "started_at", "ended_at", "prepared_s", "took")
"""Fields that say when the frames were read, which differs from run to run."""


def scene(time_s: float) -> Image:
    """A textured place, 160x96 px, with noise, past which a block glides; half of it is lit from second 8 to 12."""
    number = round(time_s * 25)
    rng = np.random.default_rng(number)
    image = GROUND + rng.integers(-2, 3, GROUND.shape)
    x = number % 140
    image[40:70, x : x + 20] = 70
    if 8.0 <= time_s % 60.0 < 12.0:
        image[:, :80] += 60
    return np.asarray(np.clip(image, 0, 255), np.uint8)


def steady(step_s: float, seconds: float = 16.0) -> list[Shown]:
    return [Shown(number * step_s, scene(number * step_s)) for number in range(round(seconds / step_s))]


def with_gaps(step_s: float = 0.1) -> list[Shown]:
    """Holes of 0.9, 2 and 40 s."""
    found, holes = [], {20: 0.9, 60: 2.0, 130: 40.0}
    time_s = 0.0
    for number in range(200):
        time_s += holes.get(number, 0.0) + step_s
        found.append(Shown(time_s, scene(time_s)))
    return found


def slowing() -> list[Shown]:
    """25 per second, which falls to steps of 1.2 s, and back."""
    times = list(np.cumsum([0.04] * 150 + [1.2] * 12 + [0.04] * 150))
    return [Shown(float(time_s), scene(float(time_s))) for time_s in times]


def changed(change: Callable[[int, Image], Image | None], count: int = 200) -> list[Shown]:
    return [Shown(number / 10, change(number, scene(number / 10))) for number in range(count)]


def unscored(number: int, image: Image) -> Image:
    """Black for five seconds."""
    return np.zeros_like(image) if 90 <= number < 140 else image


def resized(number: int, image: Image) -> Image:
    """Half the size, the first size again, another shape."""
    sizes = {1: (80, 48), 2: (160, 96), 3: (96, 96)}
    size = sizes.get(number // 50, (160, 96))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def alternating(number: int, image: Image) -> Image:
    """Two sizes in turn, then two shapes in turn."""
    size = ((160, 96), (80, 48) if number < 100 else (96, 96))[number % 2]
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def corrupted(number: int, image: Image) -> Image | None:
    """Some frames are flipped, noisy or cannot be decoded."""
    rng = np.random.default_rng(number)
    fault = rng.choice(["", "flip", "noise", "lost"], p=[0.7, 0.1, 0.1, 0.1])
    if fault == "lost":
        return None
    if fault == "flip":
        return np.ascontiguousarray(image[::-1])
    if fault == "noise":
        return np.asarray(np.clip(image + rng.normal(0, 60, image.shape), 0, 255), np.uint8)
    return image


def repeated(number: int, _: Image) -> Image:
    """Each picture comes four times, and one of them for eight seconds."""
    at = 100 if 100 <= number < 180 else number - number % 4
    return scene(at / 10)


GROUND = cv2.GaussianBlur(np.random.default_rng(0).normal(90, 90, (96, 160, 3)), (0, 0), 2.0).astype(np.int16)

FOOTAGE: dict[str, tuple[Callable[[], list[Shown]], float]] = {
    "25 per second": (lambda: steady(1 / 25), 25.0),
    "10 per second": (lambda: steady(0.1), 10.0),
    "5 per second": (lambda: steady(0.2, 30.0), 5.0),
    "steps of 1.2 s": (lambda: steady(1.2, 130.0), 25.0),
    "slowing": (slowing, 25.0),
    "gaps": (with_gaps, 10.0),
    "unscored": (lambda: changed(unscored), 10.0),
    "size changes": (lambda: changed(resized), 10.0),
    "sizes alternate": (lambda: changed(alternating), 10.0),
    "corrupted": (lambda: changed(corrupted), 10.0),
    "0.5 per second": (lambda: steady(2.0, 130.0), 0.5),
    "60 per second": (lambda: steady(1 / 60, 8.0), 60.0),
    "repeated": (lambda: changed(repeated), 10.0),
}


SEGMENTS = {
    "steps of 1.2 s": 3,
    "slowing": 3,
    "gaps": 3,
    "unscored": 2,
    "size changes": 4,
    "sizes alternate": 103,
    "repeated": 2,
}
"""Segments that the footage has, if more than one. Two steps tell a slow stream from a gap."""
STATES = {
    "unscored": {"dark"},
    "size changes": {"misfit"},
    "sizes alternate": {"online", "misfit"},
    "corrupted": {"online"},
    "repeated": {"frozen"},
}
"""States that the footage is meant to show."""


class Skipping(Reader):
    """Skips frames as a decoder in a process of its own does."""

    def __init__(self, reader: Reader) -> None:
        self.fps = reader.fps
        self._reader, self._ahead = reader, _Ahead(reader)

    def grab(self) -> Position | None:
        return self.skip_to(-math.inf)

    def skip_to(self, time_s: float) -> Position | None:
        return self._ahead.skip_to(time_s)

    def retrieve(self) -> Image | None:
        return self._reader.retrieve()


class SkippingSource(ShownSource):
    def open(self) -> Reader:
        return Skipping(super().open())


class NowAndThen(Skipping):
    """Skips or does not, by chance: as a decoder does that is asked ahead whenever there is room."""

    def __init__(self, reader: Reader, seed: int) -> None:
        super().__init__(reader)
        self._rng = np.random.default_rng(seed)

    def skip_to(self, time_s: float) -> Position | None:
        return super().skip_to(time_s if self._rng.random() < 0.5 else -math.inf)


class SkippingNowAndThen(ShownSource):
    def __init__(self, shown: Sequence[Shown], fps: float, seed: int) -> None:
        super().__init__(shown, fps)
        self.seed = seed

    def open(self) -> Reader:
        return NowAndThen(super().open(), self.seed)


class Notes(Sink):
    def __init__(self) -> None:
        self.judgements: list[Judgement] = []
        self.alerts: list[Alert] = []

    def score(self, judgement: Judgement) -> None:
        self.judgements.append(judgement)

    def alert(self, alert: Alert, report: CameraReport) -> None:  # noqa: ARG002
        self.alerts.append(alert)


def live(source: Source, model: Model, capture: CaptureSettings) -> Notes:
    notes = Notes()
    Watch(fleet_of(watched_by(source, model, capture)), [notes]).run(threading.Event(), DEADLINE_S)
    return notes


def replayed(source: Source, model: Model, capture: CaptureSettings) -> Notes:
    notes, monitor = Notes(), monitor_of(source.name, model)
    for judgement in replay(source, model, monitor, capture.rules):
        notes.judgements.append(judgement)
        notes.alerts.extend(judgement.alerts)
    notes.alerts.extend(monitor.close())
    return notes


def facts(value: Any) -> Any:
    """A value as plain data, pictures and maps included; without what clocks say and without the shared scale."""
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if is_dataclass(value) and not isinstance(value, type):
        return {name: facts(getattr(value, name)) for name in told(type(value))}
    if isinstance(value, tuple | list):
        return [facts(item) for item in value]
    if isinstance(value, float) and value != value:
        return "nan"
    return repr(value) if not isinstance(value, dict) else {key: facts(item) for key, item in value.items()}


@cache
def told(kind: Any) -> list[str]:
    return [field.name for field in fields(kind) if field.name not in (*CLOCKS, "scale", "small")]


@pytest.fixture(autouse=True)
def _one_opencv_thread() -> None:
    cv2.setNumThreads(1)  # as the pipeline does


@pytest.fixture(scope="module")
def watched_scene() -> Model:
    """Brightness, with what the camera usually shows: flips and noise are found."""
    clip = [Frame("scene", number, number / 10, scene(number / 10)) for number in range(75)]
    model = brightness_model()
    usual = float(np.mean([frame.image for frame in clip])) / 255
    held_out = replace(model.held_out, scores={"brightness": model.held_out.scores["brightness"] + usual - 0.1})
    card = model.card.model_copy(
        update={"provenance": model.provenance.model_copy(update={"notes": {"width": 160, "height": 96}})}
    )
    return replace(model, card=card, held_out=held_out, viewpoint=Viewpoint.learn([clip]))


@pytest.mark.parametrize("kind", FOOTAGE)
def test_live_and_replayed_the_same_footage_gives_the_same(kind: str, watched_scene: Model) -> None:
    make, fps = FOOTAGE[kind]
    source = ShownSource(make(), fps)
    watched, again = live(source, watched_scene, LIVE), replayed(source, watched_scene, LIVE)
    assert len(again.judgements) == len(watched.judgements) > 30
    for ours, theirs in zip(again.judgements, watched.judgements, strict=True):
        assert facts(ours) == facts(theirs)
    assert [facts(alert) for alert in again.alerts] == [facts(alert) for alert in watched.alerts]
    shown = [judgement.scored.frame for judgement in watched.judgements]
    assert {frame.segment for frame in shown} == set(range(SEGMENTS.get(kind, 1)))
    assert {frame.health.state.value for frame in shown} >= STATES.get(kind, {"online"})
    if kind in ("10 per second", "corrupted"):
        phases = [alert.event.phase for alert in watched.alerts]
        assert (phases[0], phases[-1], phases.count(phases[0])) == ("start", "end", 1)
    if kind == "corrupted":
        assert not all(frame.health.scored for frame in shown), "noise"


LEFT = Polygon(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))
PLACES = {
    "ignored": PlaceRules(ignored=(LEFT,)),
    "weighed": PlaceRules(weighed=((LEFT, 0.5),)),
    "must touch": PlaceRules(must_touch=(LEFT,)),
}


@pytest.mark.parametrize("kind", PLACES)
def test_zones_give_the_same_live_and_replayed(kind: str) -> None:
    model = load_model(MODEL_FOLDER, "cpu")
    capture = replace(LIVE, places=CameraPlaces(PLACES[kind]))
    street = SyntheticScene(seed=5, duration_s=4.0)
    watched, again = live(street, model, capture), replayed(street, model, capture)
    assert [facts(each) for each in again.judgements] == [facts(each) for each in watched.judgements]
    plain = replayed(street, model, LIVE)
    assert [j.score for j in again.judgements] != [j.score for j in plain.judgements], "the zone counts"


def test_a_schedule_by_the_time_of_the_footage_gives_the_same_live_and_replayed(watched_scene: Model) -> None:
    schedule = ScheduleSettings(armed=("Mon 18:00-24:00",), time_zone="Europe/Berlin")
    begins = datetime(2026, 3, 2, 16, 59, 55, tzinfo=UTC).timestamp()
    capture = replace(LIVE, schedule=schedule.schedule, recorded_at=begins)
    levels = [90] * 30 + [240] * 60 + [90] * 40  # 3 s calm, 6 s bright, calm: armed from second 5 on
    source = ShownSource([Shown(n / 10, np.full((96, 160, 3), v, np.uint8)) for n, v in enumerate(levels)], 10.0)
    capture = replace(capture, health=HealthSettings(enabled=False))
    watched, again = live(source, watched_scene, capture), replayed(source, watched_scene, capture)
    assert [facts(each) for each in again.judgements] == [facts(each) for each in watched.judgements]
    assert [facts(alert) for alert in again.alerts] == [facts(alert) for alert in watched.alerts]
    events = [alert.event for alert in watched.alerts]
    assert [(e.phase.value, e.armed, e.notify) for e in events[:2]] == [("start", False, False), ("update", True, True)]


@pytest.mark.parametrize("sensitivity", [0.5, 2.0])
def test_a_sensitivity_multiplies_the_score_above_typical(sensitivity: float, watched_scene: Model) -> None:
    whole = Polygon(((0.0, 0.0), (1.0, 0.0), (1.0, 1.0), (0.0, 1.0)))
    source = ShownSource([Shown(n / 10, np.full((96, 160, 3), 60 + 2 * n, np.uint8)) for n in range(60)], 10.0)
    rules = replace(LIVE, health=HealthSettings(enabled=False))
    scale = monitor_of("shown", watched_scene).scale.scales["brightness"]
    detector = Brightness()
    detector.typical = scale.typical
    model = replace(watched_scene, detectors=(detector,))
    plain = replayed(source, model, rules)
    found = replayed(source, model, replace(rules, places=CameraPlaces(PlaceRules(weighed=((whole, sensitivity),)))))
    scores = [(one.score, other.score) for one, other in zip(plain.judgements, found.judgements, strict=True)]
    assert max(one for one, _ in scores) > 1
    for one, other in scores:
        if abs(one) < 0.2:
            continue  # the median of the last frames may lie between some below typical and some above
        assert other == pytest.approx(sensitivity * one if one > 0 else one, abs=1e-4)


def test_a_trained_model_gives_the_same_live_and_replayed() -> None:
    model = load_model(MODEL_FOLDER, "cpu")
    street = SyntheticScene(seed=5, duration_s=8.0)
    watched, again = live(street, model, LIVE), replayed(street, model, LIVE)
    assert [facts(each) for each in again.judgements] == [facts(each) for each in watched.judgements]
    assert [facts(alert) for alert in again.alerts] == [facts(alert) for alert in watched.alerts]


@pytest.mark.parametrize("name", ["street12.mp4", "fps1.mp4", "trim.mp4", "audiolong.mkv"])
def test_a_real_video_gives_the_same_live_and_replayed(name: str) -> None:
    path = SHARED_DATA / "field" / name
    if not path.exists():
        pytest.skip(f"needs the footage in {SHARED_DATA}")
    model = load_model(MODEL_FOLDER, "cpu")
    first, second = (isolate(open_sources([str(path)])[0], "process") for _ in range(2))
    watched, again = live(first, model, LIVE), replayed(second, model, LIVE)
    assert [facts(each) for each in again.judgements] == [facts(each) for each in watched.judgements]
    assert [facts(alert) for alert in again.alerts] == [facts(alert) for alert in watched.alerts]


@pytest.mark.parametrize("analysis_fps", [0.5, 1.0, 1.6, 30.0])
def test_a_decoder_that_skips_frames_gives_the_segments_of_one_that_does_not(analysis_fps: float) -> None:
    """Skipped frames are no gap, and a gap among them is one."""
    capture = replace(LIVE, analysis_fps=analysis_fps)
    shown = [each for each in steady(0.1, 40.0) if not 20.3 < each.time_s < 26.0]
    model = brightness_model()
    every = replayed(ShownSource(shown, 10.0), model, capture)
    skipping = live(SkippingSource(shown, 10.0), model, capture)
    frames = [
        [(j.scored.frame.time_s, j.scored.frame.segment) for j in notes.judgements] for notes in (every, skipping)
    ]
    assert frames[0] == frames[1]
    assert {segment for _, segment in frames[0]} == {0, 1}


def uneven(count: int = 160) -> list[Shown]:
    """Steps of 16 ms to 1.5 s in any order: as of a screen recording, or of a camera that sends only what changes."""
    steps = np.random.default_rng(0).choice([0.016, 0.033, 0.1, 0.4, 1.5], count)
    grey = np.full((96, 160, 3), 90, np.uint8)
    return [Shown(float(time_s), grey) for time_s in np.cumsum(steps) - steps[0]]


@pytest.mark.parametrize("analysis_fps", [0.3, 0.5, 1.0, 3.0, 10.0])
def test_how_many_frames_a_decoder_skips_changes_nothing_of_an_uneven_video(analysis_fps: float) -> None:
    capture = replace(LIVE, analysis_fps=analysis_fps, health=HealthSettings(enabled=False))
    shown, model = uneven(), brightness_model()
    every = replayed(ShownSource(shown, 2.1), model, capture)
    assert len({each.scored.frame.segment for each in every.judgements}) > 10
    for source in (SkippingSource(shown, 2.1), *(SkippingNowAndThen(shown, 2.1, seed) for seed in range(5))):
        skipping = live(source, model, capture)
        assert [facts(each) for each in skipping.judgements] == [facts(each) for each in every.judgements]


def test_detectors_that_fail_in_a_replay_raise_as_they_are() -> None:
    class Broken(Brightness):
        def score(self, batch: Sequence[Any]) -> list[Any]:  # noqa: ARG002
            raise ZeroDivisionError("the network fell over")

    model = replace(brightness_model(), detectors=(Broken(),))
    with pytest.raises(ZeroDivisionError):
        replayed(ShownSource(steady(0.1, 2.0), 10.0), model, LIVE)
