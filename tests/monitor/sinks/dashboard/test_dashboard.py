import io
import logging
import math
import time
from dataclasses import replace

import pytest
from rich.console import Console

from monitor.judging.camera_monitor import Alert, Judgement
from monitor.reports import CameraReport, Progress, RunReport
from monitor.sinks.dashboard.screen import Dashboard, RunTitle
from monitor.sinks.dashboard.style import sparkline
from monitor.sinks.dashboard.summary import summary
from monitor.sinks.log_sink import LogSink
from monitor.states import AlertEvent, CameraState, Phase, Reason
from monitor.testing.fakes import brightness_scale, judgement, scored

TITLE = RunTitle("node-1", "cpu", "street@01234567", "tcp://127.0.0.1:5560", 1.0)

SCALE = brightness_scale()


def camera(
    name: str, state: CameraState = CameraState.ONLINE, *, alarmed: bool = False, score: float = 0.3
) -> CameraReport:
    return CameraReport(
        name=name,
        source="rtsp://host/path",
        state=state,
        since=0.0,
        detail="",
        score=score,
        alarmed=alarmed,
        history=(0.1,) * 59 + (1.2,),
        fps_in=25.0,
        fps_analysed=10.0,
        age_p50_s=0.012,
        age_p99_s=0.145,
        frames_in=1000,
        analysed=400,
        dropped=12345,
        reconnects=7,
        stalls=1,
        missing=3,
        unreadable=2,
        events=2,
    )


def alert(name: str, number: int, phase: Phase) -> Alert:
    ended = 14.5 if phase is Phase.END else None
    event = AlertEvent(number, phase, 10.0, ended, 1.2, 1.75, 11.0, notify=True)
    reason = Reason("speed", 4.1, 1.6, "px/s")
    return Alert(name, event, time.time(), None, 0.0, scored(0.0), (), (reason,), SCALE)


def lines(dashboard: Dashboard, report: RunReport, width: int, height: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height)
    with console.capture() as capture:
        console.print(dashboard.render(report, width, height))
    return capture.get().splitlines()


def dashboard() -> Dashboard:
    return Dashboard(Console(file=io.StringIO()), TITLE)


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40), (200, 50)])
@pytest.mark.parametrize("cameras", [1, 4, 40])
def test_everything_fits_the_terminal_and_what_matters_is_there(width: int, height: int, cameras: int) -> None:
    board = dashboard()
    calm = [camera(f"camera-{i}") for i in range(cameras - 1)]
    report = RunReport(3723.0, 5, (*calm, camera("alarmed", alarmed=True, score=1.23)))
    for number in range(30):
        board.alert(alert("alarmed", number, Phase.START), report.cameras[-1])
        board.alert(alert("alarmed", number, Phase.END), report.cameras[-1])
    shown = lines(board, report, width, height)
    assert len(shown) <= height
    assert max(map(len, shown)) <= width
    text = "\n".join(shown)
    for needed in ("1:02:03", "queue 5", "device cpu", "street@", "1 false alarm per day"):
        assert needed in text
    assert ("reconn" if width >= 120 else " rec ") in text
    row = next(line for line in shown if "ALARM" in line)
    for needed in ("1.23", "1.00", "25", "10", "12/145", "12345", "7", "▆"):
        assert needed in row
    assert "4.5 s" in text
    assert "1.75" in text
    assert "speed 4.1" in text
    if cameras == 40:
        assert "more" in text


@pytest.mark.parametrize("width", [1, 5, 12, 20, 40])
@pytest.mark.parametrize("height", [1, 4, 10])
def test_a_terminal_that_is_much_too_small_shows_what_fits(width: int, height: int) -> None:
    with Dashboard(Console(file=io.StringIO(), force_terminal=True, width=width, height=height), TITLE) as board:
        logging.getLogger("monitor").warning("front-door: the camera is lost, trying again in 4 s")
        board.alert(alert("front-door", 1, Phase.START), camera("front-door"))
        assert lines(board, RunReport(0.0, 0, (camera("front-door"),)), width, height)


def test_states_are_words_that_fit_80_columns() -> None:
    report = RunReport(1.0, 0, tuple(camera(state.value[:5], state) for state in CameraState))
    text = "\n".join(lines(dashboard(), report, 80, 40))  # enough rows for all of them
    for state in CameraState:
        assert state in text


