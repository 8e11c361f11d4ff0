"""The evaluate command: its report, JSON file and plots, and its errors for wrong arguments."""

from __future__ import annotations

import json
import math
import shutil
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NoReturn

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from typer.testing import CliRunner

from monitor.detector.base import Detector, Observation
from monitor.detector.motion.motion_detector import Motion
from monitor.detector.static_detector import StaticAge
from monitor.model.model_store import CARD_FILE, load_model, save_model
from monitor.scores.held_out import HeldOut
from monitor.stream.health.viewpoint import Viewpoint
from monitor.testing.fakes import provenance
from monitor.text.commands import python_command
from monitor.types import Frame, Image
from tests.helpers.commands import training
from training.__main__ import app
from training.evaluate import evaluation
from training.evaluate.corrupt import Corruption
from training.evaluate.evaluation import Settings, WatchSettings, evaluate
from training.evaluate.labels import load_labels
from training.evaluate.plots import _timelines
from training.evaluate.watching import Watched
from training.progress import Report

COUNT, LEARNED = 100, 110


@pytest.fixture(autouse=True, scope="module")
def one_thread() -> Iterator[None]:
    """Small frames gain nothing from more threads, and lose much time if other processes use the cores."""
    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    yield
    cv2.setNumThreads(before)


def scene(x: float) -> Image:
    """A grey scene with a bright square that has moved ``x`` px."""
    image = np.full((96, 160, 3), 90, np.uint8)
    image[64:] = (60, 80, 100)
    image[::7, ::5] += 20
    left = round(x) % 148
    image[40:52, left : left + 12] = 220
    return image


def scores(detector: Detector, frames: Sequence[Frame]) -> NDArray[np.float64]:
    stream = detector.new_stream()
    return np.array([detector.score([Observation(frame, stream)])[0].score for frame in frames])


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Motion and static age, learned from squares that move at walking speed."""
    frames = [Frame("cam", i, i / 10, scene(2 * i)) for i in range(LEARNED)]
    detectors = [Motion.fit([frames]), StaticAge.fit([frames])]
    held = {detector.name: scores(detector, frames) for detector in detectors}
    folder = tmp_path_factory.mktemp("models") / "walk"
    times = np.array([frame.time_s for frame in frames])
    save_model(folder, "walk", detectors, HeldOut(times, np.zeros(LEARNED, np.int32), held), provenance())
    return folder


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three folders of frames at 25 per second. The square runs at the end. All have labels, and two have masks."""
    folder = tmp_path_factory.mktemp("data")
    entries = {}
    (folder / "masks").mkdir()
    for video in ("01", "02", "03"):
        start = 40 + 5 * int(video)
        (folder / video).mkdir()
        for i in range(COUNT):
            x = 0.8 * i + 3.6 * max(0, i - start)  # 20 px/s, then 110
            cv2.imwrite(str(folder / video / f"{i:04}.png"), scene(x))
        entries[video] = {"frames": COUNT, "abnormal": [[start, COUNT - 1]]}
        if video != "03":
            mask = np.zeros((COUNT, 96, 160), np.bool_)
            mask[start:, 36:56] = True
            np.savez_compressed(folder / "masks" / f"{video}.npz", mask=mask)
    (folder / "labels.json").write_text(json.dumps(entries))
    return folder


def run(*words: object) -> tuple[int, str]:
    done = CliRunner().invoke(app, ["evaluate", *map(str, words), "--device", "cpu"])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        return 2, str(done.exception)  # main() prints it as one line
    return done.exit_code, done.output


