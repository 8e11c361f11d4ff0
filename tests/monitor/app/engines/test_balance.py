"""How many engines, which camera goes to which, and when one moves."""

from __future__ import annotations

import pytest

from monitor.app.engines.balance import Loads, Move, engines_wanted, move_wanted, spread


@pytest.mark.parametrize(
    ("setting", "cameras", "cores", "engines"),
    [("auto", 16, 2, 1), ("auto", 16, 8, 4), ("auto", 3, 64, 3), (4, 16, 2, 4), (4, 2, 2, 2), (1, 16, 64, 1)],
)
def test_there_are_as_many_engines_as_cores_or_the_user_want_and_never_more_than_cameras(
    setting: int | str, cameras: int, cores: int, engines: int
) -> None:
    assert engines_wanted(setting, cameras, cores) == engines


def test_cameras_are_spread_evenly_also_over_engines_that_have_some() -> None:
    assert spread(["a", "b", "c", "d"], [1, 2]) == {"a": 1, "b": 2, "c": 1, "d": 2}
    assert spread(["new"], [1, 2], {1: 3.0, 2: 1.0}) == {"new": 2}


def test_the_camera_moves_that_makes_the_highest_load_lowest() -> None:
    loads = {1: {"a": 0.5, "b": 0.3, "c": 0.15}, 2: {"d": 0.2}}
    assert move_wanted(loads, {"a", "b", "c"}) == Move("b", 1, 2)
    assert move_wanted(loads, {"c"}) == Move("c", 1, 2)
    assert move_wanted(loads, set()) is None, "files stay where they are"


@pytest.mark.parametrize(
    "loads",
    [
        {1: {"a": 0.9}},
        {1: {"a": 0.4, "b": 0.3}, 2: {}},
        {1: {"a": 0.9}, 2: {"b": 0.05}},
        {1: {"a": 0.45, "b": 0.45}, 2: {"c": 0.45, "d": 0.4}},
    ],
)
def test_nothing_moves_if_no_engine_is_overloaded_or_if_it_would_not_help(loads: dict[int, dict[str, float]]) -> None:
    assert move_wanted(loads, {"a", "b", "c", "d"}) is None


def test_the_load_is_measured_between_two_looks_and_begins_anew_in_another_engine() -> None:
    loads = Loads()
    loads.take({"a": 0.0, "b": 0.0}, 0.0)
    loads.take({"a": 5.0, "b": 1.0}, 10.0)
    assert loads.measure({1: ["a", "b"], 2: ["unknown"]}) == {1: {"a": 0.5, "b": 0.1}, 2: {"unknown": 0.0}}
    loads.take({"a": 1.0}, 12.0)
    loads.take({"a": 3.0, "b": 3.0}, 20.0)
    assert loads.measure({1: ["b"], 2: ["a"]}) == {1: {"b": 0.2}, 2: {"a": 0.25}}
