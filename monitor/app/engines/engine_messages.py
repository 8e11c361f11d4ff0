"""What a run and its engines tell each other. All are immutable, and can be pickled.

A camera is leased to an engine for an **epoch**, a number that grows each time the camera is placed. Each step of an
event carries (camera, epoch, seq): ``seq`` counts the steps of the camera's events in the run, from 1. So the run takes
each step exactly once, whatever happens to engines, and whoever carries the messages.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from monitor.alerts.control_desk import Asker
from monitor.alerts.previews import Kind
from monitor.app.choice_store import Choice
from monitor.app.config import MonitorConfig
from monitor.app.engines.carried_sources import CarriedSource
from monitor.app.own_model import Relearning
from monitor.errors import MonitorError
from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import Alert
from monitor.judging.fusion import ModelScale
from monitor.judging.live_calibration import LiveCalibration
from monitor.reports import CameraReport
from monitor.scores.smoothing import SmoothingSettings
from monitor.sinks.previews.preview_leases import Place
from monitor.types import Health


@dataclass(frozen=True)
class Lease:
    """A camera that an engine is to watch.

    seq      steps of events that the run knows already; the next one has the number ``seq + 1``
    events   number of events that the run knows already
    counted  what was counted of its alarms before, oldest first: watched seconds, and the alarms in them
    """

    camera: str
    epoch: int
    seq: int = 0
    events: int = 0
    counted: Sequence[tuple[float, int, float]] = ()


# From the run to an engine


@dataclass(frozen=True)
class Plan:
    """The cameras of the engine from now on.

    number  of the plan, 0 for the first
    moves   True if cameras only change their engine: none of them learns again
    """

    number: int
    settings: MonitorConfig
    sources: Sequence[CarriedSource]
    leases: Sequence[Lease]
    moves: bool = False


@dataclass(frozen=True)
class Task:
    """The first message: what the engine is for.

    engine   its number, for people
    epoch    of the publisher
    choices  camera -> what people have chosen
    relearn  whether cameras that have a model may be asked to learn again
    teaches  whether the run keeps verdicts
    """

    engine: int
    plan: Plan
    epoch: str
    verbose: bool
    max_frames: int | None
    relearn: bool
    relearning: Relearning
    choices: Mapping[str, Choice]
    teaches: bool


@dataclass(frozen=True)
class Decided:
    """What becomes of a plan that the engine has reported as ready.

    carry_out  True: carry it out; False: forget it, because another engine has refused its part
    """

    number: int
    carry_out: bool


@dataclass(frozen=True)
class Stop:
    """End: close open events, and report them. hurry: the user has asked for it."""

    hurry: bool


@dataclass(frozen=True)
class Ack:
    """All steps of a camera up to ``seq`` are in the journal, or need not be."""

    camera: str
    epoch: int
    seq: int


@dataclass(frozen=True)
class Ask:
    """A request of a client. payload: as on the control socket."""

    number: int
    payload: bytes
    asker: Asker


@dataclass(frozen=True)
class Answer:
    """The result of a ``Call``, or the error that it raised."""

    number: int
    value: Any = None
    error: MonitorError | None = None


@dataclass(frozen=True)
class Taught:
    """What people have taught has changed: apply it to all cameras again."""


@dataclass(frozen=True)
class Forgotten:
    """What was known of a camera is deleted. thresholds: also what its thresholds have learned."""

    camera: str
    thresholds: bool


@dataclass(frozen=True)
class ForgetParts:
    """Forget what the engine holds of a camera, whether it watches it or not; answered by an empty ``Replied``.

    moments  (from, to), unix seconds: also its moments of this time; None: none of them
    normal   (from, to), unix seconds: also its normal pictures of this time; None: none of them
    memory   True: also its growing memory
    """

    number: int
    camera: str
    moments: tuple[float, float] | None = None
    normal: tuple[float, float] | None = None
    memory: bool = False


@dataclass(frozen=True)
class Chosen:
    """What people have chosen for a camera from now on. Answered by an empty ``Replied`` once it holds."""

    number: int
    camera: str
    choice: Choice


@dataclass(frozen=True)
class Show:
    """Send live pictures of these places, and of no others, until the next message of this kind."""

    places: frozenset[Place]


# From an engine to the run


@dataclass(frozen=True)
class Facts:
    """What requests need to know of a camera, told whenever it has changed. Fields as of RunCamera."""

    camera: str
    own_model: bool
    model: str
    size: tuple[int, int] | None


@dataclass(frozen=True)
class PreviewTold:
    """See Publisher.publish_preview."""

    camera: str
    kind: Kind
    jpeg: bytes
    size: tuple[int, int]
    captured_at: float
    score: float


@dataclass(frozen=True)
class Ready:
    """The plan can be carried out. For the first plan: it is."""

    number: int


@dataclass(frozen=True)
class Refused:
    """The plan cannot be carried out."""

    number: int
    error: MonitorError


@dataclass(frozen=True)
class Applied:
    """The plan is carried out: names of cameras, and what else has changed, in words."""

    number: int
    added: tuple[str, ...]
    removed: tuple[str, ...]
    changed: tuple[str, ...]
    unchanged: int
    changes: str


@dataclass(frozen=True)
class Joined:
    """A monitor judges a camera from now on, see Sink.added."""

    camera: str
    smoothing: SmoothingSettings
    settings: AlertSettings
    calibration: LiveCalibration
    events: int


@dataclass(frozen=True)
class Scale:
    """The scale of a camera's scores and alerts from now on."""

    camera: str
    scale: ModelScale


