"""A checkpoint may be damaged in any way: it is read, or refused with a sentence."""

from __future__ import annotations

import json
import os
import struct
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st

from monitor.errors import ModelError
from tests.helpers.fuzzing import broken, cases, damaged, said
from training.autoencoder.checkpoint import CHECKPOINT_FILE, Checkpoint, EpochLoss, optimizer_tensors

RUN = {"recipe": {"width": 4}, "seed": 1, "footage": "ab"}
LOSSES = [{"epoch": 0, "training": 0.5, "held_out": 0.25}]


def trained() -> tuple[torch.nn.Module, torch.optim.Optimizer]:
    """A tiny network after one step."""
    torch.manual_seed(0)
    net = torch.nn.Linear(3, 2)
    optimizer = torch.optim.AdamW(net.parameters())
    net(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    return net, optimizer


def checkpoint(**changes: Any) -> Checkpoint:
    net, optimizer = trained()
    state = {key: value.clone() for key, value in net.state_dict().items()}
    parts = {"network": state, "best": state, "optimizer": optimizer_tensors(optimizer)} | changes
    return Checkpoint(RUN, [EpochLoss(0, 0.5, 0.25)], **parts)


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """The folder of a checkpoint, and its bytes when it was sound."""
    folder = tmp_path_factory.mktemp("checkpoint")
    checkpoint().save(folder)
    return folder, (folder / CHECKPOINT_FILE).read_bytes()


def use(folder: Path) -> Checkpoint:
    loaded = Checkpoint.load(folder)
    loaded.best_epoch()
    loaded.restore(*trained(), folder)
    return loaded


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    checkpoint().save(tmp_path)
    assert use(tmp_path).run == RUN


def about(content: bytes, **changes: Any) -> bytes:
    """The checkpoint with other notes beside its tensors."""
    (length,) = struct.unpack("<Q", content[:8])
    header = json.loads(content[8 : 8 + length])
    header["__metadata__"] |= changes
    changed = json.dumps(header).encode()
    return struct.pack("<Q", len(changed)) + changed + content[8 + length :]


@cases(30, 5000)
@given(data=st.data())
def test_a_checkpoint_of_any_bytes_is_used_or_refused(kept: tuple[Path, bytes], data: st.DataObject) -> None:
    folder, sound = kept
    (folder / CHECKPOINT_FILE).write_bytes(data.draw(broken(sound)))
    try:
        loaded = Checkpoint.load(folder)
        loaded.restore(*trained(), folder)
    except ModelError as error:
        said(error)


@cases(30, 5000)
@example(losses="[" * 5000, run="{}")
@example(losses=json.dumps(LOSSES), run="9" * 5000)
@example(losses='[{"epoch": 0, "training": 1, "held_out": "x"}]', run="{}")
@given(losses=damaged(LOSSES).map(json.dumps), run=damaged(RUN).map(json.dumps))
def test_notes_of_a_checkpoint_with_any_field_changed_are_used_or_refused(
    kept: tuple[Path, bytes], losses: str, run: str
) -> None:
    folder, sound = kept
    (folder / CHECKPOINT_FILE).write_bytes(about(sound, losses=losses, run=run))
    with suppress(ModelError):
        loaded = Checkpoint.load(folder)
        assert all(isinstance(loss.held_out, float) for loss in loaded.losses)


@pytest.mark.parametrize(
    "wrong",
    [{"network": {}}, {"best": {}}, {"network": {"weight": torch.zeros(2, 3)}},
     {"best": {"weight": torch.zeros(9), "bias": torch.zeros(2)}}, {"optimizer": {"0.exp_avg": torch.zeros(7)}},
     {"optimizer": {"x.step": torch.zeros(())}}, {"optimizer": {"99.exp_avg": torch.zeros(2, 3)}}],
)  # fmt: skip
def test_a_state_that_does_not_fit_is_refused_in_one_short_sentence(tmp_path: Path, wrong: dict[str, Any]) -> None:
    checkpoint(**wrong).save(tmp_path)
    with pytest.raises(ModelError, match=r"is damaged .*: delete .* and train again") as caught:
        use(tmp_path)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 250 + 2 * len(str(tmp_path))


def test_a_pipe_is_no_checkpoint(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / CHECKPOINT_FILE)
    with pytest.raises(ModelError, match="it is a pipe, not a file"):
        Checkpoint.load(tmp_path)
