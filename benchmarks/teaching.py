"""What one verdict does: events that it silences or loses, and names that it gives, on real footage.

    python -m benchmarks.teaching --data PATH          # the folder that contains labels.json, avenue/ and ped1/
    ... --models DIR                                   # keep the models; only missing ones are learned
    ... --scenes ped1 --copies 2 --most 8              # fewer clips, for a shorter run

Normal: each event is judged normal, alone. Then changed copies of its clip come (moved by up to 1 % of the picture,
lighter or darker by up to 7 %, with noise): the same thing again, so its alarms should be silent. And the other clips
come: their alarms should stay. A copy whose alarm ends later than without the verdict counts as not silenced.

Names: examples are named, and the events of all other clips are compared with them. The kinds of events are written
below; they were assigned by eye, on the pictures of the alarms.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.accuracy import SCENES, learn
from monitor.errors import MonitorError
from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import Alert, CameraMonitor
from monitor.judging.fusion import ModelScale
from monitor.judging.prototypes import Prototypes
from monitor.model.model_store import Model, load_model
from monitor.replay import AS_LIVE, frames, judged, scored
from monitor.scores.smoothing import SmoothingSettings
from monitor.states import Phase
from monitor.stream.frame_rules import FrameRules
from monitor.teaching.lessons_applied import taught_model
from monitor.types import Frame
from training.recordings import recorded_sources

KINDS: dict[str, tuple[tuple[float, float, str], ...]] = {
    "ped1/test/01.avi": ((7.9, 16.5, "cyclist"),),
    "ped1/test/02.avi": ((5.3, 18.6, "cyclist"),),
    "ped1/test/04.avi": ((12.0, 17.0, "skater"),),
    "ped1/test/05.avi": ((0.0, 9.0, "cyclist"), (13.3, 20.0, "cyclist")),
    "ped1/test/06.avi": ((0.0, 20.0, "cyclist"),),
    "ped1/test/07.avi": ((0.0, 17.3, "cyclist"),),
    "ped1/test/08.avi": ((2.0, 9.4, "skater"),),
    "ped1/test/12.avi": ((13.0, 20.0, "skater"),),
    "ped1/test/13.avi": ((1.0, 5.2, "cyclist"),),
    "ped1/test/14.avi": ((0.0, 20.0, "cyclist"),),
    "ped1/test/15.avi": ((14.0, 20.0, "cyclist"),),
    "ped1/test/16.avi": ((13.2, 20.0, "cyclist"),),
    "ped1/test/17.avi": ((0.0, 4.6, "cyclist"),),
}
"""Clip -> (from, to, kind): what is abnormal then, seconds."""
_DRAWS = 200  # of five examples


@dataclass(frozen=True, eq=False)
class Happened:
    """An event of a clip."""

    clip: str
    alert: Alert

    @property
    def kind(self) -> str:
        """What it shows at its peak; "other" if that is nothing with a name."""
        at_s = self.alert.event.peak_s
        return next((kind for start, end, kind in KINDS.get(self.clip, ()) if start <= at_s <= end), "other")

    def meets(self, other: Alert) -> bool:
        """Whether both are at the same time of the clip."""
        own, its = self.alert.event, other.event
        return (its.ended_s or 0.0) >= own.started_s and its.started_s <= (own.ended_s or 0.0)


class Clips:
    """The test clips of a scene, watched by its model with and without lessons."""

    def __init__(self, data: Path, names: Sequence[str], model: Model, budget: float) -> None:
        self.names, self.model = names, model
        self._data, self._scale = data, ModelScale(model, budget, SmoothingSettings())
        self._frames: dict[str, list[Frame]] = {}
        self.events = [Happened(name, alert) for name in names for alert in self.watch(name, model)]

    def watch(self, name: str, model: Model, copy: int | None = None) -> list[Alert]:
        """The whole events of a clip. copy: number of a changed copy; None: as it is."""
        if name not in self._frames:
            (source,) = recorded_sources([str(self._data / name)], split="testing_videos")
            rules = FrameRules(AS_LIVE, self.model.viewpoint, self.model.learned_size)
            self._frames[name] = list(frames(source, rules))
        shown: Iterator[Frame] = iter(self._frames[name])
        if copy is not None:
            shown = map(partial(changed, copy=copy), shown)
        monitor = CameraMonitor("", self._scale, SmoothingSettings(), AlertSettings())
        alerts = [alert for judgement in judged(scored(shown, model), monitor) for alert in judgement.alerts]
        return [alert for alert in (*alerts, *monitor.close()) if alert.event.phase is Phase.END]


def changed(frame: Frame, copy: int) -> Frame:
    """A frame of a copy: all its frames are moved and lit alike, and each has noise of its own."""
    rng = np.random.default_rng(copy)
    height, width = frame.image.shape[:2]
    right, down = rng.uniform(-0.01, 0.01, 2) * (width, height)
    gain = rng.uniform(0.93, 1.07)
    move = np.array([[1, 0, right], [0, 1, down]], np.float32)
    moved = cv2.warpAffine(frame.image, move, (width, height), borderMode=cv2.BORDER_REPLICATE)
    noise = np.random.default_rng((copy, frame.index)).normal(0, 2, moved.shape)
    return replace(frame, image=np.clip(moved * gain + noise, 0, 255).astype(np.uint8))


@dataclass(slots=True)
class Normal:
    """Counts over all events that were judged normal, each alone.

    again, silenced  copies in which the event alarms without the verdict, and of these, those without alarm with it
    shorter_s        seconds of alarm in these copies, without and with the verdict
    others, lost     events of another kind in other clips, and of these, those that no longer alarm
    alike, hidden    the same for events of the same kind, anywhere in the picture
    """

    again: int = 0
    silenced: int = 0
    before_s: float = 0.0
    after_s: float = 0.0
    others: int = 0
    lost: int = 0
    alike: int = 0
    hidden: int = 0


def judge_normal(clips: Clips, copies: int, most: int) -> Normal:
    """Judge events normal, one by one."""
    found = Normal()
    for number, event in enumerate(clips.events[:most]):
        assert event.alert.traits is not None
        model = taught_model(clips.model, [event.alert.traits.lesson(everywhere=False, all_hours=True)])
        for copy in range(1, copies + 1):
            before = [a for a in clips.watch(event.clip, clips.model, copy) if event.meets(a)]
            after = [a for a in clips.watch(event.clip, model, copy) if event.meets(a)]
            found.again += bool(before)
            found.silenced += bool(before) and not after
            found.before_s, found.after_s = found.before_s + _seconds(before), found.after_s + _seconds(after)
        for name in clips.names:
            its = [other for other in clips.events if other.clip == name != event.clip]
            if its:
                now = clips.watch(name, model)
                for other in its:
                    gone, same = not any(other.meets(a) for a in now), other.kind == event.kind != "other"
                    found.alike, found.hidden = found.alike + same, found.hidden + (same and gone)
                    found.others, found.lost = found.others + (not same), found.lost + (not same and gone)
        print(f"    event {number + 1} of {min(most, len(clips.events))}: {found}", file=sys.stderr, flush=True)
    return found


def _seconds(alerts: Sequence[Alert]) -> float:
    return sum((a.event.ended_s or 0.0) - a.event.started_s for a in alerts)


def name_by(events: Sequence[Happened], kind: str, examples: int, seed: int) -> tuple[float, float, int]:
    """Precision and recall of a name over the events of other clips, and how often it was tried."""
    own = [number for number, event in enumerate(events) if event.kind == kind]
    if len(own) <= examples:
        return float("nan"), float("nan"), 0
    rng = np.random.default_rng(seed)
    draws = [[number] for number in own]
    if examples > 1:
        draws = [rng.choice(own, examples, replace=False).tolist() for _ in range(_DRAWS)]
    named = right = there = 0
    for draw in draws:
        known = Prototypes([(kind, traits) for i in draw if (traits := events[i].alert.traits) is not None])
        seen = {events[i].clip for i in draw}
        for event in events:
            if event.clip not in seen and event.alert.traits is not None:
                hit = known.match(event.alert.traits) is not None
                named, right = named + hit, right + (hit and event.kind == kind)
                there += event.kind == kind
    return right / max(named, 1), right / max(there, 1), len(draws)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="What one verdict about an event does.")
    parser.add_argument("--data", type=Path, required=True, help="folder that contains labels.json, avenue/ and ped1/")
    parser.add_argument("--models", type=Path, help="folder to keep models in")
    parser.add_argument("--scenes", nargs="+", choices=("ped1", "avenue"), default=["ped1", "avenue"])
    parser.add_argument("--copies", type=int, default=2, help="changed copies of each clip")
    parser.add_argument("--most", type=int, default=1000, help="events that are judged normal, at most")
    parser.add_argument("--false-alarms-per-day", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as temporary:
        models = given.models or Path(temporary)
        for scene in (each for each in SCENES if each.name in given.scenes):
            try:
                folder = models / scene.name
                if not folder.exists():
                    learn(scene, given.data, folder, given.seed)
                model = load_model(folder)
            except MonitorError as error:
                sys.exit(f"error: {error}")
            place = given.data / scene.name / ("test" if scene.name == "ped1" else "testing_videos")
            names = [str(path.relative_to(given.data)) for path in sorted(place.glob("*.avi"))]
            clips = Clips(given.data, names, model, given.false_alarms_per_day)
            print(f"{scene.name}: {len(clips.events)} events in {len(names)} clips, model {model.id}", flush=True)
            for kind in ("cyclist", "skater"):
                count = sum(event.kind == kind for event in clips.events)
                for examples in (1, 2, 5):
                    precision, recall, draws = name_by(clips.events, kind, examples, given.seed)
                    if draws:
                        print(
                            f"  {kind} ({count} of {len(clips.events)} events), {examples} named: precision "
                            f"{precision:.2f}, recall {recall:.2f} ({draws} draws)",
                            flush=True,
                        )
            found = judge_normal(clips, given.copies, given.most)
            print(
                f"  normal: {found.silenced} of {found.again} silenced when they come again "
                f"({found.before_s:.0f} s of alarm before, {found.after_s:.0f} s after); "
                f"{found.hidden} of {found.alike} of the same kind hidden, {found.lost} of {found.others} others lost",
                flush=True,
            )


if __name__ == "__main__":
    main()
