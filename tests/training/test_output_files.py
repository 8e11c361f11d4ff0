"""Files that the offline commands write: what else is there is not replaced."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.errors import UsageError
from training.output import check_output_file


def test_an_earlier_result_is_replaced_and_a_film_is_not(tmp_path: Path) -> None:
    (tmp_path / "old.csv").write_text("Id,Predicted\n")
    (tmp_path / "empty.csv").touch()
    for name in ("old.csv", "empty.csv", "new.csv"):
        check_output_file(tmp_path / name, "--out")
    (tmp_path / "film.mp4").write_bytes(b"\0\0\0\x20ftypisom")
    for path in (tmp_path / "film.mp4", Path("/dev/null"), Path("/dev/stdout")):
        with pytest.raises(UsageError, match="is no text file, so it is not replaced: give another file with --out"):
            check_output_file(path, "--out")