@dataclass(frozen=True, slots=True)
class CarriedFrame:
    """What sinks need of a scored frame, without its picture. Fields as in Frame and ScoredFrame.

    health  None: online, and scored
    raw     each detector's score
    """

    camera: str
    index: int
    time_s: float
    segment: int
    captured_at: float
    wall_time: float
    media_s: float | None
    armed: bool
    prepared_s: float
    health: Health | None
    raw: tuple[float, ...]
    scored_at: float
    model: str
    started_at: float | None
    took: tuple[tuple[str, float], ...]


@dataclass(frozen=True)
class Scores:
    """Judgements of frames, in order: the frame, and (score, by_detector, loudest, advice, reasons, place)."""

    judged: tuple[tuple[CarriedFrame, tuple[Any, ...]], ...]


@dataclass(frozen=True)
class Step:
    """A step of an event.

    alert     without picture, anomaly map and scale
    frame     of the alert's snapshot
    jpeg      the picture to publish; None for an update
    evidence  names of its files
    normal_at see AlertMessage
    """

    camera: str
    epoch: int
    seq: int
    alert: Alert
    frame: CarriedFrame
    report: CameraReport
    jpeg: bytes | None
    evidence: tuple[str, ...]
    normal_at: float | None = None


@dataclass(frozen=True)
class HealthTold:
    """See Sink.health."""

    report: CameraReport


@dataclass(frozen=True)
class Removed:
    """See Sink.removed. The camera may join again at once."""

    camera: str


@dataclass(frozen=True)
class Left:
    """A camera is no longer watched by this engine, and everything about it is written.

    counted  all that was counted of its alarms, oldest first
    """

    camera: str
    counted: Sequence[tuple[float, int, float]]
    events: int


@dataclass(frozen=True)
class Tick:
    """The reports of all cameras, about ten times per second.

    busy_s  camera -> seconds of detector work so far
    lost    files of evidence that were lost so far
    models  ids of the models; devices: what they run on
    done    cameras that have ended, and of which every frame is judged and told
    """

    depth: int
    cameras: tuple[CameraReport, ...]
    busy_s: Mapping[str, float]
    lost: int
    models: tuple[str, ...]
    devices: tuple[str, ...]
    done: frozenset[str] = frozenset()


@dataclass(frozen=True)
class MomentTold:
    """See Publisher.publish_moment."""

    camera: str
    body: Mapping[str, Any]
    jpeg: bytes | None


@dataclass(frozen=True)
class LogLine:
    """A line for the log of the run."""

    level: int
    logger: str
    text: str


@dataclass(frozen=True)
class Call:
    """A call of a method of one of the run's stores, such as ``verdicts``. The engine waits for the answer."""

    number: int
    store: str
    method: str
    arguments: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Replied:
    """The reply to a client's request, as on the control socket; empty for what needs no words."""

    number: int
    payload: bytes


@dataclass(frozen=True)
class Finished:
    """The last message. unfinished: sentences about learning that was cut off; error: why the engine failed."""

    unfinished: tuple[str, ...] = ()
    error: MonitorError | None = None
