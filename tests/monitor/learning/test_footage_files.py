"""A recording with anything in the place of its files."""

import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given

from monitor.errors import SourceError
from monitor.learning.footage import CARD, FORMAT, FootageSource, recorded_s
from tests.helpers.fuzzing import broken, cases, damaged
from tests.helpers.made_footage import write_image

SOUND = {"format": FORMAT, "source": "cam", "width": 64, "height": 48, "fps": 10.0}


def recording(folder: Path, *names: str) -> Path:
    (folder / CARD).write_text(json.dumps(SOUND))
    for name in names:
        (folder / name).parent.mkdir(exist_ok=True)
        write_image(folder / name)
    return folder


def times(folder: Path) -> list[float]:
    with FootageSource(folder).open() as reader:
        return [position.time_s for position in iter(reader.grab, None)]


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["0000/000000000.jpg", "0000/000000100.jpg", "0001/1000000000.jpg"], [0.0, 0.1, 1e6]),
        (["0000/1.jpg", "0000/01.jpg", "0000/002.jpg"], [0.001, 0.002]),
        (["0000/5000.jpg", "0001/4000.jpg", "0001/6000.jpg"], [5.0, 6.0]),
        (["0000/5.jpg", "0000/" + "9" * 30 + ".jpg", "0000/x.jpg", "0000/-3.jpg"], [0.005]),
        (["9" * 200 + "/1.jpg", "0000/5.jpg", "x/7.jpg"], [0.005]),
    ],
)
def test_times_of_a_recording_increase_whatever_its_files_are_called(
    tmp_path: Path, names: list[str], expected: list[float]
) -> None:
    recording(tmp_path, *names)
    assert times(tmp_path) == expected
    assert np.isfinite(recorded_s(tmp_path))


def pipe(file: Path) -> None:
    os.mkfifo(file)


def device(file: Path) -> None:
    file.symlink_to("/dev/zero")


def sparse(file: Path) -> None:
    with file.open("wb") as written:
        written.truncate(10**12)


@pytest.mark.parametrize("make", [pipe, device, sparse, Path.mkdir])
def test_what_is_no_card_is_refused_at_once(tmp_path: Path, make: Callable[[Path], None]) -> None:
    make(tmp_path / CARD)
    with pytest.raises(SourceError, match="record the camera again"):
        FootageSource(tmp_path)
    assert recorded_s(tmp_path) == 0.0


@cases(100, 5000)
@example(content=b"[" * 100_000)
@example(content=json.dumps({**SOUND, "fps": 10**400}).encode())
@example(content=json.dumps({**SOUND, "width": float("inf")}).encode())
@given(content=broken(json.dumps(SOUND).encode()) | damaged(SOUND).map(lambda card: json.dumps(card).encode()))
def test_a_card_of_any_bytes_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / CARD).write_bytes(content)
    with suppress(SourceError):
        source = FootageSource(tmp_path)
        assert 1e-3 <= source.fps <= 1e3
        assert min(source.camera_size) >= 1
