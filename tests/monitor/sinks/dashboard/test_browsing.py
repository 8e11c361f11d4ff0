from __future__ import annotations

import io
import math
import time
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console

from monitor.alerts.messages import AlertMessage
from monitor.reports import CameraReport, RunReport
from monitor.sinks.dashboard.browser import Browser
from monitor.sinks.dashboard.camera_table import visible_cameras
from monitor.sinks.dashboard.screen import Dashboard, RunTitle
from monitor.states import CameraState, Phase
from tests.helpers.alert_messages import an_alert_message
from tests.monitor.sinks.dashboard.test_dashboard import alert, camera, dashboard, lines

KEYS = ["up", "down", "page up", "page down", "home", "end", "tab", "enter", "escape", "a"]


def report(*cameras: CameraReport) -> RunReport:
    return RunReport(65.0, 3, cameras)


def many(count: int) -> tuple[CameraReport, ...]:
    return tuple(camera(f"camera-{number}", score=number / 100) for number in range(count))


@pytest.mark.parametrize("cameras", [1, 4, 14])
@pytest.mark.parametrize(("width", "height"), [(60, 15), (60, 12), (80, 24), (120, 40)])
@pytest.mark.parametrize("alerts", [0, 9])
def test_every_terminal_shows_cameras_and_alerts(width: int, height: int, cameras: int, alerts: int) -> None:
    board = dashboard()
    for number in range(alerts):
        board.alert(alert("camera-0", number, Phase.END), camera("camera-0"))
    shown = lines(board, report(*many(cameras)), width, height)
    assert len(shown) <= height
    assert max(map(len, shown)) <= width
    text = "\n".join(shown)
    rows = [line for line in shown if "camera-" in line and "▆" in line]
    assert len(rows) >= min(cameras, 2)
    for row in rows:
        assert " online " in row
        assert "▁▆ " in row, "no column is cut in the middle"
    if len(rows) < cameras:
        assert f"{len(rows)} of {cameras} cameras" in text
    assert "none yet" in text if not alerts else "1.75" in text


@pytest.mark.parametrize("width", [60, 70, 80, 100, 120])
@pytest.mark.parametrize("state", list(CameraState))
def test_no_column_is_cut_however_long_the_state(width: int, state: CameraState) -> None:
    row = replace(camera("a-name-of-24-characters", state), score=-12.34, dropped=1234567, reconnects=12345)
    shown = lines(dashboard(), report(row), width, 24)
    head, line = next((above, line) for above, line in pairwise(shown) if f" {state} " in line)
    assert line.split()[2] == state
    cells = line.strip("│ ").split()
    last = head.strip("│ ").split()[-1]
    assert "…" not in line.replace(cells[0], "", 1) or last == "detail"


def test_with_many_cameras_rows_stay_in_place_though_scores_move() -> None:
    calm = many(14)
    first = [each.name for each in visible_cameras(calm, 6)]
    moved = [replace(each, score=1 - each.score) for each in calm]
    assert [each.name for each in visible_cameras(moved, 6)] == first == [f"camera-{n}" for n in range(5)]
    troubled = [*calm[:12], replace(calm[12], state=CameraState.OFFLINE), replace(calm[13], alarmed=True)]
    assert [each.name for each in visible_cameras(troubled, 6)][:2] == ["camera-13", "camera-12"]
    text = "\n".join(lines(dashboard(), report(*troubled[:13], calm[13]), 60, 15))
    assert "more: " in text
    assert " online" in text


@pytest.mark.parametrize("selected", range(14))
@pytest.mark.parametrize("rows", [1, 2, 3, 6, 14])
def test_the_selected_camera_is_always_shown(selected: int, rows: int) -> None:
    shown = [each.name for each in visible_cameras(many(14), rows, f"camera-{selected}")]
    assert f"camera-{selected}" in shown
    assert 1 <= len(shown) <= rows
    assert shown == [f"camera-{n}" for n in range(int(shown[0][7:]), int(shown[0][7:]) + len(shown))]


@given(st.lists(st.sampled_from(KEYS), max_size=30), st.integers(0, 5), st.integers(0, 5))
def test_no_key_selects_what_is_not_there(keys: list[str], cameras: int, alerts: int) -> None:
    names, events = [f"c{n}" for n in range(cameras)], [("c", n) for n in range(alerts)]
    browser = Browser()
    for key in keys:
        browser.press(key, names, events)
        assert browser.camera is None or browser.camera in names
        assert browser.alert is None or browser.alert in events
        assert not browser.details or (browser.alert if browser.alerts else browser.camera) is not None
    browser.forget([], [])
    assert (browser.camera, browser.alert, browser.details) == (None, None, False)


def pressed(board: Dashboard, run: RunReport, *keys: str) -> None:
    for key in keys:
        if board._browser.press(key, [each.name for each in run.cameras], board._alerts.keys) == "seen":
            board._alerts.acknowledge()


