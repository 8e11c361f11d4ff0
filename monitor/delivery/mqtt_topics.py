"""MQTT topics, and the discovery messages for Home Assistant. Pure.

The fields follow https://www.home-assistant.io/integrations/mqtt/#device-discovery-payload.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from monitor import __version__
from monitor.text.outside import safe

ONLINE, OFFLINE = "online", "offline"
ON, OFF = "ON", "OFF"
UNKNOWN = "None"
"""Home Assistant shows a sensor with this state as unknown."""
ARMED, BUDGET, VERDICT = "armed", "false_alarms_per_day", "last_event"
"""What can be commanded of a camera."""
SNAPSHOT = "snapshot"
"""The picture of the last alert that notified."""
NORMAL, REAL, UNDO = "normal", "real", "undo"
"""Payloads of VERDICT: what the last event was."""
LEAST_SHOWN, MOST_SHOWN = 0.001, 1_000_000
"""Range of the budget in Home Assistant, which takes no smaller steps."""
EVENT_TYPES = ("anomaly", "camera_lost", "repeated", "recorded", "ended", "health")

_ORIGIN = {"name": "True Sight", "sw_version": __version__}
_CAMERA_STATES = (
    "available", "active", "connected", "score", "last_alert", "alerts_today", "learning", "budget", ARMED, "details",
    SNAPSHOT, BUDGET, "answer",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Topics:
    """All topics of a monitor. base: their first part; prefix: Home Assistant's discovery prefix."""

    base: str
    prefix: str

    @property
    def status(self) -> str:
        """``online`` or ``offline``, retained; the broker says ``offline`` if the monitor vanishes."""
        return f"{self.base}/status"

    @property
    def cameras(self) -> str:
        """JSON list of the cameras, retained: a monitor finds here which cameras are gone."""
        return f"{self.base}/cameras"

    @property
    def commands(self) -> str:
        """Filter of all commands."""
        return f"{self.base}/+/+/set"

    @property
    def home_assistant(self) -> str:
        """Home Assistant says ``online`` here when it starts."""
        return f"{self.prefix}/status"

    def of(self, camera: str, what: str) -> str:
        """A topic of a camera."""
        return f"{self.base}/{camera}/{what}"

    def retained(self, camera: str) -> list[str]:
        """All retained topics of a camera."""
        return [self.of(camera, what) for what in _CAMERA_STATES]

    def config(self, camera: str | None) -> str:
        """The topic of a discovery message; None: of the monitor itself."""
        return f"{self.prefix}/device/{self.device_id(camera)}/config"

    def device_id(self, camera: str | None) -> str:
        """Identifier of a device. Home Assistant allows letters, digits, ``_`` and ``-`` in the topic."""
        return self.base if camera is None else f"{self.base}_{_without_dots(camera)}"

    def former_config(self, camera: str) -> str | None:
        """The topic under which a name such as ``a-dot-b`` was announced before; None if it is the present one."""
        former = f"{self.prefix}/device/{self.base}_{camera.replace('.', _DOT)}/config"
        return None if former == self.config(camera) else former

    def entity_id(self, platform: str, camera: str | None, what: str) -> str:
        """The entity id that Home Assistant uses at first: lower-case letters, digits and ``_``."""
        device = self.device_id(camera).lower().replace("_-", "_").replace("-", "_")
        return f"{platform}.{device}_{what}"

    def commanded(self, topic: str) -> tuple[str, str] | None:
        """The camera that a command is for, and what it commands; None if the topic is no command."""
        match topic.split("/"):
            case [first, camera, what, "set"] if first == self.base and what in (ARMED, BUDGET, VERDICT):
                return camera, what
        return None


_DOT = "-dot-"


def _without_dots(camera: str) -> str:
    """A camera's name with letters, digits, ``_`` and ``-`` only. Different names stay different.

    A name that ``-dot-`` alone could not be turned back into has all its ``-`` spelled out, too, and begins with ``-``,
    which no other does.
    """
    usual = camera.replace(".", _DOT)
    if usual.replace(_DOT, ".") == camera:
        return usual
    return "-" + "".join({".": _DOT, "-": "-dash-"}.get(letter, letter) for letter in camera)


