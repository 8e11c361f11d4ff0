"""Polygons: which are refused, and which pixels and cells they cover."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.places import PlaceRules, Polygon

LEFT = Polygon(((0.0, 0.0), (0.5, 0.0), (0.5, 1.0), (0.0, 1.0)))


@pytest.mark.parametrize(
    ("points", "clause"),
    [
        (((0, 0), (1, 0)), "3 to 100 corners, not 2"),
        (tuple((math.cos(i), math.sin(i)) for i in range(101)), "3 to 100 corners, not 101"),
        (((0, 0), (1.2, 0), (1, 1)), "(1.2, 0) lies outside"),
        (((0, 0), (1, math.nan), (1, 1)), "(1, nan) lies outside"),
        (((0, 0), (1, math.inf), (1, 1)), "(1, inf) lies outside"),
        (((0, 0), (1, 1), (1, 0), (0, 1)), "cross or touch"),
        (((0, 0), (1, 0), (0.5, 0)), "cross or touch"),
        (((0, 0), (0, 0), (1, 0), (1, 1)), "cross or touch"),
        (((0, 0), (1, 0), (1, 1), (0.5, 0), (0, 1)), "cross or touch"),
        (((0, 0), (0.001, 0), (0, 0.001)), "no area"),
    ],
)
def test_a_polygon_that_covers_no_clear_place_is_refused(points: tuple[tuple[float, float], ...], clause: str) -> None:
    with pytest.raises(ValueError, match=clause.replace("(", r"\(").replace(")", r"\)")):
        Polygon(points)


def test_a_polygon_may_turn_inwards_and_have_corners_on_a_straight_side() -> None:
    Polygon(((0, 0), (1, 0), (1, 1), (0.5, 0.5), (0, 1)))
    Polygon(((0, 0), (0.5, 0), (1, 0), (1, 1)))


def test_pixels_that_are_touched_only_in_part_are_covered_too() -> None:
    covered = Polygon(((0.25, 0.25), (0.55, 0.25), (0.55, 0.55), (0.25, 0.55))).pixels(20, 20)
    assert covered.shape == (20, 20)
    assert covered[5:11, 5:11].all()
    assert not covered[:3].any()
    assert not covered[14:].any()


corners = st.tuples(st.floats(0, 1), st.floats(0, 1))


@pytest.mark.fuzz
@given(st.tuples(corners, corners, corners), st.integers(1, 90), st.integers(1, 90), st.data())
def test_whatever_lies_within_is_covered(
    points: tuple[tuple[float, float], ...], width: int, height: int, data: st.DataObject
) -> None:
    try:
        polygon = Polygon(points)
    except ValueError:
        return
    shares = np.array(data.draw(st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0.01, 1))))
    x, y = shares / shares.sum() @ np.array(points)
    covered = polygon.pixels(width, height)
    assert covered[min(int(y * height), height - 1), min(int(x * width), width - 1)]
    assert 0 <= polygon.shares(height, width).min() <= polygon.shares(height, width).max() <= 1


def test_a_zone_takes_the_cells_that_it_covers_by_half() -> None:
    cells = PlaceRules(ignored=(LEFT,)).left_out(4, 6)
    assert cells[:, :3].all()
    assert not cells[:, 3:].any()


def test_a_mask_takes_all_cells_that_it_touches_and_their_neighbours() -> None:
    inner = Polygon(((0.0, 0.0), (0.45, 0.0), (0.45, 1.0), (0.0, 1.0)))
    cells = PlaceRules(masks=(inner,)).left_out(4, 8)
    assert cells[:, :5].all()
    assert not cells[:, 5:].any()


def test_a_sensitivity_counts_the_part_above_typical() -> None:
    rules = PlaceRules(weighed=((LEFT, 0.5),))
    found = rules.applied(np.array([[5.0, 1.0, 5.0, 1.0]], np.float32), typical=3.0)
    assert found.tolist() == [[4.0, 1.0, 5.0, 1.0]]
    twice = PlaceRules(weighed=((LEFT, 4.0), (LEFT, 0.5)))
    assert twice.applied(np.array([[5.0, 1.0, 5.0, 1.0]], np.float32), typical=3.0).tolist() == [[7.0, 1.0, 5.0, 1.0]]


def test_what_touches_a_zone_is_scored_with_all_its_parts_and_nothing_else_is() -> None:
    rules = PlaceRules(must_touch=(LEFT,))
    cells = np.array([[0, 0, 9, 9, 9, 0, 0, 0], [0] * 8, [0, 0, 0, 0, 0, 0, 9, 9], [1] * 8], np.float32)
    found = rules.applied(cells, typical=2.0, least=0.0)
    assert found[0].tolist() == cells[0].tolist(), "it reaches into the zone"
    assert not found[2].any(), "it touches nothing"
    assert found[3].tolist() == cells[3].tolist(), "what is not above typical stays"


def test_what_is_ignored_touches_no_zone() -> None:
    rules = PlaceRules(ignored=(LEFT,), must_touch=(LEFT,))
    found = rules.applied(np.array([[9.0, 9.0, 9.0, 9.0]], np.float32), typical=2.0, least=0.0)
    assert not found.any()
