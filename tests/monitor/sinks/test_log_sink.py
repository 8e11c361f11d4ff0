"""The log lines of alerts."""

from __future__ import annotations

from dataclasses import replace

import pytest

from monitor.judging.camera_monitor import Alert
from monitor.sinks.log_sink import LogSink
from monitor.states import Phase
from monitor.testing.fakes import monitor_of
from monitor.testing.sink_contract import play, report_of


def test_a_quiet_alert_that_gets_worse_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    sink, silent = LogSink(), LogSink()
    start, *_, end = play(silent, monitor_of("door"), [25] * 3 + [200] * 4 + [25] * 4)
    caplog.clear()

    def step(phase: Phase, *, notify: bool) -> Alert:
        ended_s = end.event.ended_s if phase is Phase.END else None
        return replace(start, event=replace(start.event, phase=phase, notify=notify, ended_s=ended_s))

    for alert in (
        step(Phase.START, notify=False),
        step(Phase.UPDATE, notify=False),
        step(Phase.UPDATE, notify=True),
        step(Phase.UPDATE, notify=True),
        step(Phase.END, notify=True),
    ):
        sink.alert(alert, report_of("door"))
    first, second, third = caplog.messages
    assert "repeats an alert" in first
    assert second.startswith("door: alert 1 notifies from now on, score ")
    assert "ends after" in third
    assert "repeats" not in third
