"""Pictures that a running monitor shows of its cameras."""

from __future__ import annotations

import cv2
import numpy as np
import zmq

from monitor.alerts.control import Look
from monitor.alerts.previews import decode_preview, preview_topic
from monitor.client.controller import Controller
from monitor.sources.masked import GREY
from monitor.types import Image
from tests.helpers.real_monitor import DEADLINE_S, RealMonitor


def seen(monitor: RealMonitor, camera: str = "street") -> Image:
    """A picture that the camera shows from now on."""
    context: zmq.Context[zmq.Socket[bytes]] = zmq.Context()
    with Controller(monitor.address.alerts) as controller, context, context.socket(zmq.SUB) as socket:
        socket.linger = 0
        socket.connect(str(monitor.address.scores))
        socket.subscribe(preview_topic(camera, "picture"))
        assert controller.ask(Look(cameras=(camera,))).reply == "ok"
        for _ in range(3):  # one may have been made before
            assert socket.poll(round(1000 * DEADLINE_S))
            jpeg = decode_preview(socket.recv_multipart()).jpeg
    image = cv2.imdecode(np.frombuffer(jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image is not None
    return np.asarray(image, np.uint8)


def middle(image: Image) -> Image:
    """The part that a mask of these tests hides."""
    height, width = image.shape[:2]
    return image[int(0.4 * height) : int(0.6 * height), int(0.4 * width) : int(0.6 * width)]


def is_masked(image: Image) -> bool:
    """Whether the middle is hidden."""
    return int(np.abs(middle(image).astype(int) - GREY).max()) <= 12