def test_report_json_and_pictures_tell_all(data: Path, model: Path, tmp_path: Path) -> None:
    code, output = run("--data", data / "labels.json", "--model", model, "--json", tmp_path / "f.json",
                       "--plots", tmp_path / "plots")  # fmt: skip
    assert code == 0, output
    for words in (
        "fused",
        "motion",
        "static",
        "frame difference",
        "3 of 3 events",
        "Region hit rate",
        "Region-based detection (RBDC)",
        "Median ms",
    ):
        assert words in output
    found = json.loads((tmp_path / "f.json").read_text())
    assert found["detectors"]["motion"]["auc_micro"] > 0.9
    low, high = found["scores"]["auc_micro_interval"]
    assert low <= found["scores"]["auc_micro"] <= high
    assert found["events"]["recall"] == 1.0
    assert 0 <= found["events"]["delay_s"] < 3
    assert found["analysed"] == 3 * COUNT * 10 / 25
    assert found["hit_rates"]["motion"]["frames"] == sum(int(i * 2.5 + 0.9) >= s for s in (45, 50) for i in range(40))
    assert found["hit_rates"]["motion"]["rate"] > 0.5
    assert found["rbdc"] > 0.3
    assert set(found["ms"]) == {"decode", "health", "motion", "static"}
    pictures = sorted(path.name for path in (tmp_path / "plots").iterdir())
    assert pictures == ["peaks-abnormal.png", "peaks-normal.png", "roc.png", "scores.png"]
    for name in pictures:
        image = cv2.imread(str(tmp_path / "plots" / name))
        assert image is not None
        assert min(image.shape[:2]) > 200
        assert image.std() > 5


def test_a_model_beside_another_one_is_compared_on_the_same_videos(data: Path, model: Path, tmp_path: Path) -> None:
    only = tmp_path / "only-static"
    static = load_model(model)
    held = static.held_out
    save_model(
        only, "static", static.detectors[1:], replace(held, scores={"static": held.scores["static"]}), provenance()
    )
    code, output = run(
        "--data", data / "labels.json", "--model", model, "--against", only, "--json", tmp_path / "f.json"
    )
    assert code == 0, output
    assert f"Beside {load_model(only).id}, on the same videos:" in output
    found = json.loads((tmp_path / "f.json").read_text())["against"]
    assert found["micro"]["static"]["gain"] == 0.0
    fused = found["micro"]["fused"]
    assert fused["gain"] == pytest.approx(fused["this"] - fused["other"])
    assert fused["interval"][0] <= fused["gain"] <= fused["interval"][1]
    code, output = run("--alarms-per-day", data, "--model", model, "--against", only)
    assert (code, output) == (
        2,
        "--subset, --against, --corrupt, --plots and --post only work with --data: remove them",
    )


def test_the_legend_names_what_is_drawn_and_nothing_else(data: Path, model: Path) -> None:
    found = evaluate(load_labels(data / "labels.json"), load_model(model), Report(quiet=True))

    def legend(*videos: Watched) -> list[str]:
        return [text.get_text() for text in _timelines(found, videos).legends[0].get_texts()]

    first, second, _ = found.watched
    assert first.alarms
    assert legend(first) == ["labelled abnormal", "score", "threshold", "alarm"]
    quiet = replace(first, alarms=(), abnormal=np.zeros(COUNT, np.bool_))
    assert legend(quiet) == ["score", "threshold"]
    assert legend(quiet, second) == ["labelled abnormal", "score", "threshold", "alarm"], "the panel does not matter"
    false = replace(quiet, alarms=first.alarms)
    assert legend(false) == ["score", "threshold", "false alarm"]


def test_videos_that_the_model_was_trained_on_are_named(data: Path, model: Path, tmp_path: Path) -> None:
    trained = tmp_path / "walk"
    shutil.copytree(model, trained)
    card = json.loads((trained / CARD_FILE).read_text())
    card["provenance"]["data"] = [str(data / "01"), str(data / "02")]
    (trained / CARD_FILE).write_text(json.dumps(card))
    code, output = run("--data", data / "labels.json", "--model", trained)
    assert code == 0, output
    assert "warning: trained on 2 of these videos (01, 02): results are too good" in output


