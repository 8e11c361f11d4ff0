"""Masks and zones in the config file: their mistakes, and what a reload does with them."""

from __future__ import annotations

from pathlib import Path

import pytest

from monitor.app.config_file import load_config
from monitor.app.planning import find_sources, plan_cameras
from monitor.app.reload import _opens_anew
from monitor.errors import ConfigError
from monitor.places import Polygon
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


@pytest.mark.parametrize("kind", ["masks", "zones"])
def test_a_reload_with_another_place_opens_the_camera_again(tmp_path: Path, kind: str) -> None:
    write_video(tmp_path / "video.avi")
    plans = []
    for text in ("", f"{kind}.a.polygon = {SQUARE}", f"{kind}.a.polygon = {SQUARE}"):
        settings = load_config(settings_of(tmp_path, text), {"model": DEMO_MODEL})
        plans += plan_cameras(find_sources([], settings), settings, None)
    assert _opens_anew(plans[0], plans[1])
    assert not _opens_anew(plans[1], plans[2])
