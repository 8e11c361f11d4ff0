"""A reload says what it has changed, and shows no address."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from monitor.app.config import CameraConfig, MonitorConfig
from monitor.app.place_config import ZoneConfig
from monitor.app.reload_words import what_changed
from monitor.judging.alerting import AlertSettings
from monitor.live.fleet import Camera
from monitor.testing.fakes import LevelSource, brightness_model, watched_by

OLD = MonitorConfig(
    cameras={"door": CameraConfig(source="rtsp://admin:secret@10.0.0.1/1"), "yard": CameraConfig(source="0")}
)


def cameras(digits: str = "0") -> dict[str, Camera]:
    model = replace(brightness_model(), hash=digits * 64)
    return {name: watched_by(LevelSource(name, [25]), model) for name in ("door", "yard")}


def said(**changes: object) -> str:
    return what_changed(OLD, OLD.model_copy(update=changes), cameras(), cameras())


def test_numbers_and_switches_are_named_with_their_values() -> None:
    assert said(alert=AlertSettings(on=1.2)) == "[alert] on 1 -> 1.2"
    assert (
        said(false_alarms_per_day=10.0, cpu_fallback=False)
        == "cpu_fallback true -> false, false_alarms_per_day 1 -> 10"
    )


def test_addresses_and_paths_are_named_without_their_values() -> None:
    moved = {**OLD.cameras, "door": CameraConfig(source="rtsp://admin:other@10.0.0.1/1", model=Path("m"))}
    assert said(cameras=moved) == "[cameras.door] source, [cameras.door] model"
    assert said(detectors=("motion",), models_folder=Path("x")) == "models_folder, detectors"


def test_zones_are_named_by_their_camera() -> None:
    def door(**zones: float) -> dict[str, CameraConfig]:
        polygon = ((0.0, 0.0), (1.0, 0.0), (1.0, 1.0))
        places = {name: ZoneConfig(polygon=polygon, sensitivity=value) for name, value in zones.items()}
        return {**OLD.cameras, "door": OLD.cameras["door"].but(zones=places)}

    assert said(cameras=door(road=0.5)) == "[cameras.door] zones"
    old = OLD.model_copy(update={"cameras": door(road=0.5)})
    new = OLD.model_copy(update={"cameras": door(road=2.0)})
    assert what_changed(old, new, cameras(), cameras()) == "[cameras.door.zones.road] sensitivity 0.5 -> 2"


def test_a_model_that_was_learned_again_is_named_though_no_setting_has_changed() -> None:
    assert what_changed(OLD, OLD, cameras("0"), cameras("1")) == "model of door, yard"
    assert what_changed(OLD, OLD, cameras(), cameras()) == ""


def test_many_changes_are_counted() -> None:
    slow = {name: 2 * value + 1 for name, value in AlertSettings() if name != "off"}
    health = OLD.health.model_copy(update={name: not value for name, value in OLD.health if isinstance(value, bool)})
    assert said(alert=AlertSettings(**slow), health=health).endswith(", 5 more")
