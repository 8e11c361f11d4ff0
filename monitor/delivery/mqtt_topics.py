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
EVENT_TYPES = ("anomaly", "camera_lost", "repeated", "recorded", "ended", "health")

_ORIGIN = {"name": "True Sight", "sw_version": __version__}
_CAMERA_STATES = (
    "available", "active", "connected", "score", "last_alert", "alerts_today", "learning", "budget", "armed", "details",
    "snapshot",
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
        return f"{self.base}/+/armed/set"

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
        # A camera "a.b" must differ from "a_b", and a dot is not allowed.
        return self.base if camera is None else f"{self.base}_{camera.replace('.', '-dot-')}"

    def entity_id(self, platform: str, camera: str | None, what: str) -> str:
        """The entity id that Home Assistant uses at first: lower-case letters, digits and ``_``."""
        device = self.device_id(camera).lower().replace("-", "_")
        return f"{platform}.{device}_{what}"

    def commanded(self, topic: str) -> str | None:
        """The camera that a command is for; None if the topic is no command."""
        first, _, rest = topic.partition("/")
        camera, _, what = rest.partition("/")
        return camera if first == self.base and what == "armed/set" else None


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


def camera_config(topics: Topics, camera: str, *, picture: bool) -> dict[str, Any]:
    """The discovery message of a camera. picture: with the image of the last alert."""
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
        "armed": component(
            "switch",
            "armed",
            "Armed",
            state_topic=topics.of(camera, "armed"),
            command_topic=topics.of(camera, "armed/set"),
            qos=1,
        ),
    }
    if picture:
        components["snapshot"] = component(
            "image",
            "snapshot",
            "Last alert",
            image_topic=topics.of(camera, "snapshot"),
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