def test_before_the_first_score_there_is_no_number() -> None:
    fresh = replace(camera("a"), score=math.nan, history=(), age_p50_s=None)
    text = "\n".join(lines(dashboard(), RunReport(0.0, 0, (fresh,)), 80, 24))
    assert "nan" not in text
    assert "none yet" in text


def test_the_last_log_lines_are_shown_without_a_password() -> None:
    with Dashboard(Console(file=io.StringIO(), force_terminal=True, width=100, height=30), TITLE) as board:
        logging.getLogger("monitor.test").warning("lost %s", "rtsp://user:hunter2@host/path")
        text = "\n".join(lines(board, RunReport(0.0, 0, (camera("a"),)), 100, 30))
    assert "lost rtsp://***@host/path" in text
    assert "hunter2" not in text


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
@pytest.mark.parametrize("cameras", [1, 40])
def test_long_log_lines_are_wrapped_and_end_with_what_to_do(width: int, height: int, cameras: int) -> None:
    report = RunReport(0.0, 0, tuple(camera(f"camera-{i}") for i in range(cameras)))
    with Dashboard(Console(file=io.StringIO(), force_terminal=True, width=width, height=height), TITLE) as board:
        log = logging.getLogger("monitor.test")
        log.info("an old line")
        log.warning("yard: %s: copy the file again", "nothing could be read " * 8)
        shown = lines(board, report, width, height)
        assert len(shown) <= height
        assert max(map(len, shown)) <= width
        text = " ".join(" ".join(shown).split())
        assert "nothing could be read : copy the file again" in text
        log.warning("gate: %s: look at https://camera.example/help", "it went wrong and wrong again " * 40)
        shown = lines(board, report, width, height)
    assert len(shown) <= height
    text = " ".join(" ".join(shown).split())
    assert "gate: it went wrong" in text
    assert "..." in text
    assert text.endswith("again : look at https://camera.example/help")


def test_how_far_a_camera_is_with_learning_stands_beside_it_and_in_words() -> None:
    learner = replace(camera("a", CameraState.LEARNING), progress=Progress(0.43, "learning motion", 12.0))
    text = "\n".join(lines(dashboard(), RunReport(0.0, 0, (learner,)), 80, 24))
    assert "a: 43 % of all, about 12 s left: learning motion" in text
    assert "━━━────  43%" in text


@pytest.mark.parametrize("learning", [1, 2, 16])
@pytest.mark.parametrize(
    ("progress", "far", "short"),
    [
        (
            Progress(0.12, "recording what is normal", 570.0, left_of="recording"),
            "12 % of all, about 9.5 min of recording left",
            " 12 %, 9.5 min of recording left ",
        ),
        (
            Progress(0.51, "learning motion, static and scene", 30.0, of="the rest"),
            "51 % of the rest, about 30 s left",
            "learning 51 %, 30 s left ",
        ),
    ],
)
def test_how_far_learning_is_fits_and_what_is_learned_is_cut(
    learning: int, progress: Progress, far: str, short: str
) -> None:
    cameras = [replace(camera(f"front-door{i}"), progress=progress) for i in range(learning)]
    shown = lines(dashboard(), RunReport(0.0, 0, tuple(cameras)), 80, 24)
    foot = next(line for line in shown if "front-door0: " in line)
    assert len(foot) == 80
    more = {1: "", 2: ", 1 more learns", 16: ", 15 more learn"}[learning]
    assert f"front-door0: {far}{more}: " in foot or f"front-door0: {far}{more}…" in foot
    assert foot.endswith(("─╯", "… ─╯"))
    wide = lines(dashboard(), RunReport(0.0, 0, (replace(cameras[0], name="gate"),)), 120, 24)
    assert short in next(line for line in wide if "gate " in line)