def monitor_config(topics: Topics, node: str) -> dict[str, Any]:
    """The discovery message of the monitor: the hub that the cameras are connected through."""
    me = topics.device_id(None)
    return {
        "device": {
            "identifiers": [me],
            "name": f"True Sight {safe(node)}",
            "manufacturer": "True Sight",
            "model": "Monitor",
            "sw_version": __version__,
        },
        "origin": _ORIGIN,
        "components": {
            "running": {
                "platform": "binary_sensor",
                "unique_id": f"{me}_running",
                "default_entity_id": topics.entity_id("binary_sensor", None, "running"),
                "name": "Running",
                "device_class": "running",
                "entity_category": "diagnostic",
                "state_topic": topics.status,
                "payload_on": ONLINE,
                "payload_off": OFFLINE,
            }
        },
    }


def camera_config(topics: Topics, camera: str, *, picture: bool, commands: bool = True) -> dict[str, Any]:
    """The discovery message of a camera.

    picture   with the image of the last alert
    commands  with what Home Assistant can change; False: such entities of an earlier run are removed
    """
    device = topics.device_id(camera)
    hub = [{"topic": topics.status}]
    both = [*hub, {"topic": topics.of(camera, "available")}]

    def component(platform: str, what: str, name: str, **more: Any) -> dict[str, Any]:
        return {
            "platform": platform,
            "unique_id": f"{device}_{what}",
            "default_entity_id": topics.entity_id(platform, camera, what),
            "name": name,
            "availability": hub,
            **more,
        }

    def sensor(what: str, name: str, **more: Any) -> dict[str, Any]:
        return component("sensor", what, name, state_topic=topics.of(camera, what), **more)

    diagnostic = {"entity_category": "diagnostic"}
    # The connection of a camera depends on the monitor alone: otherwise it would vanish just when the camera drops.
    components = {
        "event": component(
            "event", "event", "Event", state_topic=topics.of(camera, "event"), event_types=list(EVENT_TYPES), qos=1
        ),
        "active": component(
            "binary_sensor",
            "active",
            "Anomaly",
            state_topic=topics.of(camera, "active"),
            device_class="problem",
            availability=both,
            availability_mode="all",
        ),
        "connected": component(
            "binary_sensor",
            "connected",
            "Connection",
            state_topic=topics.of(camera, "connected"),
            json_attributes_topic=topics.of(camera, "details"),
            device_class="connectivity",
            **diagnostic,
        ),
        "score": sensor(
            "score",
            "Score",
            state_class="measurement",
            suggested_display_precision=2,
            availability=both,
            availability_mode="all",
        ),
        "last_alert": sensor("last_alert", "Last alert", device_class="timestamp"),
        "alerts_today": sensor("alerts_today", "Alerts today", state_class="total_increasing"),
        "learning": sensor(
            "learning", "Learning progress", unit_of_measurement="%", state_class="measurement", **diagnostic
        ),
        "budget": sensor(
            "budget",
            "Alarms per day, measured",
            unit_of_measurement="alarms/d",
            state_class="measurement",
            **diagnostic,
        ),
    }
    changing = {
        ARMED: component(
            "switch",
            ARMED,
            "Armed",
            state_topic=topics.of(camera, ARMED),
            command_topic=topics.of(camera, f"{ARMED}/set"),
            qos=1,
        ),
        BUDGET: component(
            "number",
            BUDGET,
            "False alarms per day",
            state_topic=topics.of(camera, BUDGET),
            command_topic=topics.of(camera, f"{BUDGET}/set"),
            min=LEAST_SHOWN,
            max=MOST_SHOWN,
            step=LEAST_SHOWN,
            mode="box",
            unit_of_measurement="alarms/d",
            entity_category="config",
            qos=1,
        ),
        **{
            what: component(
                "button",
                what,
                name,
                command_topic=topics.of(camera, f"{VERDICT}/set"),
                payload_press=payload,
                qos=1,
            )
            for what, name, payload in (
                ("last_normal", "The last event was normal", NORMAL),
                ("last_real", "The last event was real", REAL),
                ("undo_last", "Undo the last verdict", UNDO),
            )
        },
        "answer": sensor("answer", "Last answer", **diagnostic),
    }
    # With its platform alone, Home Assistant removes an entity.
    components |= changing if commands else {what: {"platform": one["platform"]} for what, one in changing.items()}
    if picture:
        components[SNAPSHOT] = component(
            "image",
            SNAPSHOT,
            "Last alert",
            image_topic=topics.of(camera, SNAPSHOT),
            content_type="image/jpeg",
        )
    return {
        "device": {
            "identifiers": [device],
            "name": camera,
            "manufacturer": "True Sight",
            "model": "Camera",
            "sw_version": __version__,
            "via_device": topics.device_id(None),
        },
        "origin": _ORIGIN,
        "components": components,
    }
