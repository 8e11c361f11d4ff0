from __future__ import annotations

import csv
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from monitor.detector.base import Observation
from monitor.detector.true_sight.autoencoder import TrueSightNet
from monitor.detector.true_sight.true_sight_detector import TrueSight
from monitor.errors import ModelError, SourceError, UsageError
from monitor.judging.published_postprocess import published_postprocess
from monitor.model.model_store import Model, Provenance, load_model, save_model
from monitor.scores.held_out import HeldOut
from monitor.text.commands import python_command
from monitor.types import Frame, Image
from tests.helpers.commands import training
from tests.places import ROOT
from training.__main__ import app
from training.evaluate.submission import squeezed, write_submission
from training.output import Post
from training.progress import Report

QUIET = Report(quiet=True)


def picture(i: int) -> Image:
    image = np.full((48, 64, 3), 100, np.uint8)
    image[10:30, i * 5 % 50 : i * 5 % 50 + 10] = 40 + i * 7 % 200
    return image


@pytest.fixture(scope="module")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small calibrated network without training. Its scores mean nothing, but they are reproducible."""
    torch.manual_seed(0)
    detector = TrueSight.from_network(TrueSightNet(width=4, dropout=0), variant="sound")
    images = [picture(i) for i in range(40)]
    detector = detector.calibrate(images)
    times = np.arange(40) / 10
    frames = [Observation(Frame("clip", i, times[i], image), None) for i, image in enumerate(images)]
    scores = np.array([d.score for d in detector.score(frames)])
    held_out = HeldOut(times, np.zeros(40, np.int32), {"true-sight": scores})
    about = Provenance(
        recipe="none", data=[], frames=0, seed=0, commit=None, device="cpu", trained_at="2024-01-01T00:00:00+00:00"
    )
    folder = tmp_path_factory.mktemp("models") / "small"
    save_model(folder, "small", [detector], held_out, about)
    return folder


@pytest.fixture(scope="module")
def model(model_folder: Path) -> Model:
    return load_model(model_folder)


def frames(folder: Path, numbers: Iterable[int]) -> Path:
    folder.mkdir(parents=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"frame_{number:05}.png"), picture(number))
    return folder


def read(path: Path) -> tuple[list[str], list[float]]:
    with path.open(newline="") as file:
        rows = list(csv.reader(file))
    assert rows[0] == ["Id", "Predicted"]
    return [row[0] for row in rows[1:]], [float(row[1]) for row in rows[1:]]


@pytest.mark.parametrize("post", list(Post))
def test_ids_are_video_and_file_number_sorted_as_strings_and_gaps_have_no_row(
    tmp_path: Path, model: Model, post: Post
) -> None:
    root = tmp_path / "Dataset"
    frames(root / "testing_videos/02", [3, 4, 7, 8, 9, 10, 11])
    frames(root / "testing_videos/10", range(6))
    frames(root / "training_videos/01", range(6))  # not part of a test set
    out = tmp_path / "out/submission.csv"
    assert write_submission(str(root), model, out, post, QUIET) == 13
    ids, predicted = read(out)
    expected = [f"2_{n}" for n in (3, 4, 7, 8, 9, 10, 11)] + [f"10_{n}" for n in range(6)]
    assert ids == sorted(expected)
    assert all(0 <= p <= 1 for p in predicted)
    assert [p.name for p in out.parent.iterdir()] == ["submission.csv"]


def test_published_predictions_are_the_published_post_processing_of_the_live_scores(
    tmp_path: Path, model: Model
) -> None:
    frames(tmp_path / "test/01", range(30))
    frames(tmp_path / "test/02", range(5, 30))
    write_submission(str(tmp_path / "test"), model, tmp_path / "s.csv", Post.PUBLISHED, QUIET)
    raw = {
        video: np.array([d.score for d in model.detectors[0].score(
            [Observation(Frame("x", i, i / 25, picture(i)), None) for i in numbers]
        )])
        for video, numbers in (("1", range(30)), ("2", range(5, 30)))
    }  # fmt: skip
    done = published_postprocess(raw)
    expected = {f"1_{i}": done["1"][i] for i in range(30)} | {f"2_{i + 5}": done["2"][i] for i in range(25)}
    ids, predicted = read(tmp_path / "s.csv")
    assert predicted == pytest.approx([expected[i] for i in ids], abs=1e-6)


def test_causal_predictions_of_a_video_do_not_depend_on_its_future_or_on_others(tmp_path: Path, model: Model) -> None:
    frames(tmp_path / "whole/01", range(40))
    frames(tmp_path / "whole/02", range(20, 40))
    frames(tmp_path / "part/01", range(25))
    write_submission(str(tmp_path / "whole"), model, tmp_path / "whole.csv", Post.CAUSAL, QUIET)
    write_submission(str(tmp_path / "part"), model, tmp_path / "part.csv", Post.CAUSAL, QUIET)
    whole = dict(zip(*read(tmp_path / "whole.csv"), strict=True))
    part = dict(zip(*read(tmp_path / "part.csv"), strict=True))
    assert len(part) == 25
    assert {key: whole[key] for key in part} == part
    assert len(set(part.values())) > 3


def test_videos_are_named_by_their_file(tmp_path: Path, model: Model) -> None:
    folder = tmp_path / "testing_videos"
    folder.mkdir()
    writer = cv2.VideoWriter(str(folder / "07.avi"), cv2.VideoWriter.fourcc(*"MJPG"), 25, (64, 48))
    for i in range(12):
        writer.write(picture(i))
    writer.release()
    write_submission(str(tmp_path), model, tmp_path / "s.csv", Post.PUBLISHED, QUIET)
    ids, _ = read(tmp_path / "s.csv")
    assert ids == sorted(f"7_{i}" for i in range(12))


def test_unreadable_frame_gets_no_row(tmp_path: Path, model: Model) -> None:
    folder = frames(tmp_path / "t/01", range(8))
    (folder / "frame_00003.png").write_bytes(b"no picture")
    write_submission(str(tmp_path / "t"), model, tmp_path / "s.csv", Post.CAUSAL, QUIET)
    assert read(tmp_path / "s.csv")[0] == [f"1_{i}" for i in (0, 1, 2, 4, 5, 6, 7)]


@pytest.mark.parametrize(
    ("folders", "message"),
    [(("street",), "has no number at the end of its name"), (("a/03", "b/3"), "two videos have the number 3")],
)
def test_videos_without_a_number_of_their_own_are_refused(
    tmp_path: Path, model: Model, folders: tuple[str, ...], message: str
) -> None:
    for folder in folders:
        frames(tmp_path / "t" / folder, range(5))
    with pytest.raises(SourceError, match=message):
        write_submission(str(tmp_path / "t"), model, tmp_path / "s.csv", Post.CAUSAL, QUIET)
    assert not (tmp_path / "s.csv").exists()


def test_output_that_is_a_folder_is_refused_before_any_work(tmp_path: Path, model: Model) -> None:
    with pytest.raises(UsageError, match="is a folder"):
        write_submission(str(frames(tmp_path / "01", range(5))), model, tmp_path, Post.CAUSAL, QUIET)


def test_file_that_cannot_be_written_is_found_before_the_scoring(tmp_path: Path, model: Model) -> None:
    frames(tmp_path / "t/01", range(5))
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot write to .*file.*give another --out"):
        write_submission(str(tmp_path / "t"), model, tmp_path / "file/s.csv", Post.CAUSAL, QUIET)


def test_published_post_processing_needs_one_detector(tmp_path: Path, model: Model) -> None:
    two = Model(model.card, model.detectors * 2, model.held_out, model.hash)
    frames(tmp_path / "t/01", range(5))
    with pytest.raises(ModelError, match="one detector"):
        write_submission(str(tmp_path / "t"), two, tmp_path / "s.csv", Post.PUBLISHED, QUIET)


def test_causal_scale_keeps_every_order_and_puts_the_threshold_in_the_middle() -> None:
    scores = np.array([-50.0, -1.0, 0.0, 0.99, 1.0, 1.01, 30.0, 31.0])
    found = squeezed(scores)
    assert (np.diff(found) > 0).all()
    assert found.min() > 0
    assert found.max() < 1
    assert found[4] == 0.5


def test_command_writes_the_file_and_says_how_many_rows(tmp_path: Path, model_folder: Path) -> None:
    frames(tmp_path / "t/01", range(5))
    line = ["submission", "--data", str(tmp_path / "t"), "--model", str(model_folder), "--out", str(tmp_path / "s.csv")]
    done = CliRunner().invoke(app, [*line, "--post", "causal", "--device", "cpu"])
    assert done.exit_code == 0
    assert "scoring 1 video\n" in done.output
    assert re.search(r"01: 5 frames, \d+ per second", done.output)
    assert "5 rows written" in done.output
    assert read(tmp_path / "s.csv")[0] == [f"1_{i}" for i in range(5)]


def test_command_measures_a_model_folder(tmp_path: Path, model_folder: Path) -> None:
    frames(tmp_path / "t/01", range(40))
    (tmp_path / "labels.json").write_text('{"t/01": {"frames": 40, "abnormal": [[20, 39]]}}')
    line = ["evaluate", "--data", str(tmp_path / "labels.json"), "--model", str(model_folder), "--device", "cpu"]
    done = CliRunner().invoke(app, [*line, "--json", str(tmp_path / "figures.json")])
    assert done.exit_code == 0
    assert re.search(r"01: 40 frames, \d+ per second", done.output)
    assert "40 frames of 1 video (1 with both classes)" in done.output
    assert "frame difference" in done.output
    assert (tmp_path / "figures.json").exists()


def test_sigterm_ends_the_command_with_a_sentence(tmp_path: Path, model_folder: Path) -> None:
    first = next(frames(tmp_path / "t/01", [0]).iterdir())
    for number in range(1, 400):
        first.with_name(f"frame_{number:05}.png").hardlink_to(first)
    line = [sys.executable, "-m", "training", "submission", "--data", str(tmp_path / "t"), "--model", str(model_folder)]
    line += ["--out", str(tmp_path / "s.csv"), "--device", "cpu"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=environment) as running:
        assert running.stderr is not None
        assert running.stderr.readline() == "scoring 1 video\n"
        running.terminate()
        rest = running.stderr.read()
    assert running.returncode == 130
    assert rest.splitlines()[-1] == f"stopped: {tmp_path / 's.csv'} is not written"
    assert "Traceback" not in rest
    assert not (tmp_path / "s.csv").exists()


def test_evaluation_without_scikit_learn_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    monkeypatch.setitem(sys.modules, "sklearn.metrics", None)
    for name in ("evaluation", "ranking"):
        monkeypatch.delitem(sys.modules, f"training.evaluate.{name}", raising=False)
    done = training("evaluate", "--data", tmp_path, "--model", tmp_path)
    assert done.returncode == 2
    assert done.stderr == f"error: evaluate needs scikit-learn: run `{python_command('-m pip install scikit-learn')}`\n"
