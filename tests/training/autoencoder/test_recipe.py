"""Recipes of a training: defaults, epochs, learning rates, and augmentation of frames."""

from __future__ import annotations

import itertools
import os
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.detector.true_sight.autoencoder import TrueSightNet
from monitor.errors import ConfigError
from tests.helpers.fuzzing import broken, cases
from training.autoencoder.augment import Light, Published, augmentation
from training.autoencoder.recipe import RECIPES, Recipe, load_recipe
from training.autoencoder.training_loop import learning_rate, make_optimizer

pytestmark = pytest.mark.usefixtures("one_torch_thread")


# Recipes


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
        ("batch = 1", "batch = 1: should be greater than or equal to 2"),
        ("batch = ", "cannot be read"),
        ('augment = "published"', "does not work with attention = 'supervised'"),
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


# Augmentation


def test_light_augmentation_never_flips_and_keeps_the_foreground_in_place() -> None:
    frame = torch.zeros(1, 4, 96, 96)
    frame[:, :3, 10:30, 10:30] = 1.0  # a bright square in the upper left, and the same for the foreground
    frame[:, 3, 10:30, 10:30] = 1.0
    torch.manual_seed(0)
    found = Light(brightness=0.0, contrast=0.1, shift=0.05, noise=0.01)(frame.repeat(64, 1, 1, 1))
    assert found.min() >= 0
    assert found.max() <= 1
    assert (found[:, :3, :48, :48].mean(dim=(1, 2, 3)) > found[:, :3, 48:, :].mean(dim=(1, 2, 3)) + 0.05).all()
    assert torch.equal(found[:, 0] > 0.5, found[:, 3] > 0.5)
    assert len({tuple(f[3].nonzero()[0].tolist()) for f in found}) > 5  # the frame is shifted


def test_published_augmentation_changes_each_frame_by_itself() -> None:
    torch.manual_seed(0)
    frame = torch.rand(1, 3, 96, 96).repeat(6, 1, 1, 1)
    found = Published()(frame)
    assert found.shape == frame.shape
    assert found.min() >= 0
    assert found.max() <= 1
    assert len({f.sum().item() for f in found}) == 6


@cases(40, 5000)
@example(b"[" * 100_000)
@example(b".".join([b"a"] * 900) + b" = 1")
@example(b"a = " + b"[" * 2000)
@example(b"updates = " + b"9" * 5000)
@example(b"learning_rate = inf")
@example(b'width = "' + b"x" * 50_000 + b'"')
@given(broken((RECIPES / "published.toml").read_bytes()) | st.binary(max_size=60))
def test_a_recipe_of_any_bytes_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "recipe.toml"
    path.write_bytes(content)
    with suppress(ConfigError):
        load_recipe(str(path))


@pytest.mark.parametrize("kind", ["pipe", "device", "huge", "name"])
def test_what_is_no_file_is_no_recipe(tmp_path: Path, kind: str) -> None:
    path = tmp_path / ("n" * 300 if kind == "name" else "recipe.toml")
    if kind == "pipe":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "huge":
        with path.open("wb") as file:
            file.truncate(10**12)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_recipe(str(path))
