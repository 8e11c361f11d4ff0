"""Commands that come over MQTT: what they ask for at the control desk. Pure, except for the clock of the limit."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import ValidationError

from monitor.alerts.control import LAST, Arm, Budget, ControlReply, ControlRequest, Feedback, Undo
from monitor.delivery.mqtt_topics import ARMED, BUDGET, NORMAL, OFF, ON, REAL, UNDO, VERDICT
from monitor.errors import UsageError, first_problem

BURST, PER_S = 20.0, 1.0
"""Commands of all cameras together: at most BURST at once, and PER_S per second in the long run."""
_LONGEST = 32


@dataclass(frozen=True, slots=True)
class Controls:
    """How MQTT reaches the desk, and what it shows. Any thread may call these functions.

    ask     has a request answered; the reply comes in another thread. False: too many wait already
    budget  the budget of a camera, false alarms per day
    armed   whether a camera is armed
    """

    ask: Callable[[ControlRequest, Callable[[ControlReply], None]], bool]
    budget: Callable[[str], float]
    armed: Callable[[str], bool]


def command_request(camera: str, what: str, payload: bytes, shown: str = "") -> ControlRequest:
    """What a command asks for. Raises UsageError for a payload that makes no sense.

    what   ARMED, BUDGET or VERDICT
    shown  id of the event whose picture is shown, which a verdict is about; empty: the last one that notified
    """
    text = payload.decode("ascii", "replace").strip() if len(payload) <= _LONGEST else ""
    if what == ARMED and text.upper() in (ON, OFF):
        return Arm(camera=camera, armed=text.upper() == ON)
    if what == VERDICT and text in (NORMAL, REAL):
        return Feedback(event=shown or LAST, verdict=text, camera=camera)
    if what == VERDICT and text == UNDO:
        return Undo(event=LAST, camera=camera)
    if what == BUDGET:
        return _budget(camera, text)
    raise UsageError(f"{camera}: a command is not understood: send {_EXPECTED.get(what, 'nothing')} to .../{what}/set")


def _budget(camera: str, text: str) -> Budget:
    try:
        per_day = float(text)
    except ValueError:
        per_day = math.nan
    if not math.isfinite(per_day):
        raise UsageError(f"{camera}: the budget is not a number: send {_EXPECTED[BUDGET]} to .../{BUDGET}/set")
    try:
        return Budget(camera=camera, per_day=per_day)
    except ValidationError as error:
        raise UsageError(f"{camera}: the budget cannot be set: {first_problem(error)[1]}") from None


_EXPECTED = {
    ARMED: f"{ON} or {OFF}",
    BUDGET: "false alarms per day, such as 0.5",
    VERDICT: f"{NORMAL}, {REAL} or {UNDO}",
}


class CommandLimit:
    """Refuses a flood of commands. now: seconds of a steady clock."""

    def __init__(self) -> None:
        self._left, self._filled_at = BURST, -math.inf

    def admits(self, now: float) -> bool:
        """Whether one more command may be obeyed."""
        self._left = min(BURST, self._left + PER_S * max(0.0, now - self._filled_at))
        self._filled_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
