"""A broker for MQTT, and a client that notes what is sent there."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from monitor.testing.mosquitto import Mosquitto, Observer


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    with Mosquitto(tmp_path) as started:
        yield started


@pytest.fixture
def observer(broker: Mosquitto) -> Iterator[Observer]:
    with Observer(broker.port) as watching:
        yield watching
