"""Decides what people are notified of, and when: schedules, limits, summaries, problems that last. Pure.

Its state is stored together with the position in the journal, so a restart neither repeats nor forgets anything.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from monitor.alerts.messages import AlertMessage, HealthMessage
from monitor.delivery.notice import EventSteps, Notice, Summary
from monitor.delivery.notify_settings import NotifySettings
from monitor.states import CAMERA_BACK, AlertKind, CameraState, Phase

LOOK_EVERY_S = 10.0
"""While something is held back, the policy looks this often whether it can be sent, seconds."""
_MOST_OPEN = 1000
_Key = Annotated[str, Field(max_length=300)]


class _Problem(BaseModel):
    """A problem of a camera that has not ended.

    message  the message that began it
    told     people have been notified
    """

    message: HealthMessage
    told: bool = False


class PolicyState(BaseModel):
    """What a policy remembers.

    quiet         events that have notified nobody yet
    lost          lost cameras that people were notified of
    window_at     when the present period began, unix seconds
    sent          notifications in it
    held          camera -> notifications held back
    held_key      key of the first of them
    held_at       when it came, unix seconds
    problems      camera -> its problem
    """

    model_config = ConfigDict(validate_assignment=False)

    quiet: list[_Key] = Field(default_factory=list, max_length=_MOST_OPEN)
    lost: list[_Key] = Field(default_factory=list)
    window_at: float = 0.0
    sent: int = 0
    held: dict[str, int] = Field(default_factory=dict)
    held_key: str = ""
    held_at: float = 0.0
    problems: dict[str, _Problem] = Field(default_factory=dict)


class NotifyPolicy:
    """All times are unix seconds."""

    def __init__(self, settings: NotifySettings) -> None:
        self._settings = settings
        self._health = frozenset(settings.health)
        self._steps = EventSteps()
        self._state = PolicyState()

    def load(self, text: str) -> None:
        """Continue with a state of ``dump``. What is not one is ignored."""
        try:
            self._state = PolicyState.model_validate_json(text)
        except ValidationError:
            return
        self._steps = EventSteps(state=self._state.quiet)

    def dump(self) -> str:
        """The state as text."""
        self._state.quiet = self._steps.quiet
        return self._state.model_dump_json(by_alias=True)

    def alert(self, message: AlertMessage, jpeg: bytes | None, now: float) -> Notice | None:
        """An alert: notify at the first message that notifies, and when a lost camera is back."""
        key = self._steps.key(message)
        if key is None or not self._wanted(message.camera) or not self._settings.alerts:
            return None
        lost = self._state.lost
        if message.phase is Phase.END:
            if message.event_id not in lost:
                return None
            lost.remove(message.event_id)
            if not any(reason.text == CAMERA_BACK for reason in message.reasons):
                return None  # the run has ended, or the camera is no longer watched
        elif not message.notify:
            return None
        elif message.about == AlertKind.CAMERA_LOST:
            lost.append(message.event_id)
            del lost[:-_MOST_OPEN]
        return self._sent_or_held(Notice(key, message, jpeg), now)

    def health(self, message: HealthMessage, now: float) -> Notice | None:
        """A camera's state: a problem that lasts notifies later, by ``due``; the end of one that notified does now."""
        problems, camera = self._state.problems, message.camera
        if str(message.state) in self._health:
            begun = problems.get(camera)
            if begun is None:
                problems[camera] = _Problem(message=message)
            elif not begun.told:  # one problem after another: it lasts since the first, but this is what it is now
                problems[camera] = _Problem(message=message.model_copy(update={"since": begun.message.since}))
            return None
        problem = problems.pop(camera, None)
        over = message.state in (CameraState.ONLINE, CameraState.SCENE_CHANGE)
        if problem is None or not problem.told or not over or not self._wanted(camera):
            return None
        return self._sent_or_held(Notice(_health_key(message), message), now)

    def due(self, now: float) -> Notice | None:
        """A problem that has lasted, or the summary of what was held back."""
        for camera, problem in self._state.problems.items():
            if problem.told or now - problem.message.since < self._settings.health_after_s:
                continue
            problem.told = True
            if self._wanted(camera):
                # It is due now. Its age would otherwise count from the beginning of the problem.
                notice = Notice(_health_key(problem.message), problem.message.model_copy(update={"sent_at": now}))
                if (sent := self._sent_or_held(notice, now)) is not None:
                    return sent
        return self._summary(now)

    def due_in(self, now: float) -> float:
        """Seconds until ``due`` may return something."""
        waits = [
            max(0.1, problem.message.since + self._settings.health_after_s - now)
            for problem in self._state.problems.values()
            if not problem.told
        ]
        return min([*waits, LOOK_EVERY_S if self._state.held else math.inf])

    def _wanted(self, camera: str) -> bool:
        cameras = self._settings.cameras
        return cameras is None or camera in cameras

    def _is_quiet(self, camera: str, at: float) -> bool:
        times = self._settings.quiet_times(camera)
        return times is not None and times.covers(at)

    def _sent_or_held(self, notice: Notice, now: float) -> Notice | None:
        """The notice if it may be sent now, otherwise None: then it is counted for the summary."""
        assert not isinstance(notice.message, Summary)
        camera, state = notice.message.camera, self._state
        # A late notice must not disturb a quiet time; what happened in one does not become urgent after it.
        quiet = self._is_quiet(camera, now) or self._is_quiet(camera, notice.at)
        if not quiet and self._has_room(now):
            state.sent += 1
            return notice
        if not state.held:
            state.held_key, state.held_at = notice.key, notice.at
        state.held[camera] = state.held.get(camera, 0) + 1
        return None

    def _has_room(self, now: float) -> bool:
        """Whether the period allows another notification. A new period begins with the first one after the last."""
        state = self._state
        if not 0 <= now - state.window_at < self._settings.period_s:
            state.window_at, state.sent = now, 0
        return state.sent < self._settings.at_most

    def _summary(self, now: float) -> Notice | None:
        """One notice for all that was held back, once no camera of it is quiet and the period is over."""
        state = self._state
        if not state.held or any(self._is_quiet(camera, now) for camera in state.held):
            return None
        if 0 <= now - state.window_at < self._settings.period_s and state.sent >= self._settings.at_most:
            return None
        self._has_room(now)
        state.sent += 1
        held: Mapping[str, int] = dict(state.held)
        state.held.clear()
        return Notice(f"{state.held_key}:summary", Summary(sent_at=now, since=state.held_at, held=held))


def _health_key(message: HealthMessage) -> str:
    return f"{message.epoch}-{message.camera}-health-{message.seq}"
