from __future__ import annotations

import itertools
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open

from monitor.detector.autoencoder import TrueSightNet
from monitor.detector.scorer import spread
from monitor.errors import ConfigError, ModelError, UsageError
from monitor.model_store import load_model
from monitor.sources.isolated import isolate
from monitor.sources.video import VideoReader, VideoSource
from monitor.types import Image
from training.augment import Light, Published, augmentation
from training.checkpoint import CHECKPOINT_FILE, EpochLoss
from training.data import MANY_CLIPS, Clip, Footage, load_clips, network_input, recorded_sources, split
from training.fit import fit, learning_rate, loss_of, make_optimizer
from training.output import duration
from training.progress import Report
from training.recipe import Recipe, load_recipe
from training.train import too_short, train_model, working_folder

ROOT = Path(__file__).parents[1]
CRASHES = Path(__file__).resolve().parents[2] / "shared/data/faults/crashes_decoder.avi"
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}
CPU = torch.device("cpu")
QUIET = Report(quiet=True)
TINY = Recipe(width=4, batch=8, epochs=3, frames_per_s=0)
SETTINGS = "width = 4\nbatch = 8\nepochs = 3\nframes_per_s = 0\n"


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Tiny networks gain nothing from more, and lose much where others want the cores."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def scene(i: int, *, size: tuple[int, int] = (72, 128)) -> Image:
    """A grey place through which a light square walks."""
    image = np.full((*size, 3), 90, np.uint8)
    image[size[0] // 2 :] = (60, 80, 100)
    x = i * 3 % (size[1] - 12)
    image[30:42, x : x + 12] = 220
    return image


class Dying(VideoSource):
    """A video whose decoder dies of it."""

    def open(self) -> VideoReader:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def write_folder(folder: Path, numbers: Sequence[int]) -> Path:
    folder.mkdir(parents=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"frame_{number:05}.png"), scene(number))
    return folder


def footage(tmp_path: Path, n: int = 120, recipe: Recipe = TINY) -> Footage:
    sources = recorded_sources([str(write_folder(tmp_path / "clip", range(n)))], split="training_videos")
    clips = load_clips(sources, frames_per_s=recipe.frames_per_s, max_frames=recipe.max_frames, report=QUIET)
    return split(clips, recipe.held_out, recipe.batch)


