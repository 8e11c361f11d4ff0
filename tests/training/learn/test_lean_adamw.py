"""Weights and stored state are those of ``torch.optim.AdamW``."""

import sys

import pytest
import torch

from training.autoencoder.checkpoint import optimizer_tensors, restore_optimizer
from training.learn.lean_adamw import LeanAdamW

RATES = (0.01, 0.02, 0.005, 0.001)


def network() -> torch.nn.Module:
    """Its last part never gets a gradient."""
    torch.manual_seed(0)
    return torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.Tanh(), torch.nn.Linear(4, 3), torch.nn.Linear(3, 1))


def learn(net: torch.nn.Module, optimizer: LeanAdamW | torch.optim.AdamW, steps: range) -> None:
    assert isinstance(net, torch.nn.Sequential)
    for step in steps:
        if isinstance(optimizer, LeanAdamW):
            optimizer.learning_rate = RATES[step]
        else:
            optimizer.param_groups[0]["lr"] = RATES[step]
        optimizer.zero_grad()
        torch.manual_seed(step)
        net[:3](torch.rand(7, 5)).square().sum().backward()
        optimizer.step()


def test_weights_are_those_of_pytorch_also_if_it_continues_what_pytorch_began() -> None:
    nets = [network() for _ in range(3)]
    theirs = torch.optim.AdamW(nets[0].parameters(), 1.0, weight_decay=0.1)
    own, continued = (LeanAdamW(net.parameters(), 1.0, 0.1) for net in nets[1:])
    learn(nets[0], theirs, range(2))
    nets[2].load_state_dict(nets[0].state_dict())
    restore_optimizer(continued, optimizer_tensors(theirs))
    learn(nets[0], theirs, range(2, 4))
    learn(nets[1], own, range(4))
    learn(nets[2], continued, range(2, 4))
    expected, kept = nets[0].state_dict(), optimizer_tensors(theirs)
    for net, optimizer in zip(nets[1:], (own, continued), strict=True):
        assert all(torch.equal(value, expected[name]) for name, value in net.state_dict().items())
        found = optimizer_tensors(optimizer)
        assert list(found) == list(kept)
        assert all(torch.equal(value, kept[name]) for name, value in found.items())


def test_it_does_not_load_the_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch._dynamo", None)
    net = network()
    before = net.state_dict()["0.weight"].clone()
    learn(net, LeanAdamW(net.parameters(), 1.0, 0.1), range(1))
    assert not torch.equal(net.state_dict()["0.weight"], before)
    with pytest.raises(ImportError, match="_dynamo"):  # if this fails, PyTorch has changed, and LeanAdamW can go
        learn(net, torch.optim.AdamW(net.parameters(), 1.0), range(1))


@pytest.mark.parametrize("damage", ["another parameter", "without a mean"])
def test_a_state_of_other_parameters_is_refused_and_changes_nothing(damage: str) -> None:
    net = network()
    optimizer = LeanAdamW(net.parameters(), 1.0, 0.1)
    learn(net, optimizer, range(1))
    kept = optimizer_tensors(optimizer)
    damaged = {key.replace("0.", "6.", 1) if damage == "another parameter" else key: kept[key] for key in kept}
    if damage == "without a mean":
        del damaged["0.exp_avg"]
    with pytest.raises(LookupError):
        restore_optimizer(optimizer, damaged)
    assert list(optimizer_tensors(optimizer)) == list(kept)
