"""The discovery messages follow Home Assistant's documented rules, field by field."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from monitor.delivery.mqtt_link import MqttLink
from monitor.delivery.mqtt_settings import MqttSettings
from monitor.delivery.mqtt_topics import EVENT_TYPES, Topics, camera_config, monitor_config
from monitor.errors import ConfigError

TOPICS = Topics("truesight", "homeassistant")

# From https://www.home-assistant.io/integrations/mqtt/ and the pages of the platforms, and the schemas of the core.
DEVICE = {"identifiers", "name", "manufacturer", "model", "sw_version", "via_device", "connections", "hw_version"}
ORIGIN = {"name", "sw_version", "support_url"}
COMMON = {
    "platform", "unique_id", "default_entity_id", "name", "availability", "availability_mode", "availability_topic",
    "payload_available", "payload_not_available", "device_class", "enabled_by_default", "encoding", "entity_category",
    "icon", "json_attributes_topic", "json_attributes_template", "qos",
}  # fmt: skip
OF_PLATFORM = {
    "event": {"state_topic", "event_types", "value_template"},
    "binary_sensor": {"state_topic", "payload_on", "payload_off", "off_delay", "expire_after", "value_template"},
    "sensor": {
        "state_topic", "state_class", "unit_of_measurement", "suggested_display_precision", "expire_after", "options",
        "value_template", "force_update",
    },
    "switch": {"state_topic", "command_topic", "payload_on", "payload_off", "optimistic", "retain"},
    "image": {"image_topic", "content_type", "image_encoding", "url_topic"},
    "number": {
        "state_topic", "command_topic", "command_template", "min", "max", "step", "mode", "unit_of_measurement",
        "optimistic", "payload_reset", "retain", "value_template",
    },
    "button": {"command_topic", "command_template", "payload_press", "retain"},
}  # fmt: skip
REQUIRED = {
    "event": {"state_topic", "event_types"},
    "binary_sensor": {"state_topic"},
    "sensor": {"state_topic"},
    "switch": {"command_topic"},
    "image": {"image_topic"},
    "number": {"command_topic"},
    "button": {"command_topic"},
}
CLASSES = {
    "event": {"button", "doorbell", "motion"},
    "binary_sensor": {"problem", "connectivity", "running"},
    "sensor": {"timestamp"},
    "switch": {"outlet", "switch"},
    "image": set(),
    "number": {"distance", "duration"},
    "button": {"identify", "restart", "update"},
}
STATE_CLASSES = {"measurement", "total", "total_increasing"}


def check(config: dict[str, Any]) -> None:
    """Raise AssertionError for a message that Home Assistant would refuse or not understand."""
    assert set(config) <= {"device", "origin", "components", "availability", "availability_mode", "qos", "state_topic"}
    assert config["device"]["identifiers"], "a device needs an identifier"
    assert set(config["device"]) <= DEVICE
    assert config["origin"]["name"], "the name of the origin is required"
    assert set(config["origin"]) <= ORIGIN
    assert config["components"], "components are required"
    for name, one in config["components"].items():
        platform = one["platform"]
        assert set(one) <= COMMON | OF_PLATFORM[platform], name
        assert set(one) >= REQUIRED[platform] | {"unique_id"}, name
        assert one.get("device_class") in {None, *CLASSES[platform]}, name
        assert one.get("state_class") in {None, *STATE_CLASSES}, name
        assert one.get("entity_category") in {None, "config", "diagnostic"}, name
        assert one.get("availability_mode") in {None, "all", "any", "latest"}, name
        assert not {"availability", "availability_topic"} <= set(one), "one of them excludes the other"
        assert all(set(place) <= {"topic", "payload_available", "payload_not_available", "value_template"}
                   and place["topic"] for place in one.get("availability", [])), name  # fmt: skip
        assert re.fullmatch(rf"{platform}\.[a-z0-9_]+", one["default_entity_id"]), name
        assert one.get("qos", 0) in (0, 1, 2)
        for key in (key for key in one if key.endswith("_topic")):
            assert not set(one[key]) & set("+#\0"), "a topic without wildcards"
        if "command_topic" in one:
            assert not one.get("retain"), "a retained command would be obeyed again at each connection"
            assert one["command_topic"].endswith("/set")
        if platform == "number":
            assert one["mode"] in ("auto", "box", "slider"), name
            assert one["step"] >= 1e-3, "no smaller steps are allowed"
            assert one["min"] < one["max"], name
        if one.get("device_class") == "timestamp":
            assert "state_class" not in one, "a time has no state class"
            assert "unit_of_measurement" not in one
    ids = [one["unique_id"] for one in config["components"].values()]
    assert len(set(ids)) == len(ids)
    json.dumps(config)


@pytest.mark.parametrize("camera", ["door", "Front-Door_2", "a.b", "_x", "9" * 64, "a-dot-b"])
def test_a_camera_follows_the_rules(camera: str) -> None:
    config = camera_config(TOPICS, camera, picture=True)
    check(config)
    assert {one["platform"] for one in config["components"].values()} == set(OF_PLATFORM)
    assert re.fullmatch(r"homeassistant/device/[a-zA-Z0-9_-]+/config", TOPICS.config(camera))
    assert "image" not in {
        one["platform"] for one in camera_config(TOPICS, camera, picture=False)["components"].values()
    }


def test_the_monitor_is_the_hub_of_its_cameras() -> None:
    hub, camera = monitor_config(TOPICS, "node-1"), camera_config(TOPICS, "door", picture=True)
    check(hub)
    assert camera["device"]["via_device"] == hub["device"]["identifiers"][0]
    assert hub["device"]["identifiers"] != camera["device"]["identifiers"]
    assert hub["components"]["running"]["state_topic"] == "truesight/status"
    assert (hub["components"]["running"]["payload_on"], hub["components"]["running"]["payload_off"]) == (
        "online",
        "offline",
    )


def test_the_connection_of_a_camera_depends_on_the_monitor_alone() -> None:
    parts = camera_config(TOPICS, "door", picture=True)["components"]
    of: Callable[[str], list[str]] = lambda name: [place["topic"] for place in parts[name]["availability"]]  # noqa: E731
    assert of("connected") == ["truesight/status"]
    assert of("score") == of("active") == ["truesight/status", "truesight/door/available"]
    assert parts["score"]["availability_mode"] == "all"
    assert of("event") == of("snapshot") == of("armed") == ["truesight/status"]


def test_the_types_of_events_are_announced() -> None:
    assert tuple(camera_config(TOPICS, "door", picture=True)["components"]["event"]["event_types"]) == EVENT_TYPES


def test_two_monitors_and_two_cameras_never_share_an_id() -> None:
    other = Topics("barn", "homeassistant")
    ids = {
        one["unique_id"]
        for topics in (TOPICS, other)
        for camera in ("a.b", "a_b", "a-b")
        for one in camera_config(topics, camera, picture=True)["components"].values()
    }
    assert len(ids) == 2 * 3 * 15


def test_names_that_differ_never_share_a_device() -> None:
    """All names of a few parts, among them those that look like the encoding of others."""
    parts = ("a", ".", "-", "dot", "dash", "-dot-", "-dash-")
    names = {"a" + "".join(each) for n in range(5) for each in product(parts, repeat=n)}
    assert len({TOPICS.config(name) for name in names}) == len(names)
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]+", TOPICS.device_id(name)) for name in names)


def test_usual_names_keep_their_entities() -> None:
    usual = {"door": "door", "front.door": "front-dot-door", "a-b_c": "a-b_c", "dot-1": "dot-1"}
    assert {name: TOPICS.device_id(name) for name in usual} == {n: f"truesight_{i}" for n, i in usual.items()}
    assert [TOPICS.former_config(name) for name in usual] == [None] * 4
    assert TOPICS.former_config("a-dot-b") == TOPICS.config("a.b")


def test_commands_are_recognised() -> None:
    for what in ("armed", "false_alarms_per_day", "last_event"):
        assert TOPICS.commanded(f"truesight/door/{what}/set") == ("door", what)
    others = ("truesight/door/armed", "x/door/armed/set", "truesight/a/b/armed/set", "truesight/door/score/set", "")
    assert [TOPICS.commanded(topic) for topic in others] == [None] * 5


def test_each_command_of_a_camera_has_its_entity() -> None:
    parts = camera_config(TOPICS, "door", picture=True)["components"]
    number = parts["false_alarms_per_day"]
    assert (number["platform"], number["entity_category"]) == ("number", "config")
    assert number["command_topic"] == f"{number['state_topic']}/set" == "truesight/door/false_alarms_per_day/set"
    assert (number["min"], number["max"], number["mode"]) == (0.001, 1_000_000, "box")
    assert parts["armed"]["command_topic"] == f"{parts['armed']['state_topic']}/set" == "truesight/door/armed/set"
    pressed = {name: parts[name]["payload_press"] for name in ("last_normal", "last_real", "undo_last")}
    assert pressed == {"last_normal": "normal", "last_real": "real", "undo_last": "undo"}
    assert {parts[name]["command_topic"] for name in pressed} == {"truesight/door/last_event/set"}
    changing = [name for name, one in parts.items() if "command_topic" in one]
    assert all(parts[name]["availability"] == [{"topic": "truesight/status"}] for name in changing)
    assert {f"truesight/door/{name}" for name in ("armed", "false_alarms_per_day", "answer")} <= set(
        TOPICS.retained("door")
    )


def test_without_commands_their_entities_are_removed() -> None:
    """Home Assistant removes a component that has nothing but its platform."""
    full = camera_config(TOPICS, "door", picture=True)["components"]
    parts = camera_config(TOPICS, "door", picture=True, commands=False)["components"]
    assert parts.keys() == full.keys()
    bare = {name: one for name, one in parts.items() if one.keys() == {"platform"}}
    assert bare == {
        "armed": {"platform": "switch"},
        "false_alarms_per_day": {"platform": "number"},
        **{name: {"platform": "button"} for name in ("last_normal", "last_real", "undo_last")},
        "answer": {"platform": "sensor"},
    }
    assert not any("command_topic" in one for one in parts.values())


@pytest.mark.parametrize(
    ("settings", "takes"),
    [
        ({}, False),
        ({"user": "me"}, False),
        ({"user": "me", "password": "p"}, True),
        ({"tls": True}, False),
        ({"tls": True, "cert": "c.pem", "key": "k.pem"}, True),
        ({"commands": True}, True),
        ({"user": "me", "password": "p", "commands": False}, False),
    ],
)
def test_only_a_broker_that_asks_who_we_are_may_command_by_default(settings: dict[str, Any], takes: bool) -> None:
    assert MqttSettings.model_validate({"host": "h"} | settings).takes_commands is takes


def test_a_missing_library_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("paho", "paho.mqtt", "paho.mqtt.client", "paho.mqtt.enums"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(
        ConfigError, match=r"^\[mqtt\] needs paho-mqtt: run `.*python\S* -m pip install 'paho-mqtt>=2'`$"
    ):
        MqttLink(MqttSettings(host="h"), TOPICS, "test")
