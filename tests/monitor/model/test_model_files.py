"""Model folders with anything in the place of their files."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import struct
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from safetensors.numpy import load as load_tensors
from safetensors.numpy import save as dump_tensors

from monitor.detector.registry import REGISTRY
from monitor.errors import ModelError, RunError
from monitor.model import model_store
from monitor.model.model_store import CARD_FILE, WEIGHTS_FILE, load_model, save_model
from monitor.testing.fakes import Brightness, held_out, provenance
from tests.helpers.fuzzing import cases

pytestmark = pytest.mark.usefixtures("_brightness_registered")


def pipe(file: Path) -> None:
    os.mkfifo(file)


def endless(file: Path) -> None:
    file.symlink_to("/dev/zero")


def sparse(file: Path) -> None:
    with file.open("wb") as written:
        written.truncate(10**12)


@pytest.mark.parametrize("file", [CARD_FILE, WEIGHTS_FILE])
@pytest.mark.parametrize(
    ("make", "what"),
    [(pipe, "it is a pipe, not a file"), (endless, "it is a device, not a file"), (Path.mkdir, "it is a folder"),
     (sparse, "it is larger than")],
)  # fmt: skip
def test_what_is_no_file_of_a_model_is_refused_at_once(
    folder: Path, file: str, make: Callable[[Path], None], what: str
) -> None:
    (folder / file).unlink()
    make(folder / file)
    with pytest.raises(ModelError, match=what):
        load_model(folder)


@pytest.mark.parametrize("name", ["n" * 300, "a\0b"])
def test_a_folder_s_name_may_be_impossible(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError):
        load_model(tmp_path / name)


def change_card(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    card = json.loads((folder / CARD_FILE).read_text())
    change(card)
    (folder / CARD_FILE).write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("change", "what"),
    [
        (lambda card: card.update(detectors=card["detectors"] * 3000), "at most 16 entries"),
        (lambda card: card.update(detectors=card["detectors"] * 2), "named twice"),
        (lambda card: card["detectors"][0].update(name="x" * 100_000), "at most 64 characters"),
        (lambda card: card["held_out"].update(duration_s=float("inf")), "Infinity in place of a number"),
        (lambda card: card["provenance"]["notes"].update(width=10**400), "more than 64 bits"),
        (lambda card: card.update(name="\ud800"), "not Unicode"),
        (lambda card: card.update(format_version=list(range(9999))), "has format version"),
        (lambda card: card["provenance"]["notes"].update(x="y" * 5_000_000), "larger than 4 MB"),
    ],
)
def test_a_card_that_holds_too_much_is_refused_in_one_short_sentence(
    folder: Path, change: Callable[[dict[str, Any]], object], what: str
) -> None:
    change_card(folder, change)
    with pytest.raises(ModelError, match=what) as caught:
        load_model(folder)
    assert len(str(caught.value)) < 400 + 2 * len(str(folder))


def test_a_model_that_could_not_be_read_again_is_not_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = load_model(folder).hash
    monkeypatch.setattr(model_store, "LARGEST_WEIGHTS", 100)
    with pytest.raises(RunError, match="learn from less footage"):
        save_model(folder, "street", [Brightness()], held_out(), provenance())
    monkeypatch.undo()
    monkeypatch.setitem(REGISTRY, "brightness", "monitor.testing.fakes:Brightness")
    assert load_model(folder).hash == before


def put_weights(folder: Path, weights: bytes) -> None:
    (folder / WEIGHTS_FILE).write_bytes(weights)
    change_card(folder, lambda card: card.update(weights_sha256=hashlib.sha256(weights).hexdigest()))


def with_header(weights: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    (length,) = struct.unpack("<Q", weights[:8])
    header = json.loads(weights[8 : 8 + length])
    change(header)
    changed = json.dumps(header).encode()
    return struct.pack("<Q", len(changed)) + changed + weights[8 + length :]


@pytest.mark.parametrize(
    "kind", ["BF16", "F8_E4M3", "F8_E5M2", "F8_E8M0", "F4", "F6_E2M3", "C64", "BOOL", "X", "", 7, None]
)
def test_weights_of_any_kind_of_number_are_refused_with_a_sentence(folder: Path, kind: Any) -> None:
    weights = (folder / WEIGHTS_FILE).read_bytes()
    put_weights(folder, with_header(weights, lambda header: header["held_out/time_s"].update(dtype=kind)))
    with pytest.raises(ModelError, match=r"the model in .* is damaged"):
        load_model(folder)


KINDS = ["F64", "F32", "F16", "BF16", "F8_E4M3", "F8_E5M2", "F4", "I64", "I32", "U8", "U64", "BOOL", "C64"]


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, bytes]:
    """A model folder, and its weights when they were sound."""
    folder = tmp_path_factory.mktemp("kept") / "model"
    save_model(folder, "street", [Brightness()], held_out(), provenance())
    return folder, (folder / WEIGHTS_FILE).read_bytes()


@cases(30, 5000)
@example(key="held_out/time_s", part="dtype", value="BF16")
@example(key="held_out/clip", part="shape", value=[2**62, 4])
@example(key="held_out/clip", part="data_offsets", value=[2**63, 2**63 + 4])
@given(
    key=st.sampled_from(["held_out/time_s", "held_out/clip", "held_out/score/brightness", "__metadata__", "more"]),
    part=st.sampled_from(["dtype", "shape", "data_offsets", "other"]),
    value=st.sampled_from(KINDS) | st.lists(st.integers(0, 2**64), max_size=3) | st.integers() | st.none(),
)
def test_a_header_of_the_weights_with_any_field_changed_is_read_or_refused(
    kept: tuple[Path, bytes], key: str, part: str, value: Any
) -> None:
    folder, weights = kept
    put_weights(folder, with_header(weights, lambda header: header.setdefault(key, {}).update({part: value})))
    with suppress(ModelError):
        load_model(folder)


@pytest.mark.parametrize("value", [np.inf, -np.inf])
@pytest.mark.parametrize("name", ["held_out/score/brightness", "held_out/time_s"])
def test_held_out_numbers_that_are_infinite_are_refused(folder: Path, name: str, value: float) -> None:
    tensors = copy.deepcopy(load_tensors((folder / WEIGHTS_FILE).read_bytes()))
    tensors[name][3] = value
    put_weights(folder, dump_tensors(tensors))
    with pytest.raises(ModelError, match=f"{name} does not hold finite"):
        load_model(folder)
