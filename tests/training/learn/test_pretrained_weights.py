"""Pre-trained weights may be damaged in any way: they are read, or refused with a sentence."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from monitor.detector.true_sight2.clip_inputs import CHANNELS
from monitor.detector.true_sight2.clip_net import ClipNet
from monitor.errors import ModelError, RunError
from tests.helpers.fuzzing import cases, damaged, said
from training.learn.pretrained_weights import (
    CARD,
    WEIGHTS,
    PretrainedCard,
    SceneEntry,
    dump_network,
    load_pretrained,
    save_pretrained,
)


def written(folder: Path, **changes: object) -> Path:
    network = ClipNet(CHANNELS, 2).state_dict()
    weights, digest = dump_network(network)
    scene = SceneEntry(name="yard", sha256="0" * 64, frames=100)
    card = PretrainedCard(
        width=2, scenes=[scene, scene], steps=4, seed=0, loss=1.5, device="cpu", commit=None, versions={},
        trained_at="2026-01-01T00:00:00+00:00", weights_sha256=digest,
    )  # fmt: skip
    save_pretrained(folder, card.model_copy(update=changes), weights)
    return folder


def test_what_is_saved_comes_back(tmp_path: Path) -> None:
    torch.manual_seed(0)
    found = load_pretrained(written(tmp_path / "out"))
    torch.manual_seed(0)
    expected = ClipNet(CHANNELS, 2).state_dict()
    assert found.width == 2
    assert all(torch.equal(found.network[name], value) for name, value in expected.items())
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [CARD, WEIGHTS]


def test_weights_that_do_not_fit_are_refused_with_a_sentence(tmp_path: Path) -> None:
    folder = written(tmp_path / "out")
    weights = (folder / WEIGHTS).read_bytes()
    (folder / WEIGHTS).write_bytes(weights[:-1] + bytes([weights[-1] ^ 1]))
    with pytest.raises(ModelError, match=r"are damaged: .* does not have the checksum in .*; copy the folder again"):
        load_pretrained(folder)
    (folder / WEIGHTS).unlink()
    with pytest.raises(ModelError, match=r"it has no pretrained\.safetensors; check the path"):
        load_pretrained(folder)
    with pytest.raises(ModelError, match=r"it has no pretrained\.json; check the path"):
        load_pretrained(tmp_path)
    with pytest.raises(ModelError, match="the pre-trained true-sight-2 detector's tensor"):
        load_pretrained(written(tmp_path / "wide", width=3))
    other = written(tmp_path / "other")
    card = json.loads((other / CARD).read_text())
    (other / CARD).write_text(json.dumps({**card, "format_version": 2}))
    with pytest.raises(ModelError, match="have format version 2, this program reads version 1: pre-train again"):
        load_pretrained(other)
    (other / CARD).write_text(json.dumps({**card, "format": "true-sight-model"}))
    with pytest.raises(ModelError, match="give a folder that `pretrain` has written"):
        load_pretrained(other)


def test_a_folder_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("dear")
    with pytest.raises(RunError, match="cannot write the pre-trained weights to"):
        written(tmp_path / "file/out")


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = written(tmp_path_factory.mktemp("pretrained") / "out")
    return folder, (folder / CARD).read_text()


@cases(40, 20_000)
@given(data=st.data())
def test_any_card_is_read_or_refused(data: st.DataObject, kept: tuple[Path, str]) -> None:
    folder, card = kept
    (folder / CARD).write_text(json.dumps(data.draw(damaged(json.loads(card)))))
    with suppress(ModelError):
        try:
            load_pretrained(folder)
        except ModelError as error:
            said(error)
            raise
