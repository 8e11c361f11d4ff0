"""Twice the load that the machine can process: frames are dropped evenly, this is shown, and it ends with the load."""

import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest

from monitor.detector.base import Observation
from monitor.errors import CaptureError
from monitor.judging.camera_monitor import Judgement
from monitor.judging.scorer import Scorer
from monitor.live.capture import CaptureSettings
from monitor.live.frame_queue import FrameQueue, QueueSettings
from monitor.live.sink import Sink
from monitor.live.watch import Watch
from monitor.model.model_store import Model
from monitor.reports import CameraReport
from monitor.sources.source import Position, Reader, Source
from monitor.states import CameraState
from monitor.testing.fakes import Brightness, brightness_model, fleet_of, frame, picture, watched_by
from monitor.testing.scripted import Clock
from monitor.types import Detection, Image

DEADLINE_S = 30.0
FPS = 32.0  # a power of two, so that times and bounds are exact


def model_of(detector: Brightness) -> Model:
    model = brightness_model()
    return Model(model.card, (detector,), model.held_out, model.hash)


@dataclass
class Taken:
    """A scored frame: its time, and its age when it was taken and when it was finished, all in seconds."""

    camera: str
    at_s: float
    taken_age_s: float
    done_age_s: float


@dataclass
class World:
    """Live cameras, the queue and a detector that takes ``cost_s`` per frame, on a clock that only they advance.

    period_s  seconds between two frames of a camera
    flood     factor on the number of frames of the first camera
    """

    settings: QueueSettings
    cost_s: float
    period_s: float = 1 / FPS
    flood: int = 1
    cameras: tuple[str, ...] = ("a", "b", "c", "d")
    clock: Clock = field(default_factory=lambda: Clock(0.0))
    taken: list[Taken] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.queue = FrameQueue(self.settings.capacity, self.settings.max_frame_age_s, self.clock)
        self._inlets = {name: self.queue.register(name, live=True) for name in self.cameras}
        # Cameras are not synchronised: they do not give their frames at the same time.
        share_s = self.period_s / len(self.cameras)
        self._due_s = {name: number * share_s for number, name in enumerate(self.cameras)}
        self._scorer = Scorer(dict.fromkeys(self.cameras, model_of(Slow(self))))
        self._never = threading.Event()

    def spend(self, seconds: float) -> None:
        """Advance the clock. The cameras give the frames that are due."""
        until_s = self.clock.now + seconds
        while (due_s := min(self._due_s.values())) <= until_s:
            name = min(self._due_s, key=lambda camera: self._due_s[camera])
            self.clock.now = due_s
            self._inlets[name].put(frame(due_s, camera=name, captured_at=due_s), stop=self._never)
            self._due_s[name] += self.period_s / (self.flood if name == self.cameras[0] else 1)
        self.clock.now = until_s

    def run(self, seconds: float) -> list[Taken]:
        """Score the frames of this many seconds, as the inference worker does."""
        before, until_s = len(self.taken), self.clock.now + seconds
        while self.clock.now < until_s:
            batch = self.queue.get_batch(self.settings.max_batch, timeout_s=0)
            assert batch is not None
            if not batch:
                self.spend(min(self._due_s.values()) - self.clock.now)
                continue
            taken_s = self.clock.now
            for scored in self._scorer.score(batch):
                made_s, now_s = scored.frame.captured_at, self.clock.now
                self.taken.append(Taken(scored.frame.camera, now_s, taken_s - made_s, now_s - made_s))
        return self.taken[before:]

    def dropped(self) -> int:
        return sum(self.queue.counters(name).dropped for name in self.cameras)


class Slow(Brightness):
    def __init__(self, world: World) -> None:
        self._world = world

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        self._world.spend(self._world.cost_s * len(batch))
        return super().score(batch)


@pytest.mark.parametrize("settings", [QueueSettings(), QueueSettings(capacity=1), QueueSettings(max_batch=3)])
def test_under_twice_the_load_frames_stay_young_and_every_camera_has_its_share(settings: QueueSettings) -> None:
    cost_s = 1 / (4 * FPS / 2)  # time to score half of the frames of four cameras
    world = World(settings, cost_s)
    taken = world.run(20.0)
    a_batch_s = cost_s * min(settings.max_batch, settings.capacity * 4)
    assert max(each.taken_age_s for each in taken) <= settings.capacity / FPS
    assert max(each.done_age_s for each in taken) <= settings.capacity / FPS + a_batch_s
    share = Counter(each.camera for each in taken)
    assert max(share.values()) - min(share.values()) <= 2
    assert sum(share.values()) == pytest.approx(20.0 / cost_s, abs=16), "the detector is never idle"
    for name in world.cameras:
        counters = world.queue.counters(name)
        assert counters.put == counters.taken + counters.dropped + counters.waiting
        assert counters.dropped == pytest.approx(counters.put / 2, rel=0.05)