@pytest.mark.parametrize("state", [CameraState.OFFLINE, CameraState.STALLED, CameraState.FAILED, CameraState.ENDED])
def test_a_camera_that_is_lost_during_an_alarm_is_shown_as_lost_without_a_score(state: CameraState) -> None:
    lost = replace(camera("gate", state, alarmed=True, score=1.23), detail="no route")
    console = Console(file=io.StringIO(), width=120, height=24, force_terminal=True, color_system="standard")
    with console.capture() as capture:
        console.print(dashboard().render(RunReport(0.0, 0, (lost,)), 120, 24))
    assert f"\x1b[1;31m{state}" in capture.get(), "the state is red"
    assert "ALARM" not in capture.get()
    assert "1.23" not in capture.get()


def test_why_a_camera_is_not_judged_is_said_on_a_small_screen_too() -> None:
    blind = replace(
        camera("gate", CameraState.UNSCORED, score=math.nan), detail="no detector can judge its frames: 2 s"
    )
    for width in (80, 140):
        text = "\n".join(lines(dashboard(), RunReport(0.0, 0, (blind,)), width, 24))
        assert "unscored" in text
        assert "no detector can judge its frames" in text


def test_why_a_camera_is_lost_is_said_beside_how_far_cameras_learn() -> None:
    why = "no route to host, tried again in 4 s"
    learner = replace(camera("yard"), progress=Progress(0.5, "learning"))
    lost = replace(camera("gate", CameraState.OFFLINE), detail=why, progress=Progress(0.5, "learning"))
    wide = lines(dashboard(), RunReport(0.0, 0, (lost,)), 140, 24)
    assert "no route to host" in next(line for line in wide if "gate " in line)
    for width in (80, 120):
        text = "\n".join(lines(dashboard(), RunReport(0.0, 0, (learner, lost)), width, 24))
        assert f"gate: {why}" in text
        assert "yard: 50 % of all, 1 more learns: learning" in text


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
@pytest.mark.parametrize("cameras", [2, 40])
def test_why_cameras_are_lost_is_said_whole_as_far_as_there_are_rows(width: int, height: int, cameras: int) -> None:
    why = "rtsp://192.168.1.30/stream cannot be opened: 192.168.1.30 refuses connections on port 554"
    lost = tuple(replace(camera(f"gate{i}", CameraState.OFFLINE), detail=why) for i in range(cameras))
    board = dashboard()
    for number in range(4):
        board.alert(alert("gate0", number, Phase.END), lost[0])
    shown = lines(board, RunReport(0.0, 0, lost), width, height)
    assert len(shown) <= height
    assert max(map(len, shown)) <= width
    text = " ".join(" ".join(line.strip("│ ") for line in shown).split())
    for told in range(min(cameras, 2 if width >= 120 or cameras == 2 else 1)):
        assert f"gate{told}: {why}" in text
    assert text.count("speed 4.1 px/s, usual here up to 1.6 px/s") >= 2, "alerts also have room"


def test_the_reasons_of_the_last_alerts_are_whole_though_there_are_many() -> None:
    board = dashboard()
    terms = [f"movement of the {number}th kind to the left" for number in range(30)]
    for number, term in enumerate(terms):
        board.alert(replace(alert("yard", number, Phase.END), reasons=(Reason(term, 4.1, 1.6),)), camera("yard"))
    shown = lines(board, RunReport(0.0, 0, (camera("yard"),)), 80, 24)
    text = " ".join(" ".join(line.strip("│ ") for line in shown).split())
    for term in terms[-5:]:
        assert f"{term} 4.1, usual here up to 1.6 (on a scale of its own)" in text


@pytest.mark.parametrize(
    ("events", "kept", "more"),
    [(30, "", "+ 10 more"), (130, "the journal j", "+ 110 more, in the journal j"), (20, "the journal j", "")],
)
def test_the_closing_list_says_how_many_alerts_it_leaves_out_and_where_they_are(
    events: int, kept: str, more: str
) -> None:
    console = Console(file=io.StringIO(), width=120)
    board = Dashboard(console, TITLE)
    for number in range(events):
        board.alert(alert("yard", number, Phase.START), camera("yard"))
        board.alert(alert("yard", number, Phase.END), camera("yard"))
    with console.capture() as capture:
        console.print(board.last_alerts(kept))
    assert capture.get().count("speed 4.1") == 20
    assert [line.strip("│ ") for line in capture.get().splitlines() if " more" in line] == ([more] if more else [])