class StopAfter:
    """Interrupts a training as Ctrl-C does, once so many epochs are done."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def __call__(self, loss: EpochLoss) -> None:
        if loss.epoch + 1 == self.epochs:
            raise KeyboardInterrupt


def command(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-m", "training", *map(str, arguments)]
    return subprocess.run(line, capture_output=True, text=True, cwd=ROOT, env=ENVIRONMENT, check=False)


# --- recipes


def test_published_recipe_is_the_published_training() -> None:
    recipe = load_recipe("published")
    found = make_optimizer(TrueSightNet(width=4), recipe)
    assert isinstance(found, torch.optim.SGD)
    assert {k: found.defaults[k] for k in ("lr", "momentum", "weight_decay")} == {
        "lr": 0.004,
        "momentum": 0.9,
        "weight_decay": 1e-2,
    }
    assert (recipe.batch, recipe.epochs_for(9204), recipe.dropout, recipe.width) == (96, 8, 1.0, 32)
    assert (recipe.attention, recipe.schedule, recipe.frames_per_s) == ("joint", "constant", 0)
    assert isinstance(augmentation(recipe), Published)


def test_default_recipe_file_says_what_the_defaults_are() -> None:
    assert load_recipe("default") == Recipe()


def test_flags_win_over_the_recipe() -> None:
    assert load_recipe("published", epochs=3).epochs == 3
    assert load_recipe("published", epochs=None).epochs == 8


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("weight_decoy = 1", "unknown key 'weight_decoy', did you mean 'weight_decay'?"),
        ("batch = 1", "batch = 1: input should be greater than or equal to 2"),
        ("batch = ", "cannot be read"),
        ('augment = "published"', "cannot go with attention = 'supervised'"),
    ],
)
def test_impossible_recipe_is_refused_with_one_sentence(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_recipe(str(path))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_missing_recipe_names_the_shipped_ones() -> None:
    with pytest.raises(ConfigError, match="give default or published"):
        load_recipe("nonesuch")


def test_epochs_follow_the_number_of_frames() -> None:
    recipe = Recipe(batch=32, updates=1000)
    assert recipe.epochs_for(3200) == 10
    assert recipe.epochs_for(32) == 100
    assert recipe.epochs_for(1_000_000) == 5


def test_learning_rate_warms_up_and_falls_to_nothing() -> None:
    rates = [learning_rate(Recipe(learning_rate=1.0), step, 100) for step in range(100)]
    assert rates[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert all(a >= b for a, b in itertools.pairwise(rates[4:]))
    assert rates[-1] < 0.001


# --- augmentation


def test_light_augmentation_never_flips_and_keeps_the_foreground_in_place() -> None:
    frame = torch.zeros(1, 4, 96, 96)
    frame[:, :3, 10:30, 10:30] = 1.0  # a bright square in the upper left, and so its foreground
    frame[:, 3, 10:30, 10:30] = 1.0
    torch.manual_seed(0)
    found = Light(brightness=0.0, contrast=0.1, shift=0.05, noise=0.01)(frame.repeat(64, 1, 1, 1))
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found[:, :3, :48, :48].mean(dim=(1, 2, 3)) > found[:, :3, 48:, :].mean(dim=(1, 2, 3)) + 0.05).all()
    assert torch.equal(found[:, 0] > 0.5, found[:, 3] > 0.5)
    assert len({tuple(f[3].nonzero()[0].tolist()) for f in found}) > 5  # it does shift


def test_published_augmentation_changes_each_frame_by_itself() -> None:
    torch.manual_seed(0)
    frame = torch.rand(1, 3, 96, 96).repeat(6, 1, 1, 1)
    found = Published()(frame)
    assert found.shape == frame.shape
    assert found.min() >= 0
    assert found.max() <= 1
    assert len({f.sum().item() for f in found}) == 6


# --- loss


def test_published_loss_weighs_errors_by_one_plus_the_attention() -> None:
    torch.manual_seed(0)
    net = TrueSightNet(width=4).eval()
    x = torch.rand(2, 3, 96, 96)
    out = net(x)
    expected = ((out.reconstruction - x).abs() * (1 + spread(out.attention, 96, 96))).mean()
    assert loss_of(net, x, load_recipe("published")).item() == pytest.approx(expected.item(), rel=1e-6)


def test_supervised_attention_learns_where_something_moves(tmp_path: Path) -> None:
    recipe = TINY.model_copy(update={"epochs": 12, "learning_rate": 5e-3})
    data = footage(tmp_path, recipe=recipe)
    state = fit(data, recipe, seed=0, device=CPU, folder=tmp_path, report=QUIET)
    net = TrueSightNet(width=4)
    net.load_state_dict(state.network)
    frames, foreground = data.training(), data.foreground()
    with torch.inference_mode():
        attention = net.eval()(frames.float() / 255).attention[:, 0]
    moving = torch.nn.functional.adaptive_max_pool2d(foreground.float(), 6)[:, 0] > 40
    assert attention[moving].mean() > attention[~moving].mean() + 0.1


# --- footage


def test_frames_are_those_the_detector_sees() -> None:
    found = network_input(scene(0))
    assert found.shape == (3, 96, 96)
    assert found.dtype == np.uint8
    assert found[:, 0, 0].tolist() == [90, 90, 90]
    assert found[:, -1, 0].tolist() == [100, 80, 60]  # RGB from BGR


def clip(tmp_path: Path, name: str, n: int) -> Clip:
    source = recorded_sources([str(write_folder(tmp_path / name, range(2)))], split="training_videos")[0]
    return Clip(source, np.arange(n) / 25, np.zeros((n, 3, 96, 96), np.uint8))


def test_few_clips_give_their_tails_to_the_held_out_part(tmp_path: Path) -> None:
    found = split([clip(tmp_path, "a", 200), clip(tmp_path, "b", 100)], 0.15, 32)
    assert found.held_from_s == pytest.approx((170 / 25, 85 / 25))
    assert len(found.training()) == 255
    assert len(found.held_out()) == 45


def test_many_clips_are_held_out_whole(tmp_path: Path) -> None:
    clips = [clip(tmp_path, f"c{i}", 30) for i in range(MANY_CLIPS + 8)]
    found = split(clips, 0.15, 32)
    assert set(found.held_from_s) == {0.0, np.inf}
    assert len(found.held_out()) == 3 * 30
    assert [c.source.name for c in clips] != [s.name for s, _ in found.held_sources()]


def test_too_few_frames_says_how_many_are_needed(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"too few frames: 50 found, about 1\d\d are needed"):
        split([clip(tmp_path, "a", 50)], 0.15, 32)


def test_memory_is_bounded_by_leaving_out_every_second_frame(tmp_path: Path) -> None:
    sources = recorded_sources([str(write_folder(tmp_path / n, range(90))) for n in "ab"], split="training_videos")
    clips = load_clips(sources, frames_per_s=0, max_frames=100, report=QUIET)
    assert [np.diff(c.time_s).round(6).tolist() for c in clips] == [[0.08] * 44, [0.08] * 44]


def test_frames_are_sampled_at_the_recipe_s_rate(tmp_path: Path) -> None:
    source = recorded_sources([str(write_folder(tmp_path / "a", range(100)))], split="training_videos")
    (found,) = load_clips(source, frames_per_s=10, max_frames=1000, report=QUIET)
    assert len(found.frames) == 40  # 4 s at 25 frames a second


def test_unreadable_images_are_named_and_skipped(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    folder = write_folder(tmp_path / "a", range(20))
    (folder / "frame_00007.png").write_bytes(b"no picture")
    (found,) = load_clips(
        recorded_sources([str(folder)], "training_videos"), frames_per_s=0, max_frames=1000, report=Report()
    )
    assert len(found.frames) == 19
    error = capfd.readouterr().err
    assert "skipped 1 unreadable frame of" in error
    assert "frame_00007.png" in error


def test_video_that_crashes_the_decoder_is_left_out(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    good = write_folder(tmp_path / "good", range(20))
    sources = [isolate(Dying(tmp_path / "bad.avi"), "process"), *recorded_sources([str(good)], "training_videos")]
    (found,) = load_clips(sources, frames_per_s=0, max_frames=1000, report=Report())
    assert found.source.label == str(good)
    error = capfd.readouterr().err
    assert "the decoder died (SIGKILL)" in error
    assert "1 of 2 sources left out" in error


def test_footage_of_which_nothing_can_be_read_is_one_sentence(tmp_path: Path) -> None:
    for name in ("a.avi", "b.avi"):
        (tmp_path / name).write_bytes(b"no video")
    sources = recorded_sources([str(tmp_path)], "training_videos")
    with pytest.raises(UsageError, match=r"none of 2 sources can be read \(.*a\.avi is no video"):
        load_clips(sources, frames_per_s=0, max_frames=1000, report=QUIET)


def test_lengths_of_footage_are_told_apart(tmp_path: Path) -> None:
    found = split([clip(tmp_path, "a", 200), clip(tmp_path, "b", 100)], 0.15, 32)
    assert found.lengths_s() == pytest.approx(((169 + 84) / 25, (29 + 14) / 25))


def test_too_little_footage_is_said_in_terms_of_false_alarms() -> None:
    warning = too_short(51, 9)
    assert warning is not None
    assert "1 min of footage is too little" in warning
    assert "less than one false alarm in 9 s" in warning
    assert "at least 10 min in all" in warning
    assert too_short(510, 90) is None


# --- what is said


def test_without_a_terminal_a_line_says_how_far_it_is(capfd: pytest.CaptureFixture[str]) -> None:
    with Report(every_s=0).steps("scoring 2 videos", 2) as step:
        step.frame()
        step()
    said = capfd.readouterr().err.splitlines()
    assert said[0] == "scoring 2 videos"
    assert re.fullmatch(r"scoring 2 videos, 1 frame, \d+ a second: 0 of 2 done", said[1])
    assert said[2].endswith("1 of 2 done")


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0 s"), (42.4, "42 s"), (59.7, "1 min"), (90, "1.5 min"), (7200, "2 h")]
)
def test_length_of_time_has_a_unit_that_suits_it(seconds: float, text: str) -> None:
    assert duration(seconds) == text


# --- training


def weights(path: Path, prefix: str = "network/") -> dict[str, bytes]:
    with safe_open(path, framework="np") as file:
        return {k: file.get_tensor(k).tobytes() for k in file.keys() if k.startswith(prefix)}  # noqa: SIM118


@pytest.mark.parametrize("name", ["default", "published"])
def test_interrupted_training_goes_on_to_the_same_weights(tmp_path: Path, name: str) -> None:
    recipe = load_recipe(name, width=4, batch=8, epochs=3, frames_per_s=0)
    data = footage(tmp_path, recipe=recipe)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    fit(data, recipe, seed=5, device=CPU, folder=whole, report=QUIET)
    with pytest.raises(KeyboardInterrupt):
        fit(data, recipe, seed=5, device=CPU, folder=parts, report=QUIET, after_epoch=StopAfter(2))
    torch.manual_seed(99)  # another process has another random state
    fit(data, recipe, seed=5, device=CPU, folder=parts, report=QUIET)
    for prefix in ("network/", "best/", "optimizer/"):
        assert weights(whole / CHECKPOINT_FILE, prefix) == weights(parts / CHECKPOINT_FILE, prefix) != {}


def test_seed_decides_the_weights(tmp_path: Path) -> None:
    data = footage(tmp_path)
    states = []
    for run, seed in enumerate((1, 1, 2)):
        (tmp_path / str(run)).mkdir()
        states.append(fit(data, TINY, seed=seed, device=CPU, folder=tmp_path / str(run), report=QUIET).network)
    once, again, other = states
    assert all(torch.equal(once[key], again[key]) for key in once)
    assert not all(torch.equal(once[key], other[key]) for key in once)


def test_training_leaves_torch_s_random_state_alone(tmp_path: Path) -> None:
    data = footage(tmp_path)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    fit(data, TINY, seed=1, device=CPU, folder=tmp_path, report=QUIET)
    assert torch.equal(torch.rand(4), expected)


def test_resume_with_another_recipe_names_what_differs(tmp_path: Path) -> None:
    data = footage(tmp_path)
    fit(data, TINY, seed=1, device=CPU, folder=tmp_path, report=QUIET)
    other = TINY.model_copy(update={"learning_rate": 0.1})
    with pytest.raises(UsageError, match="had another learning_rate, seed"):
        fit(data, other, seed=2, device=CPU, folder=tmp_path, report=QUIET)


def test_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    data = footage(tmp_path)
    (tmp_path / CHECKPOINT_FILE).write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="is damaged"):
        fit(data, TINY, seed=1, device=CPU, folder=tmp_path, report=QUIET)


def train(tmp_path: Path, **changes: object) -> Path:
    out = tmp_path / "model"
    arguments: dict[str, object] = {"seed": 1, "device": "cpu", "resume": False, "report": QUIET, **changes}
    train_model([str(tmp_path / "clip")], out, TINY, **arguments)  # type: ignore[arg-type]
    return out


def test_model_folder_holds_a_calibrated_detector_and_where_it_comes_from(tmp_path: Path) -> None:
    write_folder(tmp_path / "clip", range(120))
    model = load_model(train(tmp_path))
    assert [d.name for d in model.detectors] == ["true-sight"]
    held_out = model.held_out
    assert held_out.time_s[0] >= 102 / 25  # the last 15 % of the clip
    assert np.isfinite(held_out.scores["true-sight"]).all()
    about = model.provenance
    assert (about.frames, about.seed, about.device, about.recipe) == (102, 1, "cpu", "default")
    assert about.data == [str(tmp_path / "clip")]
    assert about.notes["epochs"] == 3
    assert not working_folder(tmp_path / "model").exists()


def test_interrupted_command_keeps_its_epochs_and_the_old_model(tmp_path: Path) -> None:
    write_folder(tmp_path / "clip", range(120))
    out = train(tmp_path, seed=7)
    before = (out / "model.json").read_bytes()
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, after_epoch=StopAfter(1))
    assert (out / "model.json").read_bytes() == before
    with pytest.raises(UsageError, match="add --resume"):
        train(tmp_path)
    train(tmp_path, resume=True)
    assert load_model(out).provenance.seed == 1
    assert not working_folder(out).exists()


def test_nothing_to_resume_is_said(tmp_path: Path) -> None:
    write_folder(tmp_path / "clip", range(120))
    with pytest.raises(UsageError, match="no unfinished training"):
        train(tmp_path, resume=True)


def test_a_folder_that_is_no_model_is_left_alone(tmp_path: Path) -> None:
    write_folder(tmp_path / "clip", range(120))
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "thesis.txt").write_text("precious")
    with pytest.raises(ModelError, match="is no model folder"):
        train(tmp_path)
    assert [p.name for p in (tmp_path / "model").iterdir()] == ["thesis.txt"]
    assert not working_folder(tmp_path / "model").exists()


def test_place_that_cannot_be_written_is_found_before_the_footage_is_read(tmp_path: Path) -> None:
    write_folder(tmp_path / "clip", range(20))  # too few to train on, which would be found next
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match=r"cannot write to .*file.*give another --out"):
        train_model([str(tmp_path / "clip")], tmp_path / "file/model", TINY, seed=1, device="cpu", resume=False,
                    report=QUIET)  # fmt: skip


# --- command line


@pytest.mark.parametrize("name", ["train", "submission", "evaluate", "what-if"])
def test_help_at_80_columns_shows_every_option_whole(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "training", name, "--help"], capture_output=True, text=True, cwd=ROOT,
        env={**ENVIRONMENT, "COLUMNS": "80", "TERMINAL_WIDTH": "80"}, check=True,
    )  # fmt: skip
    assert "…" not in done.stdout
    assert "str>" not in re.sub(r"PATH.*", "", done.stdout)
    assert ("--false-alarms-per-day " in done.stdout) == (name in ("evaluate", "what-if"))


@pytest.mark.skipif(not CRASHES.exists(), reason="the file that crashes the decoder is not here: ../shared/data/faults")
def test_real_video_that_crashes_the_decoder_is_one_sentence(tmp_path: Path) -> None:
    done = command("train", "--data", CRASHES, "--out", tmp_path / "model")
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ")
    assert "the decoder died" in last
    assert not list(tmp_path.iterdir())


def test_command_trains_on_several_paths(tmp_path: Path) -> None:
    write_folder(tmp_path / "data/training_videos/01", range(80))
    write_folder(tmp_path / "more", range(60))
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(SETTINGS)
    done = command("train", "--data", tmp_path / "data", tmp_path / "more", "--recipe", recipe, "--epochs", "1",
                   "--out", tmp_path / "model")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "epoch 1/1" in done.stderr
    assert "footage: 5 s to learn from, 1 s held out" in done.stderr
    warned = [line for line in done.stderr.splitlines() if line.startswith("warning: 5 s of footage is too little")]
    assert len(warned) == 2
    assert done.stderr.splitlines()[-1] == warned[0]
    about = json.loads((tmp_path / "model/model.json").read_text())["provenance"]
    assert about["frames"] == 119
    assert about["recipe"] == "tiny"


def test_wrong_input_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    done = command("train", "--data", tmp_path / "empty", "--out", tmp_path / "model")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    assert not list(tmp_path.glob("model*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signal_keeps_the_finished_epochs_and_says_how_to_go_on(tmp_path: Path, number: signal.Signals) -> None:
    write_folder(tmp_path / "clip", range(120))
    recipe = tmp_path / "long.toml"
    recipe.write_text(SETTINGS.replace("epochs = 3", "epochs = 5000"))
    line = [sys.executable, "-m", "training", "train", "--data", str(tmp_path / "clip"), "--recipe", str(recipe)]
    line += ["--out", str(tmp_path / "model")]
    with subprocess.Popen(line, stderr=subprocess.PIPE, text=True, cwd=ROOT, env=ENVIRONMENT) as running:
        assert running.stderr is not None
        for said in running.stderr:
            if said.startswith("epoch 2/5000"):
                running.send_signal(number)
                break
        rest = running.stderr.read()
    assert running.returncode == 130
    assert "the same command with --resume goes on from there" in rest
    assert "Traceback" not in rest
    assert (working_folder(tmp_path / "model") / CHECKPOINT_FILE).exists()
    assert not (tmp_path / "model").exists()