def test_a_camera_that_gives_more_frames_has_no_larger_share() -> None:
    world = World(QueueSettings(), cost_s=1 / (4 * FPS / 2), flood=8)
    world.run(1.0)  # until the queue of every camera is full
    share = Counter(each.camera for each in world.run(20.0))
    assert max(share.values()) - min(share.values()) <= 2


def test_frames_that_have_waited_too_long_are_dropped_and_counted() -> None:
    settings = QueueSettings(capacity=8, max_frame_age_s=1.0)
    world = World(settings, cost_s=1.0, period_s=0.5)
    taken = world.run(60.0)
    assert max(each.taken_age_s for each in taken) <= settings.max_frame_age_s
    assert all(world.queue.counters(name).dropped_stale > 0 for name in world.cameras)


def test_it_is_over_with_the_load() -> None:
    world = World(QueueSettings(), cost_s=1 / (4 * FPS / 2))
    world.run(10.0)
    assert world.dropped() > 0
    world.cost_s /= 4
    world.run(1.0)  # the queued frames are processed
    before = world.dropped()
    taken = world.run(10.0)
    assert world.dropped() == before
    assert max(each.done_age_s for each in taken) <= 4 * world.cost_s + world.period_s
    assert len(taken) == pytest.approx(10.0 * 4 * FPS, abs=4), "every frame is scored"


# The same with the threads of a real pipeline


class Metered(Brightness):
    """For every frame that it scores, the cameras together give ``factor`` frames."""

    def __init__(self, cameras: Sequence["MeteredCamera"], clock: Clock) -> None:
        self.factor = 2
        self._cameras = cameras
        self._clock = clock
        self._owed = 0

    def score(self, batch: Sequence[Observation]) -> list[Detection]:
        self._owed += self.factor * len(batch)
        while self._owed >= len(self._cameras):
            self._owed -= len(self._cameras)
            self._clock.now += 1 / FPS
            for camera in self._cameras:
                camera.give()
        return super().score(batch)


class MeteredCamera(Source):
    """A live camera that gives its first frame at once, and each other frame on request."""

    live = True

    def __init__(self, name: str) -> None:
        super().__init__(name, f"test://{name}")
        self._given = threading.Semaphore(1)
        self._interrupted = False

    def give(self) -> None:
        self._given.release()

    def interrupt(self) -> None:
        self._interrupted = True
        self._given.release()

    def open(self) -> Reader:
        return _MeteredReader(self)

    def wait(self) -> None:
        if not self._given.acquire(timeout=DEADLINE_S) or self._interrupted:
            raise CaptureError(f"{self.label} was interrupted")


class _MeteredReader(Reader):
    fps = FPS

    def __init__(self, camera: MeteredCamera) -> None:
        self._camera = camera
        self._index = -1
        self._opened_s = time.monotonic()

    def grab(self) -> Position:
        self._camera.wait()
        self._index += 1
        # Not by the number: these frames come faster than at FPS, and would look like a burst, which may wait.
        return Position(self._index, time.monotonic() - self._opened_s)

    def retrieve(self) -> Image:
        return picture(25)


class Relieve(Sink):
    """Halves the load when every camera has been shown as overloaded. Stops when all are online again."""

    def __init__(self, detector: Metered, cameras: Sequence[str], stop: threading.Event) -> None:
        self.states: dict[str, list[CameraState]] = {name: [] for name in cameras}
        self.details: set[str] = set()
        self.scored: Counter[str] = Counter()
        self._detector = detector
        self._stop = stop

    def score(self, judgement: Judgement) -> None:
        self.scored[judgement.scored.frame.camera] += 1

    def health(self, report: CameraReport) -> None:
        self.states[report.name].append(report.state)
        if report.state is CameraState.OVERLOADED:
            self.details.add(report.detail)
        if all(CameraState.OVERLOADED in states for states in self.states.values()):
            self._detector.factor = 1
            if all(states[-1] is CameraState.ONLINE for states in self.states.values()):
                self._stop.set()


def test_an_overloaded_pipeline_says_so_drops_and_recovers() -> None:
    clock, stop = Clock(), threading.Event()
    cameras = [MeteredCamera(name) for name in ("a", "b", "c", "d")]
    detector = Metered(cameras, clock)
    model = model_of(detector)
    notes = Relieve(detector, [camera.name for camera in cameras], stop)
    fleet = fleet_of(*(watched_by(camera, model, CaptureSettings()) for camera in cameras))
    watch = Watch(fleet, [notes], clock)
    deadline = time.monotonic() + DEADLINE_S

    def on_tick() -> None:
        if time.monotonic() > deadline:
            stop.set()

    report = watch.run(stop, on_tick=on_tick)
    for camera in report.cameras:
        states = notes.states[camera.name]
        assert CameraState.ONLINE in states[states.index(CameraState.OVERLOADED) :], (camera.name, states)
        assert camera.dropped > 0
        assert camera.analysed == notes.scored[camera.name]
        assert camera.frames_in >= camera.analysed + camera.dropped
    assert notes.details == {"frames are dropped: lower analysis_fps or use a faster device"}
    assert fleet.pipeline.depth() == 0
