"""How a network is fitted: its loss, the same weights for the same seed, and a fit that continues after a stop."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors import safe_open

from monitor.detector.true_sight.autoencoder import TrueSightNet
from monitor.detector.true_sight.published_score import spread
from monitor.errors import ModelError, UsageError
from tests.helpers.tiny_training import CPU, QUIET, TINY, StopAfter, footage
from training.autoencoder.checkpoint import CHECKPOINT_FILE
from training.autoencoder.recipe import load_recipe
from training.autoencoder.training_loop import fit, loss_of

pytestmark = pytest.mark.usefixtures("one_torch_thread")
QUICK = TINY.model_copy(update={"epochs": 1})


# Loss


def test_published_loss_weighs_errors_by_one_plus_the_attention() -> None:
    torch.manual_seed(0)
    net = TrueSightNet(width=4).eval()
    x = torch.rand(2, 3, 96, 96)
    out = net(x)
    expected = ((out.reconstruction - x).abs() * (1 + spread(out.attention, 96, 96))).mean()
    assert loss_of(net, x, load_recipe("published")).item() == pytest.approx(expected.item(), rel=1e-6)


def test_supervised_attention_learns_where_something_moves(tmp_path: Path) -> None:
    recipe = TINY.model_copy(update={"epochs": 12, "learning_rate": 5e-3})
    data = footage(tmp_path, 120, recipe)
    state = fit(data, recipe, seed=0, device=CPU, folder=tmp_path, report=QUIET)
    net = TrueSightNet(width=4)
    net.load_state_dict(state.network)
    frames, foreground = data.training(), data.foreground()
    with torch.inference_mode():
        attention = net.eval()(frames.float() / 255).attention[:, 0]
    moving = torch.nn.functional.adaptive_max_pool2d(foreground.float(), 6)[:, 0] > 40
    assert attention[moving].mean() > attention[~moving].mean() + 0.1


# Seeds and interruptions


def weights(path: Path, prefix: str = "network/") -> dict[str, bytes]:
    with safe_open(path, framework="np") as file:
        return {k: file.get_tensor(k).tobytes() for k in file.keys() if k.startswith(prefix)}  # noqa: SIM118


@pytest.mark.parametrize("name", ["default", "published"])
def test_interrupted_training_goes_on_to_the_same_weights(tmp_path: Path, name: str) -> None:
    recipe = load_recipe(name, width=2, batch=8, epochs=2, frames_per_s=0)
    data = footage(tmp_path, recipe=recipe)
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir()
    parts.mkdir()
    fit(data, recipe, seed=5, device=CPU, folder=whole, report=QUIET)
    with pytest.raises(KeyboardInterrupt):
        fit(data, recipe, seed=5, device=CPU, folder=parts, report=QUIET, after_epoch=StopAfter(1))
    torch.manual_seed(99)  # another process has another random state
    fit(data, recipe, seed=5, device=CPU, folder=parts, report=QUIET)
    for prefix in ("network/", "best/", "optimizer/"):
        assert weights(whole / CHECKPOINT_FILE, prefix) == weights(parts / CHECKPOINT_FILE, prefix) != {}


def test_seed_decides_the_weights(tmp_path: Path) -> None:
    data = footage(tmp_path)
    states = []
    for run, seed in enumerate((1, 1, 2)):
        (tmp_path / str(run)).mkdir()
        states.append(fit(data, QUICK, seed=seed, device=CPU, folder=tmp_path / str(run), report=QUIET).network)
    once, again, other = states
    assert all(torch.equal(once[key], again[key]) for key in once)
    assert not all(torch.equal(once[key], other[key]) for key in once)


def test_training_leaves_torch_s_random_state_alone(tmp_path: Path) -> None:
    data = footage(tmp_path)
    torch.manual_seed(3)
    expected = torch.rand(4)
    torch.manual_seed(3)
    fit(data, QUICK, seed=1, device=CPU, folder=tmp_path, report=QUIET)
    assert torch.equal(torch.rand(4), expected)


def test_resume_with_another_recipe_names_what_differs(tmp_path: Path) -> None:
    data = footage(tmp_path)
    fit(data, QUICK, seed=1, device=CPU, folder=tmp_path, report=QUIET)
    other = QUICK.model_copy(update={"learning_rate": 0.1})
    with pytest.raises(UsageError, match="used another learning_rate, seed"):
        fit(data, other, seed=2, device=CPU, folder=tmp_path, report=QUIET)


def test_damaged_checkpoint_is_refused(tmp_path: Path) -> None:
    data = footage(tmp_path)
    (tmp_path / CHECKPOINT_FILE).write_bytes(b"nonsense")
    with pytest.raises(ModelError, match="is damaged"):
        fit(data, TINY, seed=1, device=CPU, folder=tmp_path, report=QUIET)
