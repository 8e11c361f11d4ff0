"""Numbers of the training commands have bounds, so that no work is lost at its end."""

from __future__ import annotations

import pytest

from tests.helpers.commands import training

HUGE = ("99999999999999999999999999", "inf", "nan", "-1")


@pytest.mark.parametrize("option", ["--seed", "--analysis-fps", "--fps", "--from-s", "--max-ms"])
@pytest.mark.parametrize("value", HUGE)
def test_a_number_without_bound_is_refused_before_the_work(option: str, value: str) -> None:
    result = training("learn", "nothing.mp4", "--name", "x", option, value)
    assert result.returncode == 2
    assert option in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("length", ["9" * 400 + "h", "1000000000h", "0s", "1e5s"])
def test_a_length_of_time_without_bound_is_refused(length: str) -> None:
    result = training("learn", "rtsp://127.0.0.1:9/x", "--name", "x", "--for", length)
    assert result.returncode == 2
    assert "is not a duration" in result.stderr


def test_a_folder_of_models_and_a_state_folder_are_not_both_taken() -> None:
    result = training("learn", "nothing.mp4", "--name", "x", "--models", "a", "--state", "b")
    assert result.returncode == 2
    assert "give --models or --state, not both" in result.stderr
