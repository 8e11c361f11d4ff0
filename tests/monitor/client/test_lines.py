"""The output of the client: one line per message, as text and as JSON."""

from __future__ import annotations

import json
import time
from typing import Any

from monitor.alerts.message_parts import ReasonBody
from monitor.alerts.messages import HealthMessage, ScoreMessage, encode
from monitor.client import Ended, Gap, Received, Silence, UnknownCamera
from monitor.client.lines import json_line, text_line
from monitor.states import Phase
from tests.helpers.publishing import an_alert, local


def test_an_alert_reads_as_one_line() -> None:
    start = an_alert(reasons=())
    end = an_alert(phase=Phase.END, ended_at=1.5e9 + 2.5, ended_s=12.5, notify=False)
    assert text_line(Received(start, None, 0)).endswith("  cam1  START  peak 1.50")
    quiet = "(repeats an alert of shortly before: recorded, but nobody is notified)"
    assert text_line(Received(end, None, 0)).endswith(f"  cam1  END  peak 1.50  lasted 2.5 s of footage  {quiet}")
    early = an_alert(reasons=(), early=True)
    assert text_line(Received(early, None, 0)).endswith("(early: at first, more alarms than promised are allowed)")
    assert text_line(Received(start, None, 0)).startswith(time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(1.5e9)))


def test_lines_begin_with_when_they_were_sent_and_say_what_began_before() -> None:
    sent = 1.5e9 + 90.0
    update = an_alert(phase=Phase.UPDATE, sent_at=sent)
    end = an_alert(phase=Phase.END, sent_at=sent, ended_at=1.5e9 + 87.5, ended_s=97.5)
    killed = an_alert(phase=Phase.END, sent_at=sent, ended_at=1.5e9 + 87.5, interrupted=True)
    state: dict[str, Any] = {"schema": 1, "node": "lab", "epoch": "e1", "seq": 1, "camera": "cam1", "state": "moved"}
    lasting = HealthMessage(**state, sent_at=sent, since=1.5e9, detail="it looks elsewhere")
    days = HealthMessage(**state, sent_at=sent, since=1.5e9 - 2 * 86_400, detail="")
    fresh = HealthMessage(**state, sent_at=sent, since=sent - 0.2, detail="")
    ahead = HealthMessage(**state, sent_at=sent, since=sent + 60.0, detail="")
    frame: dict[str, Any] = {"schema": 1, "node": "lab", "epoch": "e1", "seq": 1, "camera": "cam1", "raw": {}}
    score = ScoreMessage(**frame, sent_at=sent, time_s=1.0, frame_index=3, score=None, captured_at=1.5e9)
    began, at = local(1.5e9), local(sent, "%Y-%m-%d %H:%M:%S")
    lines = [text_line(Received(m, None, 0)) for m in (update, end, killed, lasting, days, fresh, ahead, score)]
    assert lines == [
        f"{at}  cam1  UPDATE  score 1.20  since {began}",
        f"{at}  cam1  END  peak 1.50  lasted 87.5 s of footage  began {began}",
        f"{at}  cam1  END  peak 1.50  began {began}  (the monitor was killed during the event)",
        f"{at}  cam1  moved  since {began}  it looks elsewhere",
        f"{at}  cam1  moved  since {local(1.5e9 - 2 * 86_400, '%Y-%m-%d %H:%M:%S')}",
        f"{at}  cam1  moved",
        f"{at}  cam1  moved",
        f"{at}  cam1  score -  1.00 s  frame 3  read {began}",
    ]


def test_an_alert_of_a_file_says_where_in_it_it_began() -> None:
    start, later = (text_line(Received(an_alert(media_s=s), None, 0)) for s in (12.9, 3723.0))
    assert start.endswith("  peak 1.50  at 0:12 of the footage")
    assert later.endswith("  peak 1.50  at 1:02:03 of the footage")
    update = text_line(Received(an_alert(media_s=12.9, phase=Phase.UPDATE), None, 0))
    assert "of the footage" not in update, "it would repeat where the event began"


def test_a_line_ends_in_its_last_words_where_no_reason_is_given() -> None:
    empty = an_alert(reasons=[ReasonBody(term="", value=1.0, usual=1.0, text="")])
    for alert in (empty, an_alert(reasons=())):
        line = text_line(Received(alert, None, 0))
        assert line.endswith("  peak 1.50")
        assert "None" not in line


def test_text_from_the_wire_cannot_steer_the_terminal() -> None:
    body = HealthMessage(
        schema=1, node="n", epoch="e", seq=1, sent_at=0.0, camera="c\x1b[2J", state="x\r\ny", since=1e300, detail="\x07"
    )
    assert text_line(Received(body, None, 0)).isprintable()


def test_json_lines_hold_the_body_and_gaps() -> None:
    message = an_alert()
    line = json.loads(json_line(Received(message, b"1234", lost=2), "p5"))
    head = {"kind": "alert", "topic": "alert/cam1/", "lost": 2, "jpeg_bytes": 4, "token": "p5"}
    assert line == head | json.loads(encode(message))
    gap = json.loads(json_line(Gap("alert/cam1/", 3, 5)))
    assert gap == {"kind": "gap", "topic": "alert/cam1/", "first": 3, "last": 5}


def test_a_monitor_s_end_is_told_from_its_silence() -> None:
    assert text_line(Ended("lab", "done: every source has ended")) == "lab has ended (done: every source has ended)"
    silence = text_line(Silence("tcp://lab:5560", 3.0, heard_before=True))
    assert silence.endswith("for 3 s: the monitor stopped without notice, or the connection is down")


def test_many_names_stay_one_line() -> None:
    line = text_line(UnknownCamera("lab", ("x", "y"), tuple(f"c{number:02d}" for number in range(30))))
    assert line.startswith("lab knows no cameras x, y: it watches c00, c01, ")
    assert line.endswith("c19 and 10 more")
