import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from monitor.detector.base import Observation
from monitor.detector.true_sight.autoencoder import TrueSightNet
from monitor.detector.true_sight.true_sight_detector import TrueSight
from monitor.errors import ModelError, RunError
from monitor.model.model_store import CARD_FILE, WEIGHTS_FILE, load_model, save_model
from monitor.testing.fakes import Brightness, held_out, provenance
from monitor.text.commands import learn_command
from monitor.types import Frame

pytestmark = pytest.mark.usefixtures("_brightness_registered")


def test_what_is_saved_comes_back(folder: Path) -> None:
    model = load_model(folder)
    assert model.name == "street"
    assert [d.name for d in model.detectors] == ["brightness"]
    assert model.provenance == provenance()
    assert np.array_equal(model.held_out.scores["brightness"], held_out().scores["brightness"])
    assert model.id == f"street@{model.hash[:8]}"
    statistics = model.card.held_out.scores["brightness"]
    assert statistics.median < statistics.p95 < statistics.p99 <= statistics.highest
    assert sorted(p.name for p in folder.iterdir()) == [CARD_FILE, WEIGHTS_FILE]


def test_saving_again_replaces_the_model_and_leaves_nothing_else_behind(folder: Path) -> None:
    before = load_model(folder).hash
    save_model(folder, "street", [Brightness()], held_out(level=0.3), provenance())
    assert load_model(folder).hash != before
    assert [p.name for p in folder.parent.iterdir()] == ["model"]


def edit_card(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    card = json.loads((folder / CARD_FILE).read_text())
    change(card)
    (folder / CARD_FILE).write_text(json.dumps(card))


@pytest.mark.parametrize(
    ("damage", "sentence"),
    [
        (lambda f: (f / CARD_FILE).unlink(), "not a model folder: it has no model.json"),
        (lambda f: (f / WEIGHTS_FILE).unlink(), "not a model folder: it has no weights"),
        (lambda f: (f / CARD_FILE).write_text("{"), "not valid JSON"),
        (lambda f: (f / CARD_FILE).write_text('{"format": "onnx"}'), "not a model of this program"),
        (lambda f: (f / WEIGHTS_FILE).write_bytes(b"x" + (f / WEIGHTS_FILE).read_bytes()[1:]), "damaged"),
        (lambda f: edit_card(f, lambda c: c.update(format_version=99)), "format version 99"),
        (lambda f: edit_card(f, lambda c: c.update(colour="red")), "colour"),
        (lambda f: edit_card(f, lambda c: c.pop("provenance")), "provenance"),
        (lambda f: edit_card(f, lambda c: c["detectors"][0].update(name="oracle")), "unknown detector 'oracle'"),
        (lambda f: edit_card(f, lambda c: c["held_out"].update(frames=7)), "not 7 long"),
    ],
)
def test_every_kind_of_damage_gets_a_sentence(folder: Path, damage: Callable[[Path], object], sentence: str) -> None:
    damage(folder)
    with pytest.raises(ModelError, match=sentence) as caught:
        load_model(folder)
    assert "\n" not in str(caught.value)


def test_a_damaged_version_says_what_helps_whether_it_was_copied_or_learned_here(tmp_path: Path) -> None:
    version = tmp_path / "door/v0001"
    save_model(version, "door", [Brightness()], held_out(), provenance())
    cure = f"; copy the model folder again, or delete {version} and learn the camera again"
    weights = (version / WEIGHTS_FILE).read_bytes()
    for file, content in ((WEIGHTS_FILE, weights[:-1]), (CARD_FILE, b"{")):
        (version / file).write_bytes(content)
        with pytest.raises(ModelError, match=f"the model in {version} is damaged: ") as caught:
            load_model(tmp_path / "door")
        assert str(caught.value).endswith(cure)


def test_a_missing_folder_says_how_to_get_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=re.escape(learn_command())):
        load_model(tmp_path / "none")


def test_a_file_in_place_of_the_folder_is_said_to_be_one(tmp_path: Path) -> None:
    (tmp_path / "README.md").touch()
    with pytest.raises(ModelError, match="is a file, but a model is a folder"):
        load_model(tmp_path / "README.md")


def test_a_folder_with_something_else_in_it_is_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos/cat.jpg").write_bytes(b"meow")
    with pytest.raises(ModelError, match="is not a model folder"):
        save_model(tmp_path / "photos", "x", [Brightness()], held_out(), provenance())
    assert (tmp_path / "photos/cat.jpg").read_bytes() == b"meow"


def test_a_place_that_cannot_be_written_leaves_nothing_half_done(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match="nothing was changed"):
        save_model(tmp_path / "file" / "model", "x", [Brightness()], held_out(), provenance())
    assert [p.name for p in tmp_path.iterdir()] == ["file"]


def test_a_network_scores_the_same_after_a_round_trip(tmp_path: Path) -> None:
    torch.manual_seed(0)
    images = [np.random.default_rng(i).integers(0, 255, (40, 60, 3), np.uint8) for i in range(4)]
    detector = TrueSight.from_network(TrueSightNet(width=2), variant="sound").calibrate(images)
    save_model(tmp_path / "m", "net", [detector], held_out("true-sight"), provenance())
    loaded = load_model(tmp_path / "m").detectors[0]
    observations = [Observation(Frame("cam", 0, 0.0, image), None) for image in images]
    before, after = detector.score(observations), loaded.score(observations)
    assert [d.score for d in before] == [d.score for d in after]
