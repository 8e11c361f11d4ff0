"""Recognises a camera in texts that the monitor has stored: its name, and the ids of its events. Pure."""

from __future__ import annotations

import re

_EPOCH = r"(?:[0-9a-f]{16}-[0-9a-f]{8}|[^\s-]+)"  # see ``new_epoch`` in ``monitor.alerts.messages``


def ids_of(camera: str) -> re.Pattern[str]:
    """Matches the ids of a camera's events, and keys of notices about them: ``EPOCH-CAMERA-7``, ``...-7:start``."""
    return re.compile(rf"{_EPOCH}-{re.escape(camera)}-(?:camera_lost-|health-)?\d+(?::\S*)?")


def names(text: str, camera: str) -> bool:
    """Whether a sentence names a camera: its name as a whole word, or the id of an event of it."""
    word = rf"(?<![\w.-]){re.escape(camera)}(?![\w-]|\.\w)"
    return re.search(rf"{word}|(?<!\S){ids_of(camera).pattern}(?![\w-])", text) is not None
