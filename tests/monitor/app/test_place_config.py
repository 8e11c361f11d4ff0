"""Masks and zones in the config file: their mistakes, and what a reload does with them."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitor.app.config_file import load_config
from monitor.app.place_config import place_rules
from monitor.app.planning import find_sources, plan_cameras
from monitor.app.reload import _opens_anew
from monitor.errors import ConfigError
from monitor.live.capture import CaptureSettings
from monitor.places import PlaceRules, Polygon
from monitor.sources.isolated.isolated_source import IsolatedSource
from monitor.sources.masked import Mask, MaskedSource
from tests.e2e.test_end_to_end import DEMO_MODEL
from tests.helpers.made_footage import write_video

SQUARE = "[[0.25, 0.25], [0.75, 0.25], [0.75, 0.75], [0.25, 0.75]]"


def settings_of(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cameras.toml"
    path.write_text(f"[cameras.door]\nsource = '{tmp_path / 'video.avi'}'\n{text}")
    return path


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("masks.a.polygon = [[0,0],[1,1],[1,0],[0,1]]", "setting 'cameras.door.masks.a': its sides cross or touch"),
        ("masks.a.polygon = [[0,0],[1,0],[1,1],[0,1]]", "its masks cover the whole picture, so nothing would be watch"),
        (
            "zones.a.polygon = [[0,0],[0.5,0],[0.5,1],[0,1]]\nzones.b.polygon = [[0.5,0],[1,0],[1,1],[0.5,1]]",
            "its ignored zones cover the whole picture, so nothing would be watched: leave a part free",
        ),
        ("zones.a.polygon = [[0,0],[1,1]]", "setting 'cameras.door.zones.a': a polygon has 3 to 100 corners, not 2"),
        ("masks.a.polygon = [[0,0],[-1,0],[0,1]]", "the corner (-1, 0) lies outside the picture: give shares from 0"),
        ("masks.a.polygon = [[0.5,0.5],[1.5,0.5],[1.5,1.5]]", "the corner (1.5, 0.5) lies outside the picture: shares"),
        (
            "masks.a.polygon = [[nan,0],[1,0],[0,1]]",
            "'cameras.door.masks.a': the corner (nan, 0) is no place in a pict",
        ),
        ("zones.a.polygon = [[0,0],[1,-inf],[0,1]]", "'cameras.door.zones.a': the corner (1, -inf) is no place in a p"),
        (
            "masks.a.polygon = [[0,0],[1e308,0],[0,1]]",
            "the corner (1e+308, 0) lies outside the picture: shares go from",
        ),
        (
            "masks.a.polygon = [[0,0],[inf,0],[0,9]]\nmasks.a.picture_size = [8, 8]",
            "the corner (inf, 0) is no place in a picture: give two finite numbers",
        ),
        ("masks.a.polygon = [[0,0],[9,0],[0,9]]", "corners in pixels need the size of the picture: add picture_size"),
        (
            "masks.a.polygon = [[0,0],[9,0],[0,9]]\nmasks.a.picture_size = [8, 8]",
            "the corner (9, 0) lies outside the picture of 8x8: correct it, or picture_size",
        ),
        (
            "masks.a.polygon = [[0,0],[9,0],[0,9]]\nmasks.a.picture_size = [0, 8]",
            "picture_size must be two numbers from 1 to 65536, not [0, 8]",
        ),
        ("masks.a.polygon = [[0,0],[1],[0,1]]", "'cameras.door.masks.a.polygon': each corner must be two numbers"),
        ("masks.a.polygn = []", "unknown setting 'cameras.door.masks.a.polygn': did you mean 'polygon'?"),
        ("masks.a.look = 'black'", "setting 'cameras.door.masks.a.look': should be 'solid' or 'pixelated'"),
        ("zones.a.kind = 'must'", "setting 'cameras.door.zones.a.kind': should be 'ignore'"),
        (
            "zones.a.sensitivity = 0",
            "setting 'cameras.door.zones.a.sensitivity': should be greater than or equal to 0.1",
        ),
        ("zones.a.sensitivity = nan", "setting 'cameras.door.zones.a.sensitivity': should be"),
        (
            f"zones.a = {{ kind = 'ignore', sensitivity = 2, polygon = {SQUARE} }}",
            "'cameras.door.zones.a': a zone that is not scored has no sensitivity: remove kind = \"ignore\", or",
        ),
        (
            f"zones.a = {{ kind = 'ignore', must_touch = true, polygon = {SQUARE} }}",
            "'cameras.door.zones.a': a zone that is not scored has no must_touch",
        ),
        (
            "zones.a.times = ['x']",
            "setting 'cameras.door.zones.a.times': 'x' is no time of the week: write 22:00-07:00,",
        ),
        ("schedule.quiet = '7-8'", "setting 'cameras.door.schedule.quiet': '7-8' is no time of the week: write 22:00-"),
        ("schedule.time_zone = 'Mars'", "'cameras.door.schedule.time_zone': 'Mars' is no time zone that this machine"),
        ("schedule.recorded_at = 'noon'", "setting 'cameras.door.schedule.recorded_at': should be a date and time"),
        ("schedule.recorded_at = 9999-12-31T23:59:00", "the year 9999 is out of range: give one from 1971 to 2199"),
        ("zones.a.must_touch = 1.5", "setting 'cameras.door.zones.a.must_touch': should be true or false"),
        ("masks.'a b'.polygon = " + SQUARE, "name 'a b' of a place under 'cameras.door.masks': use letters"),
        ("masks = 3", "setting 'cameras.door.masks'"),
    ],
)
def test_a_mistake_is_one_sentence_that_names_the_place(tmp_path: Path, text: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(settings_of(tmp_path, text))
    assert sentence in str(caught.value)


def test_corners_in_pixels_become_shares_of_the_picture(tmp_path: Path) -> None:
    text = "masks.a.polygon = [[480,270],[1440,270],[1440,810],[480,810]]\nmasks.a.picture_size = [1920, 1080]"
    mask = load_config(settings_of(tmp_path, text)).cameras["door"].masks["a"].mask
    assert mask == Mask(Polygon(((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))))


def test_a_source_is_masked_within_its_decoder_process(tmp_path: Path) -> None:
    write_video(tmp_path / "video.avi")
    settings = load_config(settings_of(tmp_path, f"masks.a.polygon = {SQUARE}\nmasks.a.look = 'pixelated'"))
    (source,) = find_sources([], settings)
    assert isinstance(source, IsolatedSource)
    assert isinstance(source.inner, MaskedSource)
    (named,) = find_sources([f"door={tmp_path / 'video.avi'}"], settings)
    assert isinstance(named, IsolatedSource)
    assert isinstance(named.inner, MaskedSource), "also if the source stands on the command line"


def test_a_zone_with_times_holds_in_them_by_the_camera_s_clock(tmp_path: Path) -> None:
    rules = {"a": "times = '22:00-06:00'", "b": "sensitivity = 2"}
    text = "".join(f"zones.{name} = {{ {rule}, polygon = {SQUARE} }}\n" for name, rule in rules.items())
    settings = load_config(settings_of(tmp_path, text + "schedule.time_zone = 'Asia/Tokyo'\n"))
    write_video(tmp_path / "video.avi")
    (camera,) = plan_cameras(find_sources([], settings), settings, None)
    places = camera.capture.places
    assert places is not None
    night, noon = (datetime(2026, 3, 2, hour, tzinfo=UTC).timestamp() for hour in (14, 3))  # 23:00 and 12:00 there
    assert [len(places.at(at).ignored) for at in (night, noon, None)] == [1, 0, 1]
    assert [len(places.at(at).weighed) for at in (night, noon, None)] == [1, 1, 1]


def test_footage_that_says_when_it_was_recorded_follows_the_schedule(tmp_path: Path) -> None:
    settings = load_config(
        settings_of(
            tmp_path,
            "schedule = { armed = 'Mon 18:00-24:00', time_zone = 'Europe/Berlin', recorded_at = 2026-03-02T17:59:00 }",
        )
    )
    rules = CaptureSettings(schedule=settings.of_camera("door").schedule.schedule).rules
    assert rules.schedule is not None
    recorded_at = settings.of_camera("door").schedule.recorded_at_s
    assert recorded_at == datetime(2026, 3, 2, 16, 59, tzinfo=UTC).timestamp()
    assert [rules.schedule.is_armed(recorded_at + later) for later in (0.0, 59.0, 60.0)] == [False, False, True]
    assert rules.schedule.is_armed(None), "it is not known when it was recorded"


def test_a_zone_has_the_rule_that_its_settings_name(tmp_path: Path) -> None:
    text = "".join(
        f"zones.{name} = {{ {rule} polygon = {SQUARE} }}\n"
        for name, rule in {"a": "", "b": "sensitivity = 2,", "c": "must_touch = true, sensitivity = 0.5,"}.items()
    )
    (camera,) = load_config(settings_of(tmp_path, text)).cameras.values()
    rules = place_rules(camera.masks, camera.zones)
    square = Polygon(((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75)))
    weighed = ((square, 2.0), (square, 0.5))
    assert rules is not None
    assert rules.at(None) == PlaceRules(ignored=(square,), weighed=weighed, must_touch=(square,))


@pytest.mark.parametrize("kind", ["masks", "zones"])
def test_a_reload_opens_the_camera_again_for_another_mask_but_not_for_another_zone(tmp_path: Path, kind: str) -> None:
    write_video(tmp_path / "video.avi")
    plans = []
    for text in ("", f"{kind}.a.polygon = {SQUARE}", f"{kind}.a.polygon = {SQUARE}"):
        settings = load_config(settings_of(tmp_path, text), {"model": DEMO_MODEL})
        plans += plan_cameras(find_sources([], settings), settings, None)
    assert _opens_anew(plans[0], plans[1]) == (kind == "masks")
    assert plans[0].capture != plans[1].capture
    assert not _opens_anew(plans[1], plans[2])
    assert plans[1].capture == plans[2].capture
