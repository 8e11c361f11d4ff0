"""``python -m training pretrain``, and ``learn --pretrained``, for a user: output and exit codes."""

from __future__ import annotations

from pathlib import Path

from tests.helpers.commands import training
from tests.helpers.moving_scenes import record_scene
from training.learn.pretrained_weights import WEIGHTS, load_pretrained


def test_command_writes_weights_and_names_the_scenes(tmp_path: Path) -> None:
    scenes = [record_scene(tmp_path / name, seed, 11.0) for name, seed in (("yard", 1), ("door", 7))]
    done = training("pretrain", "--data", *scenes, "--out", tmp_path / "out", "--steps", "1", "--device", "cpu")
    assert done.returncode == 0, done.stderr
    assert f"scene '{scenes[0]}': 11 s of 160x96, 110 frames used" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"pre-trained weights written to {tmp_path / 'out'} after ")
    card = load_pretrained(tmp_path / "out").card
    assert card is not None
    assert [scene.frames for scene in card.scenes] == [110, 110]


def test_wrong_input_is_one_sentence_and_exit_code_2(tmp_path: Path) -> None:
    done = training("pretrain", "--data", tmp_path / "nothing", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert done.stderr.startswith("error: ")
    assert done.stderr.count("\n") == 1
    for option in ("--steps", "--seed"):
        assert training("pretrain", "--data", "x", "--out", tmp_path / "out", option, "-1").returncode == 2
    learn = ("learn", "nothing.mp4", "--name", "x", "--models", tmp_path, "--pretrained")
    done = training(*learn, tmp_path)
    assert done.returncode == 2
    assert done.stderr.strip() == (
        f"error: {tmp_path} does not hold pre-trained weights: it has no pretrained.json; check the path"
    )
    assert training(*learn, tmp_path / WEIGHTS).returncode == 2
    assert not list(tmp_path.iterdir())