def test_what_an_extrapolated_threshold_rests_on_is_said_and_what_helps() -> None:
    def text(*rests_on_s: float | None) -> str:
        cameras = tuple(replace(camera(f"front-door{i}"), rests_on_s=s) for i, s in enumerate(rests_on_s))
        return "\n".join(lines(dashboard(), RunReport(0.0, 0, cameras), 80, 24))

    assert "longer footage" not in text(None, None)
    assert " threshold of front-door1 needs longer footage (only 28 s) ─" in text(None, 28.4)
    shown = text(*[3600.0] * 9, 570.0, *[None] * 3, *[2 * 3600.0] * 6)
    assert " 16 thresholds need longer footage (front-door9: only 9.5 min) ─" in shown


@pytest.mark.parametrize(("width", "height"), [(80, 24), (120, 40)])
def test_what_tells_sources_apart_is_not_what_is_cut(width: int, height: int) -> None:
    cameras = [
        replace(camera(f"testing_videos-of-the-front-{i}"), source=f"/srv/recordings/2026/front/testing_videos/{i}.avi")
        for i in ("17", "18")
    ]
    board = dashboard()
    loud = alert(cameras[0].name, 1, Phase.START)
    board.alert(replace(loud, reasons=(replace(loud.reasons[0], term="movement " * 12 + "to the left"),)), cameras[0])
    shown = lines(board, RunReport(0.0, 0, tuple(cameras)), width, height)
    text = "\n".join(shown)
    assert max(map(len, shown)) <= width
    for number in ("17", "18"):
        assert f"-{number} " in text
        assert width < 120 or f"/{number}.avi" in text


def test_why_a_source_failed_is_shown_where_no_column_has_room_for_it() -> None:
    with Dashboard(Console(file=io.StringIO(), force_terminal=True, width=80, height=24), TITLE) as board:
        failed = replace(camera("a", CameraState.FAILED), detail="a.avi is damaged: copy it again")
        board.health(failed)
        text = "\n".join(lines(board, RunReport(0.0, 0, (failed,)), 80, 24))
    assert "a: a.avi is damaged: copy it again" in text


def test_the_peak_of_an_open_alert_is_the_highest_score_so_far() -> None:
    board = dashboard()
    loud = camera("yard", alarmed=True, score=2.72)

    def judged(score: float, name: str = "yard") -> Judgement:
        seen = scored(0.0)
        return judgement(replace(seen, frame=replace(seen.frame, camera=name)), score)

    def shown() -> str:
        return "\n".join(lines(board, RunReport(0.0, 0, (loud,)), 80, 24))

    board.score(judged(9.9))
    board.alert(alert("yard", 1, Phase.START), loud)
    assert "1.75" in shown()
    for score in (math.nan, 2.81, 2.72):
        board.score(judged(score))
    board.score(judged(9.9, "door"))
    assert "2.81" in shown()
    ended = alert("yard", 1, Phase.END)
    board.alert(replace(ended, event=replace(ended.event, peak_score=2.81)), loud)
    board.score(judged(9.9))
    assert "2.81" in shown()


def test_the_reason_of_an_open_alert_is_that_of_its_peak() -> None:
    board = dashboard()
    loud = camera("yard", alarmed=True, score=2.81)

    def why() -> str:
        return next(line for line in lines(board, RunReport(0.0, 0, (loud,)), 80, 24) if "px/s" in line)

    seen = scored(0.0)
    seen = replace(seen, frame=replace(seen.frame, camera="yard"))
    board.alert(alert("yard", 1, Phase.START), loud)
    assert "1.75   open speed 4.1 px/s" in why()
    board.score(judgement(seen, 2.81, (Reason("speed", 8.2, 1.6, "px/s"),)))
    board.score(judgement(seen, 2.5))
    update = alert("yard", 1, Phase.UPDATE)
    board.alert(replace(update, event=replace(update.event, peak_score=2.81)), loud)
    assert "2.81   open speed 8.2 px/s" in why()


