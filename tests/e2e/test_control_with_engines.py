"""Every request has the same answer and the same effect with one process and with two engines."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import get_args

import cv2
import numpy as np
import pytest

from monitor.alerts.control import (
    AddCamera,
    AnyRequest,
    Arm,
    Budget,
    Cameras,
    Changes,
    ControlRequest,
    Feedback,
    Forget,
    Kept,
    Look,
    Mask,
    Name,
    Pause,
    Ping,
    Preview,
    Relearn,
    RemoveCamera,
    RollBack,
    TryCamera,
    Undo,
    Verdicts,
    Versions,
    Zone,
)
from monitor.app.demo import MODEL_FOLDER
from monitor.sources.synthetic.synthetic_scene import SyntheticScene
from monitor.testing.captured import eventually
from tests.helpers.pictures_of import is_masked, seen
from tests.helpers.real_monitor import DEADLINE_S, RealMonitor, real_monitor

CORNERS = ((0.3, 0.3), (0.7, 0.3), (0.7, 0.7), (0.3, 0.7))
SETTINGS = """
state = "{folder}/state"
device = "cpu"
detectors = ["motion", "static"]
analysis_fps = 5
[playback]
loop = true
[capture]
isolation = "thread"
[publish]
alerts = "tcp://127.0.0.1:*"
scores = "tcp://127.0.0.1:*"
history = "tcp://127.0.0.1:*"
[cameras.street]
source = "{video}"
[cameras.garden]
source = "{video}"
"""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four seconds of the street; for a second, the picture runs away."""
    path, scene = tmp_path_factory.mktemp("video") / "street.avi", SyntheticScene(seed=7, duration_s=10.0)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, cv2.VideoWriter.fourcc(*"MJPG"), 10.0, (160, 90))
    for frame in range(40):
        image = scene.render(round(2.5 * frame))
        image = np.roll(image, 60 * frame, 1) if 20 <= frame < 35 else image
        writer.write(cv2.resize(image, (160, 90), interpolation=cv2.INTER_AREA))
    writer.release()
    return path


class Asked:
    """A run, and what it has answered. Numbers that depend on time are left out."""

    def __init__(self, monitor: RealMonitor) -> None:
        self.monitor = monitor
        self.kinds: set[type[ControlRequest]] = set()
        self.said: list[str] = []

    def __call__(self, request: ControlRequest) -> str:
        self.kinds.add(type(request))
        reply = self.monitor.ask(request)
        said = re.sub(r"event \S+ is", "event # is", reply.said)
        said = re.sub(r"\d[\d:.,-]*", "#", said.replace(str(self.monitor.folder), "FOLDER"))
        said = re.sub(r"(# moment file|nothing)(s?)$", "# moment file", said)  # the day is ranked now and then
        said = re.sub(r"\b(alarm|message|event|file)s\b", r"\1", said)
        self.said.append(f"{type(request).__name__}: {reply.reply}: {said} {sorted(reply.data)}")
        return reply.reply

    def until(self, request: ControlRequest) -> None:
        """Ask until it can be done: an event must have come."""
        assert eventually(lambda: self.monitor.ask(request).reply == "ok", DEADLINE_S), self.monitor.ask(request).said
        self(request)

    def state(self, camera: str) -> str:
        return str(self.monitor.camera(camera)["state"])

    def until_state(self, camera: str, state: str) -> None:
        """Wait for a state of a camera."""
        assert eventually(lambda: self.state(camera) == state, DEADLINE_S), self.state(camera)

    def until_judged(self, camera: str) -> None:
        """Wait until its frames are judged. On a busy machine, frames are dropped; and there are many alarms."""
        others = ("connecting", "learning", "paused", "ended", "failed")
        assert eventually(lambda: self.state(camera) not in others, DEADLINE_S), self.state(camera)


@pytest.fixture
def runs(tmp_path_factory: pytest.TempPathFactory, video: Path) -> Iterator[tuple[Asked, Asked]]:
    """The same cameras in a run of one process, and in one with two engines."""
    with ExitStack() as stack:
        found = []
        for engines in (1, 2):
            folder = tmp_path_factory.mktemp(f"engines{engines}")
            (folder / "cameras.toml").write_text(SETTINGS.format(folder=folder, video=video))
            for camera in ("street", "garden"):
                shutil.copytree(MODEL_FOLDER, folder / "state" / "models" / camera / "v0001")
            found.append(Asked(stack.enter_context(real_monitor(folder, f"--engines={engines}", video=video))))
        for run in found:
            for camera in ("street", "garden"):
                run.until_judged(camera)
        assert any("2 engines watch" in line for line in found[1].monitor.lines)
        yield found[0], found[1]


def choose(run: Asked) -> None:
    """What people choose for a camera, and what must not be forgotten by a choice that follows."""
    for camera in ("street", "garden"):
        run(Arm(camera=camera, armed=False))
        run(Budget(camera=camera, per_day=3.0, preview=True))
        run(Budget(camera=camera, per_day=3.0))
        run(Zone(camera=camera, name="road", polygon=CORNERS, sensitivity=0.5))
        run(Mask(camera=camera, name="window", polygon=CORNERS))
        run(Pause(camera=camera, paused=True))
        run.until_state(camera, "paused")
        assert is_masked(seen(run.monitor, camera)), "it is still seen"
        run(Pause(camera=camera, paused=False))
        run.until_judged(camera)
        facts = run.monitor.camera(camera)
        assert (facts["armed"], facts["per_day"], facts["size"]) == (False, 3.0, [160, 90])
        assert [place["name"] for place in facts["masks"] + facts["zones"]] == ["window", "road"]
        run(Arm(camera=camera, armed=True))
        run(Budget(camera=camera, per_day=None))
        run(Mask(camera=camera, name="window", polygon=None))
        assert not is_masked(seen(run.monitor, camera))
        run(Zone(camera=camera, name="road", polygon=None))