def test_corrupted_frames_are_missing_and_the_same_every_time(data: Path, model: Path, tmp_path: Path) -> None:
    figures = []
    for name in ("a.json", "b.json"):
        code, output = run("--data", data / "labels.json", "--model", model, "--subset", "01", "--streaming",
                           "--corrupt", "drop=0.2,noise=0.3,flip=0.1", "--json", tmp_path / name)  # fmt: skip
        assert code == 0, output
        assert "corrupted on purpose: flip=0.1,noise=0.3,drop=0.2,noise_sigma=25,seed=0" in output
        found = json.loads((tmp_path / name).read_text())
        del found["ms"]
        figures.append(found)
    assert figures[0] == figures[1]
    assert 65 < figures[0]["frames"] < 95


def test_maps_stand_for_frames_that_are_not_scored_as_scores_do(data: Path, model: Path) -> None:
    videos = load_labels(data / "labels.json")
    viewpoint = Viewpoint.learn([[Frame("cam", i, i / 10, scene(2 * i)) for i in range(LEARNED)]])
    loaded = replace(load_model(model), viewpoint=viewpoint)
    clean = evaluate(videos, loaded, Report(quiet=True)).evaluation
    faults = Settings(watch=WatchSettings(corruption=Corruption(noise=0.3)))
    noisy = evaluate(videos, loaded, Report(quiet=True), faults).evaluation
    assert noisy.not_scored["online"] > 0.2 * noisy.analysed
    assert noisy.hit_rates["fused"].rate > clean.hit_rates["fused"].rate - 0.1 > 0.5


def test_alarms_a_day_need_no_labels(data: Path, model: Path, tmp_path: Path) -> None:
    code, output = run("--alarms-per-day", data, "--model", model, "--json", tmp_path / "a.json",
                       "--false-alarms-per-day", 5)  # fmt: skip
    assert code == 0, output
    assert "the budget is 5" in output
    found = json.loads((tmp_path / "a.json").read_text())
    assert found["files"] == 3
    assert len(found["alarms"]) == len(found["at_s"]) >= 1
    assert math.isclose(found["per_day"], len(found["alarms"]) * 86_400 / found["footage_s"])


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (lambda _: [], "give either --data"),
        (lambda d: ["--data", d, "--alarms-per-day", d], "give either --data"),
        (lambda d: ["--alarms-per-day", d, "--subset", "ped1"], "only work with --data"),
        (lambda d: ["--data", d, "--streaming", "--post", "published"], "exclude each other"),
        (lambda d: ["--data", d / "labels.json", "--post", "published"], "one detector, not motion, static"),
        (lambda d: ["--data", d / "labels.json", "--corrupt", "flop=1"], "did you mean 'flip'"),
    ],
)
def test_words_that_make_no_sense_are_one_sentence(
    words: Callable[[Path], list[object]], sentence: str, data: Path, model: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation, "watch", lambda *_: pytest.fail("footage is watched before words are refused"))
    code, output = run(*words(data), "--model", model)
    assert code == 2
    assert sentence in output
    assert "\n" not in output.strip()


def test_ctrl_c_leaves_nothing_behind_and_says_so(
    data: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def watch(*_: object) -> NoReturn:
        signal.raise_signal(signal.SIGINT)
        raise AssertionError("the signal ends the work")

    monkeypatch.setattr(evaluation, "watch", watch)
    (tmp_path / "there").mkdir()
    plots, figures = tmp_path / "new/plots", tmp_path / "there/figures.json"
    done = training("evaluate", "--data", data / "labels.json", "--model", model, "--device", "cpu",
                    "--plots", plots, "--json", figures)  # fmt: skip
    assert "watching 3 videos" in done.stderr
    assert (done.returncode, done.stderr.splitlines()[-1]) == (130, "stopped: nothing is written")
    assert [path.name for path in tmp_path.rglob("*")] == ["there"], "older files are kept"


def test_without_matplotlib_the_command_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "training.evaluate.plots", raising=False)
    done = training("evaluate", "--data", tmp_path, "--model", tmp_path, "--plots", "p")
    assert done.returncode == 2
    assert done.stderr == f"error: --plots needs matplotlib: run `{python_command('-m pip install matplotlib')}`\n"
