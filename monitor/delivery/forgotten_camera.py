"""Takes a camera out of what a receiver remembers. Pure."""

from __future__ import annotations

import json
import re
from typing import Any

from monitor.alerts.camera_ids import ids_of


def without_camera(state: str, camera: str) -> str:
    """The state of any receiver without what it remembers of a camera. A state without it comes back as it is.

    A state is JSON (``Receiver.dump``). Cameras are keys in it; ids of events and keys of notices are texts.
    """
    try:
        content = json.loads(state)
    except ValueError:
        return state
    cleared = _without(content, camera, ids_of(camera))
    return state if cleared == content else json.dumps(cleared)


def _without(content: Any, camera: str, ids: re.Pattern[str]) -> Any:
    if isinstance(content, dict):
        return {name: _without(each, camera, ids) for name, each in content.items() if name != camera}
    if isinstance(content, list):
        return [_without(each, camera, ids) for each in content if not (isinstance(each, str) and ids.fullmatch(each))]
    return "" if isinstance(content, str) and ids.fullmatch(content) else content