def add(run: Asked) -> None:
    """A camera comes and goes."""
    run(TryCamera(source=str(run.monitor.video)))
    run(TryCamera(source="/nowhere/x.mp4"))
    shutil.copytree(MODEL_FOLDER, run.monitor.folder / "state" / "models" / "yard" / "v0001", dirs_exist_ok=True)
    run(AddCamera(camera="yard", source=str(run.monitor.video)))
    run(AddCamera(camera="yard", source=str(run.monitor.video)))
    run.until_judged("yard")
    assert seen(run.monitor, "yard").any()
    run(AddCamera(camera="shed", source=str(run.monitor.video)))  # which has no model
    run.until_state("shed", "learning")
    run(RemoveCamera(camera="yard"))
    run(RemoveCamera(camera="shed"))
    names = [each["name"] for each in run.monitor.ask(Cameras()).data["cameras"]]
    assert names == ["street", "garden"]
    run(AddCamera(camera="yard", source=str(run.monitor.video)))  # at once again
    run.until_judged("yard")
    run(RemoveCamera(camera="yard"))


def teach(run: Asked) -> None:
    """What people say of events."""
    for camera in ("street", "garden"):
        run.until(Preview(event="last", camera=camera, verdict="normal"))
        run(Feedback(event="last", camera=camera, verdict="cat"))
        run(Undo(event="last", camera=camera))
        run(Feedback(event="last", camera=camera, verdict="cat"))
    run(Name(name="cat", alert="never"))
    cameras = {verdict["camera"] for verdict in run.monitor.ask(Verdicts()).data["verdicts"]}
    assert cameras == {"street", "garden"}
    run(Verdicts())


def go_back(run: Asked) -> None:
    """A camera has a newer version of its model, and goes back to the one before."""
    before = run.monitor.camera("street")["model"]
    versions = run.monitor.folder / "state" / "models" / "street"
    shutil.copytree(MODEL_FOLDER, versions / "v0002", dirs_exist_ok=True)
    card = versions / "v0002" / "model.json"
    card.write_text(card.read_text().replace('"seed": 0', '"seed": 1'))
    run.monitor.hang_up()
    run.until_judged("street")
    assert run.monitor.camera("street")["model"] != before
    assert run.monitor.camera("street")["may_relearn"]
    run(Versions())
    run(RollBack(camera="gate"))
    run(RollBack(camera="street"))
    run.until_judged("street")
    assert run.monitor.camera("street")["model"] == before
    run(RollBack(camera="street"))  # there is no older one
    run(Versions(camera="street"))
    run(Cameras(camera="street"))


def learn(run: Asked) -> None:
    """A camera learns again; what is known of it is deleted."""
    run(Relearn(camera="garden"))
    # Its file is short, so that it soon says that it cannot learn from it.
    assert eventually(lambda: run.state("garden") in ("learning", "failed"), DEADLINE_S), run.state("garden")
    assert run.monitor.camera("garden")["model"] == ""
    assert run.monitor.camera("street")["model"] != ""
    run(Relearn(camera="garden"))
    run(Forget(camera="garden", what=("alerts", "evidence", "taught")))
    run(Forget(camera="garden", preview=False, what=("alerts", "taught", "thresholds", "memories", "choices")))
    run(Forget(camera="garden", preview=False, what=("moments",)))
    cameras = {verdict["camera"] for verdict in run.monitor.ask(Verdicts()).data["verdicts"]}
    assert cameras == {"street"}


def refuse(run: Asked) -> None:
    """What cannot be done."""
    for request in (
        Arm(camera="gate", armed=True),
        Budget(camera="gate", per_day=2.0),
        Pause(camera="gate", paused=True),
        Mask(camera="gate", name="a", polygon=CORNERS),
        Zone(camera="gate", name="a", polygon=CORNERS),
        Relearn(camera="gate"),
        Cameras(camera="gate"),
        RemoveCamera(camera="gate"),
        RemoveCamera(camera="street"),
        Look(cameras=("gate",)),
        Look(cameras=("gate", "street")),
        Feedback(event="nonsense", verdict="normal"),
        Kept(event="nonsense"),
        Forget(camera="gate"),
        Mask(camera="street", name="gone", polygon=None),
    ):
        run(request)
    config = run.monitor.folder / "cameras.toml"
    good = config.read_text()
    config.write_text("nonsense = 1\n" + good)
    try:
        run(Mask(camera="street", name="late", polygon=CORNERS))
    finally:
        config.write_text(good)
    run.monitor.hang_up()
    assert is_masked(seen(run.monitor, "street"))
    run(Ping())
    run(Cameras())
    run(Changes())


@pytest.mark.timeout(300)
def test_it_is_as_with_one_process(runs: tuple[Asked, Asked]) -> None:
    """Every kind of request is answered alike, has the same effect, and is recorded once."""
    for part in (choose, teach, add, refuse, go_back, learn):
        for run in runs:
            run.said.clear()
        with ThreadPoolExecutor() as pool:
            list(pool.map(part, runs))
        assert runs[1].said == runs[0].said
        assert not any("failed" in line for line in runs[1].said), runs[1].said
    assert runs[1].kinds == set(get_args(AnyRequest))
    one, two = ([change["request"] for change in run.monitor.ask(Changes(limit=500)).data["changes"]] for run in runs)
    assert one == two
    for run in runs:
        assert not [line for line in run.monitor.lines if "Traceback" in line]