@pytest.mark.parametrize("width", [80, 120])
def test_the_place_in_a_file_stands_beside_the_time(width: int) -> None:
    board = dashboard()
    board.alert(alert("yard", 1, Phase.END), camera("yard"))
    report = RunReport(0.0, 0, (camera("yard"),))
    assert "footage" not in "\n".join(lines(board, report, width, 24)), "a live camera has no footage time"
    board.alert(replace(alert("file", 1, Phase.END), media_s=72.5), camera("file"))
    shown = lines(board, report, width, 24)
    heading = next(line for line in shown if "footage" in line)
    row = next(line for line in shown if "file" in line)
    assert row.index(" 1:12 ") + 5 == heading.index("footage") + 7
    assert "4.5 s speed 4.1 px/s" in row


def test_an_alert_that_nobody_is_notified_of_is_called_quiet() -> None:
    board = dashboard()
    for number, phase, notify in ((1, Phase.END, True), (2, Phase.END, False), (3, Phase.START, False)):
        step = alert("yard", number, phase)
        board.alert(replace(step, event=replace(step.event, notify=notify)), camera("yard"))
    rows = [line for line in lines(board, RunReport(0.0, 0, (camera("yard"),)), 80, 24) if "1.75" in line]
    assert [" ".join(row.split()).partition("1.75 ")[2].partition(" speed")[0] for row in rows] == [
        "quiet open",
        "quiet 4.5 s",
        "4.5 s",
    ]


def test_log_lines_of_an_alert_say_why_at_its_start_and_its_end(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "monitor")
    sink = LogSink()
    for phase in (Phase.START, Phase.END):
        loud = alert("yard", 1, phase)
        sink.alert(loud, camera("yard"))
        sink.alert(replace(loud, event=replace(loud.event, notify=False)), camera("yard"))
    why = ": speed 4.1 px/s, usual here up to 1.6 px/s"
    quiet = " (repeats an alert of shortly before: recorded, but nobody is notified)"
    start = f"yard: alert 1 starts at 10.0 s of the stream{why}"
    end = f"yard: alert 1 ends after 4.5 s, peak 1.75{why}"
    assert caplog.messages == [start, start + quiet, end, end + quiet]
    caplog.clear()
    loud = alert("yard", 1, Phase.START)
    sink.alert(replace(loud, early=True), camera("yard"))
    assert caplog.messages == [f"{start} (early: at first, more alarms than promised are allowed)"]


def test_the_sparkline_covers_a_minute_and_shows_the_highest() -> None:
    assert sparkline([0.0] * 60, 60).plain == "▁" * 60
    history: list[float | None] = [0.0] * 60
    history[31] = 1.5
    assert sparkline(history, 12).plain == "▁" * 6 + "█" + "▁" * 5
    assert sparkline([None, 0.0], 60).plain == "·" * 59 + "▁"
    assert sparkline([], 5).plain == "·" * 5


def test_the_summary_accounts_for_every_frame() -> None:
    console = Console(file=io.StringIO(), width=120)
    with console.capture() as capture:
        console.print(summary(RunReport(61.0, 0, (camera("yard", CameraState.ENDED),)), 120))
    text = capture.get()
    for needed in ("0:01:01", "yard", "ended", "1000", "3 frames missing", "2 unreadable", "400", "12345", "12/145 ms"):
        assert needed in text


def test_the_summary_tells_what_was_not_judged_and_why() -> None:
    console = Console(file=io.StringIO(), width=120)
    yard = replace(camera("yard", CameraState.ENDED), to_judge=300, judged=19, unjudged="the picture is black")
    with console.capture() as capture:
        console.print(summary(RunReport(61.0, 0, (yard,)), 120))
    assert "yard: 281 frames of 300 (94 %) not judged, most of them because: the picture is black" in capture.get()


def test_the_summary_of_cameras_with_long_names_keeps_its_columns_in_a_narrow_terminal() -> None:
    console = Console(file=io.StringIO(), width=80)
    cameras = tuple(camera(f"the-camera-above-the-back-door-{n}", CameraState.SCENE_CHANGE) for n in range(2))
    with console.capture() as capture:
        console.print(summary(RunReport(61.0, 0, cameras), 80))
    lines = capture.get().splitlines()
    for heading in ("camera", "state", "frames", "analysed", "dropped", "age p50/p99", "reconnects", "alerts"):
        assert heading in lines[1]
    assert "-0 " in lines[2]
    assert "-1 " in lines[3]
