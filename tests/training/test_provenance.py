from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from training.provenance import names_of_footage


def test_the_file_of_a_model_names_its_footage_without_passwords(tmp_path: Path) -> None:
    footage = tmp_path / "mail@home:8000" / "//day 1.mp4"
    (tmp_path / "mail@home:8000").mkdir()
    footage = tmp_path / "mail@home:8000" / "day 1.mp4"
    footage.touch()
    addresses = [
        "rtsp://admin:hunter2@10.0.0.5:554/live",
        "door=rtsp://10.0.0.5/hunter2",
        "http://10.0.0.5/snap.jpg?loginpas=hunter2",
        "rtsp:/admin:hunter2 x@10.0.0.5",
    ]
    assert names_of_footage([str(footage), *addresses, "x" * 5000]) == [
        str(footage),
        "rtsp://***@10.0.0.5:554/live",
        "door=rtsp://10.0.0.5/***",
        "http://10.0.0.5/snap.jpg?***",
        "rtsp:/***@10.0.0.5",
        "x" * 5000,
    ]


@pytest.mark.parametrize("module", ["training.learn.learn_model", "training.autoencoder.train_model"])
def test_everything_that_writes_a_model_names_its_footage_so(module: str) -> None:
    source = Path(f"{module.replace('.', '/')}.py").read_text(encoding="utf-8")
    assert "data=names_of_footage(" in source


def test_a_file_name_that_is_no_text_can_be_stored() -> None:
    (stored,) = names_of_footage([os.fsdecode(b"/caf\xe9.mp4")])
    assert json.loads(json.dumps(stored).encode()) == stored
    stored.encode()
