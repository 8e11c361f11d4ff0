"""A run with privacy masks: no picture that leaves the decoder shows what is below them."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import av
import cv2
import numpy as np
import pytest

from monitor.learning.footage import FootageSource
from monitor.places import Polygon
from monitor.sources.masked import GREY
from monitor.sources.synthetic.synthetic_scene import FPS, SyntheticScene
from monitor.types import Image
from tests.e2e.test_end_to_end import DEMO_MODEL
from tests.helpers.commands import monitor

MOST = "[[0, 0.08], [1, 0.08], [1, 1], [0, 1]]"
PLACE = Polygon(((0.0, 0.1), (0.3, 0.1), (0.3, 0.4), (0.0, 0.4)))
SETTINGS = """
state = "{state}"
analysis_fps = 5
[cameras.street]
source = "{video}"
[cameras.street.masks.window]
polygon = [[0, 0.1], [0.3, 0.1], [0.3, 0.4], [0, 0.4]]
[publish]
alerts = "tcp://127.0.0.1:*"
scores = "tcp://127.0.0.1:*"
history = "tcp://127.0.0.1:*"
[evidence]
enabled = true
folder = "{evidence}"
after_s = 1.0
"""


@pytest.fixture(scope="module")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first 17 s of the synthetic street, with someone who runs, and a light that blinks below the mask."""
    path = tmp_path_factory.mktemp("video") / "street.avi"
    scene = SyntheticScene()
    writer: cv2.VideoWriter | None = None
    for index in range(round(17 * FPS)):
        image = scene.render(index).copy()
        height, width = image.shape[:2]
        image[height // 5 : height // 3, : width // 4] = (0, 0, 255) if index // 5 % 2 else (255, 255, 255)
        writer = writer or cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), FPS, (width, height))
        writer.write(image)
    assert writer is not None
    writer.release()
    return path


def config(tmp_path: Path, video: Path) -> Path:
    path = tmp_path / "cameras.toml"
    path.write_text(SETTINGS.format(state=tmp_path / "state", video=video, evidence=tmp_path / "evidence"))
    return path


def assert_masked(image: Image | None, what: str, picture: tuple[int, int] = (640, 360)) -> None:
    """Compressed pictures differ a little from grey. At the edge of the mask, they also show its surroundings."""
    assert image is not None, what
    width = image.shape[1]
    height = round(width * picture[1] / picture[0])  # below it is the caption
    inside = cv2.erode(PLACE.pixels(width, height).astype(np.uint8), np.ones((17, 17), np.uint8)).astype(bool)
    inside[:, : 17 // 2] = False
    assert inside.any()
    assert np.abs(image[:height][inside].astype(int) - GREY).max() <= 12, f"{what} shows something below the mask"


def test_pictures_clips_and_messages_of_alerts_and_moments_are_masked(tmp_path: Path, video: Path) -> None:
    ended = monitor("--config", config(tmp_path, video), "--model", DEMO_MODEL, "--speed", "max", "--headless")
    assert ended.returncode == 0, ended.stderr
    moments = tmp_path / "state/runs/moments"
    assert list(moments.rglob("*.jpg"))
    normal = tmp_path / "state/runs/normal"
    assert list(normal.rglob("*-normal.jpg"))
    assert list((tmp_path / "evidence").rglob("*-normal.jpg"))
    folders = (tmp_path / "evidence", moments, normal)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    pictures = [path for path in files if path.suffix == ".jpg"]
    clips = [path for path in files if path.suffix in (".mp4", ".webm")]
    assert pictures
    assert clips
    for path in pictures:
        assert_masked(np.asarray(cv2.imread(str(path)), np.uint8), path.name)
    for path in clips:
        with av.open(str(path)) as container:
            for frame in container.decode(video=0):
                assert_masked(np.asarray(frame.to_ndarray(format="bgr24"), np.uint8), path.name)
    with closing(sqlite3.connect(tmp_path / "state/runs/journal.sqlite3")) as journal:
        sent = [row[0] for row in journal.execute("SELECT jpeg FROM messages WHERE jpeg IS NOT NULL")]
    assert sent
    for jpeg in sent:
        assert_masked(np.asarray(cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR), np.uint8), "a message")


def test_what_a_camera_learns_from_is_masked(tmp_path: Path, video: Path) -> None:
    path = config(tmp_path, video)
    path.write_text(
        'detectors = ["static"]' + path.read_text() + "[learning]\nduration_s = 10.0\nkeep_footage = true\n"
    )
    ended = monitor("--config", path, "--speed", "max", "--headless", "--no-publish")
    assert ended.returncode == 0, ended.stderr
    footage = tmp_path / "state/models/street/footage"
    with FootageSource(footage).open() as reader:
        seen = 0
        while reader.grab() is not None:
            image = reader.retrieve()
            assert image is not None
            width, height = image.shape[1], image.shape[0]
            inside = cv2.erode(PLACE.pixels(width, height).astype(np.uint8), np.ones((7, 7), np.uint8)).astype(bool)
            assert np.abs(image[inside].astype(int) - GREY).max() <= 12
            seen += 1
    assert seen >= 50


@pytest.mark.parametrize(("corners", "alerts"), [("[[0, 0], [1, 0], [1, 0.2]]", True), (MOST, False)])
def test_what_happens_in_an_ignored_zone_raises_no_alert(
    tmp_path: Path, video: Path, corners: str, alerts: bool
) -> None:
    path, record = config(tmp_path, video), tmp_path / "alerts.jsonl"
    zone = f"[cameras.street.zones.road]\npolygon = {corners}\n"
    path.write_text(path.read_text() + zone)
    arguments = ("--model", DEMO_MODEL, "--speed", "max", "--headless", "--record-alerts", record)
    ended = monitor("--config", path, *arguments)
    assert ended.returncode == 0, ended.stderr
    assert bool(record.read_text()) == alerts
