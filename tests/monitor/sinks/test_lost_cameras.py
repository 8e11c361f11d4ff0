"""A lost camera is an alert: it begins once, ends once, and says why, also to a client that asks for no health."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.alerts.journal import Journal
from monitor.alerts.messages import AlertMessage, decode, encode
from monitor.alerts.publisher import Publisher
from monitor.client.items import Received
from monitor.client.lines import json_line, text_line
from monitor.reports import RunReport
from monitor.sinks.lost_cameras import Loss, LostCameras
from monitor.sinks.publish_sink import PublishSink
from monitor.states import AlertKind, CameraState, Phase
from monitor.testing.sink_contract import report_of
from tests.helpers.publishing import ANY, an_alert

ONLINE, OFFLINE, STALLED = CameraState.ONLINE, CameraState.OFFLINE, CameraState.STALLED


def at(second: float, state: CameraState, detail: str = "") -> RunReport:
    return RunReport(second, 0, (report_of("door", state, detail), report_of("yard")))


def play(cameras: LostCameras, *stretches: tuple[int, CameraState]) -> list[Loss]:
    """One report per second. Returns all alerts."""
    found, second = [], 0
    for seconds, state in stretches:
        for _ in range(seconds):
            found += cameras.update(at(float(second), state, "connection refused" if state is OFFLINE else ""))
            second += 1
    return found


def test_a_camera_that_stays_lost_is_one_alert_from_the_loss_to_the_return() -> None:
    start, end = play(LostCameras(10.0), (5, ONLINE), (30, OFFLINE), (20, ONLINE))
    assert start == Loss("door", 1, Phase.START, 5.0, None, "the camera is lost: connection refused")
    assert end == Loss("door", 1, Phase.END, 5.0, 35.0, "the camera is back")


LOST = [OFFLINE, STALLED, CameraState.FAILED, CameraState.UNSCORED, CameraState.MISFIT]


@pytest.mark.parametrize("lost", LOST)
def test_each_way_to_be_lost_counts_also_from_the_first_second(lost: CameraState) -> None:
    (start,) = play(LostCameras(10.0), (2, CameraState.CONNECTING), (12, lost))
    assert start.phase is Phase.START
    told = "not watched" if lost in (CameraState.UNSCORED, CameraState.MISFIT) else "lost"
    assert start.said.startswith(f"the camera is {told}: ")


@pytest.mark.parametrize("state", [s for s in CameraState if s not in LOST])
def test_no_other_state_is_a_loss(state: CameraState) -> None:
    assert play(LostCameras(10.0), (60, state)) == []


def test_a_short_break_is_no_alert_but_one_that_comes_and_goes_all_the_time_is() -> None:
    assert play(LostCameras(10.0), (5, ONLINE), (8, OFFLINE), (60, ONLINE), (8, OFFLINE), (60, ONLINE)) == []
    flapping = play(LostCameras(10.0), *[(3, OFFLINE), (2, ONLINE)] * 10, (20, ONLINE))
    assert [loss.phase for loss in flapping] == [Phase.START, Phase.END]


def test_a_camera_that_is_removed_or_a_run_that_ends_ends_the_alert() -> None:
    removed, ended = LostCameras(0.0), LostCameras(0.0)
    play(removed, (2, OFFLINE))
    play(ended, (2, OFFLINE))
    assert [loss.phase for loss in removed.removed("door")] == [Phase.END]
    assert [loss.phase for loss in ended.close()] == [Phase.END]
    assert removed.removed("door") == removed.close() == ended.close() == []


def test_a_dark_camera_is_an_alert_once_nothing_has_been_judged_for_a_minute() -> None:
    cameras, found = LostCameras(10.0), []
    for second in range(100):
        door = report_of("door", CameraState.DARK, "black", unwatched=second >= 60)
        found += cameras.update(RunReport(float(second), 0, (door,)))
    (start,) = found
    assert (start.started_s, start.said) == (60.0, "the camera is not watched: black")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([ONLINE, OFFLINE, STALLED, CameraState.DARK]), max_size=80), st.floats(0, 20))
def test_alerts_about_a_camera_alternate_and_are_numbered(states: Sequence[CameraState], after_s: float) -> None:
    cameras = LostCameras(after_s)
    losses = play(cameras, *((1, state) for state in states)) + cameras.close()
    for number, (start, end) in enumerate(zip(losses[::2], losses[1::2], strict=True), 1):
        assert (start.number, start.phase, end.number, end.phase) == (number, Phase.START, number, Phase.END)
        assert end.ended_s is not None
        assert start.started_s == end.started_s <= end.ended_s


def test_a_client_without_health_is_told_that_a_camera_is_lost_and_back(tmp_path: Path) -> None:
    with Journal(tmp_path / "journal.sqlite3") as journal, Publisher(ANY, ANY, ANY, journal=journal) as publisher:
        sink = PublishSink(publisher, lost_after_s=2.0)
        for second in range(30):
            sink.tick(at(float(second), OFFLINE if 5 <= second < 15 or second > 25 else ONLINE, "no route to host"))
        sink.end("done")
        rows = journal.page(0, ("alert/",), limit=100, max_bytes=10**6).entries
    kept = [decode([row.topic.encode(), row.body]).message for row in rows]
    alerts = [message for message in kept if isinstance(message, AlertMessage)]
    assert [(alert.phase, alert.about) for alert in alerts] == [
        (Phase.START, AlertKind.CAMERA_LOST),
        (Phase.END, AlertKind.CAMERA_LOST),
        (Phase.START, AlertKind.CAMERA_LOST),
        (Phase.END, AlertKind.CAMERA_LOST),
    ]
    start, end = alerts[:2]
    assert start.event_id == end.event_id == f"{publisher.epoch}-door-camera_lost-1"
    assert start.notify
    assert start.reasons[0].text == "the camera is lost: no route to host"
    assert (end.started_s, end.ended_s) == (5.0, 15.0)
    line = text_line(Received(start, None, 0))
    assert "door  START  camera lost" in line
    assert line.endswith("the camera is lost: no route to host")
    assert "camera was lost" in text_line(Received(end, None, 0))
    assert text_line(Received(end, None, 0)).endswith("the camera is back")
    assert '"kind": "alert"' in json_line(Received(start, None, 0))
    assert '"about": "camera_lost"' in json_line(Received(start, None, 0))


def test_a_message_of_an_older_or_a_newer_monitor_is_understood() -> None:
    older = an_alert().model_dump(mode="json", by_alias=True)
    del older["about"]
    assert AlertMessage.model_validate(older).about is AlertKind.ANOMALY
    newer = encode(an_alert()).replace(b'"about":"anomaly"', b'"about":"fire"')
    message = decode([b"alert/cam1/", newer]).message
    assert isinstance(message, AlertMessage)
    assert message.about == "fire"
    assert "START" in text_line(Received(message, None, 0))
