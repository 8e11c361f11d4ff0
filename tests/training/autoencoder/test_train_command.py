"""``python -m training train`` for a user: its output, its exit codes, and its reaction to a signal."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from monitor.text.durations import in_words
from tests.helpers.commands import training
from tests.helpers.tiny_training import write_folder
from tests.places import SHARED_DATA
from training.autoencoder.checkpoint import CHECKPOINT_FILE
from training.autoencoder.train_model import working_folder
from training.progress import Report

CRASHES = SHARED_DATA / "faults/crashes_decoder.avi"
SETTINGS = "width = 4\nbatch = 8\nepochs = 3\nframes_per_s = 0\n"


@pytest.mark.parametrize("name", ["pretrain", "train", "submission", "evaluate", "what-if"])
def test_help_at_80_columns_shows_every_option_whole(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERMINAL_WIDTH", "80")
    done = training(name, "--help")
    assert done.returncode == 0
    assert "…" not in done.stdout
    assert "str>" not in re.sub(r"PATH.*", "", done.stdout)
    assert ("--false-alarms-per-day " in done.stdout) == (name in ("evaluate", "what-if"))


@pytest.mark.skipif(not CRASHES.exists(), reason="the file that crashes the decoder is missing: ../shared/data/faults")
def test_real_video_that_crashes_the_decoder_is_one_sentence(tmp_path: Path) -> None:
    done = training("train", "--data", CRASHES, "--out", tmp_path / "model")
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    # The second if nothing uses the memory that it overwrites, which happens seldom: then all of it is read.
    assert "the decoder died" in last or "too few frames: 34 found" in last
    assert not list(tmp_path.iterdir())


def test_command_trains_on_several_paths(tmp_path: Path) -> None:
    write_folder(tmp_path / "data/training_videos/01", range(80))
    write_folder(tmp_path / "more", range(60))
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(SETTINGS)
    done = training("train", "--data", tmp_path / "data", tmp_path / "more", "--recipe", recipe, "--epochs", "1",
                    "--out", tmp_path / "model")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "epoch 1/1" in done.stderr
    assert "footage: 5 s to learn from, 1 s held out" in done.stderr
    warned = [line for line in done.stderr.splitlines() if line.startswith("warning: 5 s of footage is too short")]
    assert len(warned) == 2
    assert done.stderr.splitlines()[-1] == warned[0]
    about = json.loads((tmp_path / "model/model.json").read_text())["provenance"]
    assert about["frames"] == 119
    assert about["recipe"] == "tiny"


def test_wrong_input_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = training("train", "--data", tmp_path / "empty", "--out", tmp_path / "model")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("model*"))


def stopped(number: signal.Signals, checkpoint: Path, *arguments: str | Path) -> tuple[int, str]:
    """The exit code after a signal, once an epoch is done, and all of stderr. In this process: its handler is called.

    ``tests/training/test_stopping.py`` does it to processes.
    """
    over = threading.Event()

    def stop() -> None:
        while not checkpoint.exists():
            if over.wait(0.02):
                return
        os.kill(os.getpid(), number)

    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(stop)
        done = training(*arguments)
        over.set()
        waiting.result()
    return done.returncode, done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_keeps_the_finished_epochs_and_says_how_to_go_on(tmp_path: Path, number: signal.Signals) -> None:
    write_folder(tmp_path / "clip", range(120))
    recipe = tmp_path / "long.toml"
    recipe.write_text(SETTINGS.replace("epochs = 3", "epochs = 5000"))
    command = ("train", "--data", tmp_path / "clip", "--recipe", recipe, "--out", tmp_path / "model")
    code, rest = stopped(number, working_folder(tmp_path / "model") / CHECKPOINT_FILE, *command)
    assert code == 130
    assert "to continue, run the same command with --resume" in rest
    assert "Traceback" not in rest
    assert (working_folder(tmp_path / "model") / CHECKPOINT_FILE).exists()
    assert not (tmp_path / "model").exists()


def test_without_a_terminal_a_line_says_how_far_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    with Report(every_s=0).steps("scoring 2 videos", 2) as step:
        step.frame()
        step()
    said = capfd.readouterr().err.splitlines()
    assert said[0] == "scoring 2 videos"
    assert re.fullmatch(r"scoring 2 videos, 1 frame, \d+ per second: 0 of 2 done", said[1])
    assert ": 1 of 2 done, about " in said[2]


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (42.4, "42 s"), (59.7, "1 min"), (90, "1.5 min"), (7200, "2 h")]
)
def test_length_of_time_has_a_unit_that_suits_it(seconds: float, text: str) -> None:
    assert in_words(seconds) == text