@pytest.mark.parametrize(("width", "height"), [(60, 15), (80, 24), (120, 40)])
def test_enter_shows_the_details_of_a_row_and_escape_the_list_again(width: int, height: int) -> None:
    board, run = dashboard(), report(replace(camera("gate"), detail="a long detail " * 3), camera("yard"))
    board.alert(alert("yard", 1, Phase.END), camera("yard"))
    pressed(board, run, "enter")
    shown = lines(board, run, width, height)
    assert len(shown) <= height
    text = " ".join(" ".join(shown).split())
    assert "the selected camera" in text
    assert "1000 received, 400 analysed, 12345 dropped" in text
    pressed(board, run, "tab", "enter")
    text = "\n".join(lines(board, run, width, height))
    assert "the selected alert" in text
    assert "1.75 (1.00 is the threshold)" in text
    pressed(board, run, "escape")
    assert "last alerts" in "\n".join(lines(board, run, width, height))


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
def test_a_long_reason_takes_two_lines_of_the_list_and_is_whole_in_the_details(width: int, height: int) -> None:
    board, run = dashboard(), report(*many(6))
    for number in range(3):
        loud = alert("camera-0", number, Phase.END)
        reason = replace(loud.reasons[0], term=f"begins{number} " + "movement " * 40 + "to the left")
        board.alert(replace(loud, reasons=(reason,)), camera("camera-0"))
    listed = lines(board, run, width, height)
    assert len(listed) <= height
    begun = [number for number, line in enumerate(listed) if "begins" in line]
    assert len(begun) == 3
    assert begun[1] - begun[0] == 2
    assert "to the left" not in "".join(listed)
    pressed(board, run, "tab", "enter")
    shown = lines(board, run, width, height)
    assert len(shown) <= height
    whole = " ".join(" ".join(line.strip("│ ") for line in shown).split())
    assert "begins2 movement" in whole
    assert "to the left 4.1 px/s, usual here up to 1.6 px/s" in whole


def test_a_camera_that_leaves_takes_its_details_along() -> None:
    board, run = dashboard(), report(camera("gate"), camera("yard"))
    pressed(board, run, "down", "down", "enter")
    text = "\n".join(lines(board, report(camera("gate")), 80, 24))
    assert "the selected camera" not in text


def test_new_alerts_are_counted_until_they_are_seen() -> None:
    board, run = dashboard(), report(camera("yard"))
    for number in (1, 2):
        board.alert(alert("yard", number, Phase.START), camera("yard"))
    assert "last alerts · 2 new" in "\n".join(lines(board, run, 80, 24))
    pressed(board, run, "a")
    assert " new " not in "\n".join(lines(board, run, 80, 24))
    board.alert(alert("yard", 2, Phase.END), camera("yard"))
    assert " new " not in "\n".join(lines(board, run, 80, 24)), "the end of a seen event is no news"
    board.alert(alert("yard", 3, Phase.START), camera("yard"))
    assert "last alerts · 1 new" in "\n".join(lines(board, run, 80, 24))


def message(event: str, phase: Phase, started_at: float, *, ended: bool, reason: str = "speed") -> AlertMessage:
    return an_alert_message(
        event_id=event,
        phase=phase,
        started_at=started_at,
        ended_at=started_at + 5 if ended else None,
        ended_s=15.0 if ended else None,
        reasons=[{"term": reason, "value": 4.0, "usual": 1.0, "unit": "px/s", "text": f"{reason} 4 px/s"}],
    )


def test_alerts_of_earlier_runs_are_shown_and_not_counted_as_new() -> None:
    board, run = dashboard(), report(camera("yard"))
    hours_ago, days_ago = time.time() - 3600, time.time() - 3 * 86_400
    board.remember(
        [
            message("e1", Phase.START, days_ago, ended=False),
            message("e2", Phase.START, hours_ago, ended=False, reason="size"),
            message("e2", Phase.END, hours_ago, ended=True, reason="size"),
        ]
    )
    shown = lines(board, run, 80, 24)
    text = "\n".join(shown)
    assert " new " not in text
    first, second = (line for line in shown if "3.50" in line)
    assert "5.0 s size 4 px/s" in first
    assert time.strftime("%d %b", time.localtime(days_ago)) in second
    assert "cut off speed 4 px/s" in second, "no end of it is known"
    board.alert(alert("yard", 1, Phase.START), camera("yard"))
    assert "last alerts · 1 new" in "\n".join(lines(board, run, 80, 24))
    console = Console(file=io.StringIO(), width=80)
    closing = Dashboard(console, RunTitle("n", "cpu", "m", "e", 1.0))
    closing.remember([message("e1", Phase.END, days_ago, ended=True)])
    with console.capture() as capture:
        console.print(closing.last_alerts(""))
    assert "none yet" in capture.get(), "the closing list is about this run"


def test_a_score_that_is_not_known_needs_no_room() -> None:
    text = "\n".join(lines(dashboard(), report(replace(camera("gate"), score=math.nan)), 60, 15))
    assert "nan" not in text
