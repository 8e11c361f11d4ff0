"""How the pictures of an event are drawn: their size, heat, boxes and captions."""

import numpy as np
import pytest

from monitor.judging.camera_monitor import Alert
from monitor.sinks.evidence.alert_pictures import fit, heated, relative_heat, snapshot
from monitor.states import AlertEvent, Phase, Reason, Region
from monitor.testing.fakes import brightness_scale, frame, picture
from monitor.types import ScoredFrame

SCALE = brightness_scale()


def test_pictures_are_scaled_to_the_width_and_to_even_sides() -> None:
    assert fit(picture(9, 1281, 721), 640).shape == (360, 640, 3)
    assert fit(picture(9, 33, 25), 640).shape == (24, 32, 3)
    small = picture(9, 320, 180)
    assert fit(small, 640) is small


def test_heat_is_red_at_the_peak_and_leaves_the_rest_alone() -> None:
    heat = np.zeros((4, 4), np.float32)
    heat[1, 2] = 7.0
    tinted = heated(picture(100, 64, 64), heat)
    blue, green, red = (int(v) for v in tinted[24, 40])
    assert red > 150
    assert blue < 60
    assert green < 100
    assert tinted[60, 4].tolist() == [100, 100, 100]
    assert relative_heat(np.full((3, 3), 5.0, np.float32)).max() == 0.0
    heat[0, 0] = np.nan
    assert np.isfinite(relative_heat(heat)).all()


def test_boxes_are_given_in_source_pixels_and_drawn_to_scale() -> None:
    item = ScoredFrame(frame(1.0), (), 0.0)
    wide = ScoredFrame(type(item.frame)("cam", 0, 1.0, picture(0, 1280, 720)), (), 0.0)
    event = AlertEvent(1, Phase.START, 1.0, None, 1.2, 1.2, 1.0, notify=True)
    region, reason = Region(200, 100, 400, 300, 1.0), Reason("speed", 3.0, 1.0)
    alert = Alert("cam", event, 1e9, None, 0.0, wide, (region,), (reason,), SCALE)
    drawn = snapshot(alert, 640)
    assert drawn.shape[1] == 640
    red = np.argwhere((drawn[..., 2] > 200) & (drawn[..., 0] < 50))
    assert red.min(axis=0).tolist() == pytest.approx([50, 100], abs=2)
    assert red.max(axis=0).tolist() == pytest.approx([200, 300], abs=2)
    assert (drawn[362:] > 128).any(), "a caption"


@pytest.mark.parametrize(("width", "at_least"), [(64, 6), (320, 3), (640, 2)])
def test_a_caption_is_never_cut(width: int, at_least: int) -> None:
    item = ScoredFrame(type(frame(1.0))("front-door", 0, 1.0, picture(0, width, 48)), (), 0.0)
    event = AlertEvent(1, Phase.START, 1.0, None, 3.47, 3.47, 1.0, notify=True)
    alert = Alert("front-door", event, 1e9, None, 0.0, item, (), (Reason("speed", 3.0, 1.0),), SCALE)
    strip = snapshot(alert, width)[48:]
    assert strip.shape[0] >= 18 * at_least + 6, "the caption continues on more lines"
    assert not strip[:, -3:].any(), "no line reaches the edge"
    assert (strip > 128).any()
