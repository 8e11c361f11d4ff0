"""People are notified once per event, not at night, and never too often; the rest is one summary."""

from __future__ import annotations

import time
from typing import Any

import pytest

from monitor.alerts.message_parts import ReasonBody
from monitor.alerts.messages import AlertMessage, HealthMessage
from monitor.delivery.notice import Notice, Summary
from monitor.delivery.notify_policy import NotifyPolicy
from monitor.delivery.notify_settings import NotifySettings
from monitor.states import CAMERA_BACK, AlertKind, CameraState, Phase
from tests.helpers.publishing import an_alert

NOON = time.mktime((2026, 6, 1, 12, 0, 0, 0, 0, -1))


class Place:
    """A policy that is restarted after every message, on a clock that the test moves."""

    def __init__(self, **settings: Any) -> None:
        self.settings = NotifySettings(url="json://localhost", **settings)
        self.now = NOON
        self.policy = NotifyPolicy(self.settings)
        self.sent: list[Notice] = []
        self._count = 0

    @property
    def keys(self) -> list[str]:
        return [notice.key for notice in self.sent]

    def alert(self, event_id: str, phase: Phase = Phase.START, camera: str = "door", **changes: Any) -> None:
        self._count += 1
        message: AlertMessage = an_alert(
            self._count,
            camera=camera,
            event_id=event_id,
            phase=phase,
            sent_at=self.now,
            position=self._count,
            **changes,
        )
        self._keep(self.policy.alert(message, None, self.now))

    def health(self, state: CameraState, camera: str = "door") -> None:
        self._count += 1
        message = HealthMessage(
            schema=1, node="lab", epoch="e1", seq=self._count, sent_at=self.now, position=self._count, camera=camera,
            state=state, since=self.now,
        )  # fmt: skip
        self._keep(self.policy.health(message, self.now))

    def pass_time(self, seconds: float) -> None:
        """Let time pass; look when the policy asks for it."""
        ends_at = self.now + seconds
        while True:
            self._keep(self.policy.due(self.now))
            wait_s = self.policy.due_in(self.now)
            assert wait_s > 0
            if self.now + wait_s >= ends_at:
                self.now = ends_at
                self._keep(self.policy.due(self.now))
                return
            self.now += wait_s

    def _keep(self, notice: Notice | None) -> None:
        if notice is not None:
            self.sent.append(notice)
        text = self.policy.dump()
        self.policy = NotifyPolicy(self.settings)
        self.policy.load(text)
        assert self.policy.dump() == text


def said(text: str) -> ReasonBody:
    return ReasonBody(term="no frame for", value=12.0, usual=0.0, unit="s", text=text)


def test_an_event_notifies_once_at_its_first_message_that_notifies() -> None:
    place = Place()
    place.alert("loud")
    place.alert("loud", Phase.UPDATE)
    place.alert("loud", Phase.END)
    place.alert("quiet", notify=False)
    place.alert("quiet", Phase.UPDATE, notify=True)
    place.alert("quiet", Phase.UPDATE, notify=True)
    place.alert("quiet", Phase.END, notify=True)
    assert place.keys == ["loud:start", "quiet:notify"]


def test_a_lost_camera_notifies_and_so_does_its_return() -> None:
    place = Place()
    place.alert("lost", about=AlertKind.CAMERA_LOST)
    place.alert("lost", Phase.END, about=AlertKind.CAMERA_LOST, reasons=(said(CAMERA_BACK),))
    assert place.keys == ["lost:start", "lost:end"]


@pytest.mark.parametrize("why", ["the monitor has ended, and the camera is still lost", "the camera is lost: offline"])
def test_a_lost_camera_is_not_back_when_the_run_ends(why: str) -> None:
    place = Place()
    place.alert("lost", about=AlertKind.CAMERA_LOST)
    place.alert("lost", Phase.END, about=AlertKind.CAMERA_LOST, reasons=(said(why),))
    assert place.keys == ["lost:start"]


def test_only_chosen_cameras_notify() -> None:
    place = Place(cameras=["door"])
    place.alert("other", camera="yard")
    place.alert("mine")
    assert place.keys == ["mine:start"]


def test_above_the_limit_one_summary_comes_at_the_end_of_the_period() -> None:
    place = Place(at_most=3, period_s=600)
    for number in range(10):
        place.alert(f"e{number}", camera="door" if number % 2 else "yard")
        place.pass_time(10)
    assert place.keys == ["e0:start", "e1:start", "e2:start"]
    place.pass_time(490)
    assert len(place.sent) == 3
    place.pass_time(20)
    assert place.keys[3:] == ["e3:start:summary"]
    summary = place.sent[3].message
    assert isinstance(summary, Summary)
    assert summary.held == {"door": 4, "yard": 3}
    place.alert("later")
    assert place.keys[4:] == ["later:start"]


def test_in_quiet_hours_nothing_is_sent_but_a_summary_afterwards() -> None:
    place = Place(quiet=["12:30-13:30"], per_camera={"yard": {"quiet": []}})
    place.now = NOON + 1800
    place.alert("held")
    place.alert("loud", camera="yard")
    place.pass_time(3590)
    assert place.keys == ["loud:start"]
    place.pass_time(60)
    assert place.keys == ["loud:start", "held:start:summary"]


def test_what_happened_in_quiet_hours_is_not_urgent_when_it_comes_late() -> None:
    place = Place(quiet=["12:30-13:30"])
    message = an_alert(1, event_id="e", sent_at=NOON + 1900, position=1)
    assert place.policy.alert(message, None, NOON + 7200) is None
    notice = place.policy.due(NOON + 7200)
    assert notice is not None
    assert isinstance(notice.message, Summary)


def test_a_problem_that_lasts_notifies_and_its_end_too() -> None:
    place = Place(health_after_s=300)
    place.health(CameraState.MOVED)
    place.pass_time(200)
    place.health(CameraState.DEFOCUSED)  # it lasts since the first problem
    assert place.sent == []
    place.pass_time(101)
    assert len(place.sent) == 1
    told = place.sent[0].message
    assert isinstance(told, HealthMessage)
    assert told.state == CameraState.DEFOCUSED
    assert place.now - place.sent[0].at < 2, "it is not late"
    place.pass_time(1000)
    place.health(CameraState.MOVED)
    place.pass_time(1000)
    assert len(place.sent) == 1, "it is told once"
    place.health(CameraState.ONLINE)
    assert len(place.sent) == 2
    assert place.policy.due_in(place.now) == float("inf")


def test_a_short_problem_and_one_that_is_not_chosen_say_nothing() -> None:
    place = Place(health_after_s=300)
    place.health(CameraState.MOVED)
    place.pass_time(299)
    place.health(CameraState.ONLINE)
    place.health(CameraState.DARK)
    place.pass_time(10_000)
    assert place.sent == []


@pytest.mark.parametrize("text", ["", "nonsense", "{}", '{"sent": "x"}', '{"problems": {"door": {}}}', "[]"])
def test_a_state_that_makes_no_sense_begins_anew(text: str) -> None:
    policy = NotifyPolicy(NotifySettings(url="json://localhost"))
    policy.load(text)
    assert policy.alert(an_alert(position=1, sent_at=NOON), None, NOON) is not None


def test_a_clock_that_jumps_does_not_silence_for_ever() -> None:
    place = Place(at_most=1, period_s=600)
    place.now = NOON + 1e8
    place.alert("ahead")
    place.now = NOON
    place.alert("back")
    assert place.keys == ["ahead:start", "back:start"]
