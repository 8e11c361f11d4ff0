from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from monitor.client.items import Contact, Ended, Silence
from monitor.states import CameraState, Phase
from monitor.web.event_store import key_of
from monitor.web.evidence_paths import evidence_file
from tests.helpers.publishing import an_alert
from tests.helpers.web_page import HOSTILE, JPEG, a_budget, a_health, a_page, a_reason, a_score, browser, fill
from tests.monitor.web.test_moment_store import a_moment

NAMES = tuple(f"door/2026-03-02/101112.345-7{end}" for end in ("-start.jpg", ".json", "-peak.jpg", ".mp4"))


def written(folder: Path, names: tuple[str, ...] = NAMES) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(f"content of {name}".encode() + bytes(1000))


def test_cameras_have_state_score_and_curve() -> None:
    now = time.time()
    with a_page() as page:
        client = browser(page)
        page.board.take_link(Contact("lab", "e1", restarted=False))
        page.board.take_health(a_health("door", CameraState.ONLINE))
        page.board.take_health(a_health("yard", CameraState.FROZEN, detail="the picture has not changed"))
        for step in range(5):
            page.board.take_score(a_score("door", 0.2 * step, now - 1.0 + step * 0.2))
        door, yard = client.get("/api/v1/cameras").json()
        assert (door["name"], door["state"], door["mood"], door["score"]) == ("door", "online", "fine", 0.8)
        assert [round(score, 1) for _, score in door["curve"]] == [0.4, 0.8]
        assert (yard["mood"], yard["detail"], yard["score"]) == ("bad", "the picture has not changed", None)
        page.board.take_link(Silence("tcp://x:1", 3.0, heard_before=True))
        assert [camera["mood"] for camera in client.get("/api/v1/cameras").json()] == ["gone", "gone"]
        assert client.get("/api/v1/health").json()["monitor"]["state"] == "silent"
        page.board.take_link(Ended("lab", "done"))
        assert client.get("/api/v1/health").json()["monitor"]["state"] == "ended"


def test_only_cameras_of_the_present_run_are_shown() -> None:
    with a_page() as page:
        assert page.board.take_health(a_health("old", CameraState.ONLINE, "e1"))
        assert page.board.take_health(a_health("door", CameraState.ONLINE, "e1"))
        assert page.board.take_health(a_health("door", CameraState.LEARNING, "e2"))
        assert not page.board.take_health(a_health("door", CameraState.ONLINE, "e1"))
        assert [(camera["name"], camera["state"]) for camera in page.board.cameras()] == [("door", "learning")]


def test_events_are_listed_page_by_page_and_shown_with_all_that_is_known() -> None:
    with a_page() as page:
        client = browser(page)
        fill(page, 5)
        first = client.get("/api/v1/events", params={"limit": 3}).json()
        second = client.get("/api/v1/events", params={"limit": 3, "after": first["following"]}).json()
        assert [len(first["events"]), len(second["events"]), first["total"]] == [3, 2, 5]
        assert second["following"] is None
        newest = client.get(f"/api/v1/events/{first['events'][0]['id']}").json()
        assert newest["sentence"] == "speed 4 px/frame"
        assert newest["unusual"] == "1.04 times the threshold, the most unusual of 5 events of this camera"
        assert (newest["rank"], newest["of"], newest["message"]["event_id"]) == (1, 5, "e1-door-4")


def test_viewers_are_sent_each_score_once_so_that_none_of_before_looks_like_one_of_now() -> None:
    with a_page() as page:
        now = time.time()
        for at, score in ((0.0, 0.5), (0.3, 0.75)):  # of one point of the curve
            page.board.take_score(a_score("door", score, now + at))
            assert page.board.fresh_scores() == {"door": {"score": score, "at": now + at, "points": [(now, score)]}}
            assert page.board.fresh_scores() == {}


@pytest.mark.parametrize("after", ["x", "bnVsbA==", "WzEsIDJd" * 9, "W05hTiwgImEiXQ==", "\x00", "ünsinn"])
def test_a_wrong_place_in_the_list_is_refused(after: str) -> None:
    with a_page() as page:
        client = browser(page)
        assert client.get("/api/v1/events", params={"after": after}).status_code == 422


def test_pictures_come_from_the_evidence_folder_and_else_from_the_messages(tmp_path: Path) -> None:
    written(tmp_path)
    with a_page(tmp_path) as page:
        client = browser(page)
        page.store.take_alert(an_alert(event_id="files", evidence=NAMES), None)
        page.store.take_alert(an_alert(event_id="message"), JPEG)
        page.store.take_alert(an_alert(event_id="message", position=2, phase=Phase.END), JPEG)
        there = f"/api/v1/events/{key_of('files')}"
        details = client.get(there).json()
        assert details["picture"]
        assert details["heat"]
        assert details["clip"]
        for kind, name, sort in (("picture", 0, "image/jpeg"), ("heat", 2, "image/jpeg"), ("clip", 3, "video/mp4")):
            answer = client.get(f"{there}/{kind}")
            assert answer.content.startswith(f"content of {NAMES[name]}".encode())
            assert answer.headers["content-type"] == sort
        part = client.get(f"{there}/clip", headers={"Range": "bytes=3-9"})
        assert part.status_code == 206
        assert part.content == f"content of {NAMES[3]}".encode()[3:10]
        assert part.headers["content-range"].startswith("bytes 3-9/")
        assert client.get(f"/api/v1/events/{key_of('message')}/picture").content == JPEG
        assert client.get(f"/api/v1/events/{key_of('message')}/heat").content == JPEG
        assert client.get(f"/api/v1/events/{key_of('message')}/clip").status_code == 404


@pytest.mark.parametrize(
    ("names", "phase", "ended_ago_s", "sentence"),
    [
        (NAMES, Phase.START, None, "The clip comes some seconds after the end of the event."),
        (NAMES, Phase.END, 2.0, "The clip is being written"),
        (NAMES, Phase.END, 3600.0, "There is no clip in the evidence folder"),
        (NAMES[:3], Phase.END, 3600.0, ""),
        ((), Phase.END, 3600.0, ""),
    ],
)
def test_an_event_says_why_it_has_no_clip(
    tmp_path: Path, names: tuple[str, ...], phase: Phase, ended_ago_s: float | None, sentence: str
) -> None:
    with a_page(tmp_path) as page:
        ended_at = None if ended_ago_s is None else time.time() - ended_ago_s
        page.store.take_alert(an_alert(event_id="e", evidence=names, phase=phase, ended_at=ended_at), None)
        missing = browser(page).get(f"/api/v1/events/{key_of('e')}").json()["missing"]
        assert (missing == "") == (sentence == "")
        assert missing.startswith(sentence)


def test_the_nearest_normal_picture_stands_beside_its_event_and_its_moment(tmp_path: Path) -> None:
    name = "door/2026-03-02/101112.345-7-normal.jpg"
    written(tmp_path, (name,))
    with a_page(tmp_path) as page:
        client = browser(page)
        page.moments_folder = tmp_path
        page.store.take_alert(an_alert(event_id="e", evidence=(name,), normal_at=1.4e9), None)
        page.store.take_alert(an_alert(event_id="elsewhere", normal_at=1.4e9), JPEG)
        page.moments.take(a_moment(1, [(1, 0.7), (2, 0.6)], files=(name,), normal_at=1.3e9), None)
        page.moments.take(a_moment(2, [(1, 0.7), (2, 0.6)]), None)
        event = client.get(f"/api/v1/events/{key_of('e')}").json()
        first, second = client.get("/api/v1/moments").json()["moments"]
        assert (event["normal"], event["normal_at"]) == (True, 1.4e9)
        assert [(each["normal"], each["normal_at"]) for each in (first, second)] == [(True, 1.3e9), (False, None)]
        for path in (f"events/{key_of('e')}", f"moments/{first['id']}"):
            answer = client.get(f"/api/v1/{path}/normal")
            assert (answer.content[:-1000], answer.headers["content-type"]) == (
                f"content of {name}".encode(),
                "image/jpeg",
            )
        for path in (f"events/{key_of('elsewhere')}", f"moments/{second['id']}"):
            answer = client.get(f"/api/v1/{path}/normal")
            assert answer.status_code == 404
            assert "no normal picture beside this" in answer.json()["detail"]


BAD_NAMES = (
    "../secret/2026-03-02/101112.345-7.mp4",
    "door/../../101112.345-7.mp4",
    "/etc/2026-03-02/101112.345-7.mp4",
    "door/2026-03-02/../2026-03-02/101112.345-7.mp4",
    "./2026-03-02/101112.345-7.mp4",
    ".hidden/2026-03-02/101112.345-7.mp4",
    "door/2026-03-02/101112.345-7.mp4/../../../../x.mp4",
    "door/2026-03-02/other.mp4",
    "door/2026-03-02/.101112.345-7.partial.mp4",
    "door\x00/2026-03-02/101112.345-7.mp4",
    "link/2026-03-02/101112.345-7.mp4",
)


@pytest.mark.parametrize("name", BAD_NAMES)
def test_no_name_of_a_message_leads_out_of_the_evidence_folder(tmp_path: Path, name: str) -> None:
    folder = tmp_path / "evidence"
    written(folder, (NAMES[3], "door/2026-03-02/other.mp4", "door/2026-03-02/.101112.345-7.partial.mp4"))
    written(tmp_path / "secret", ("2026-03-02/101112.345-7.mp4",))
    (folder / "link").symlink_to(tmp_path / "secret")
    assert evidence_file(folder, (name,), "clip") is None
    assert evidence_file(folder, (name, NAMES[3]), "clip") == (folder / NAMES[3]).resolve()
    with a_page(folder) as page:
        client = browser(page)
        page.store.take_alert(an_alert(event_id="e", evidence=(name,)), None)
        assert client.get(f"/api/v1/events/{key_of('e')}/clip").status_code == 404


@pytest.mark.parametrize("key", ["..%2f..%2fetc%2fpasswd", "%2e%2e", "x" * 32, "A" * 32, "0" * 31, "0" * 33, "%00"])
def test_only_names_of_events_are_looked_up(tmp_path: Path, key: str) -> None:
    with a_page(tmp_path) as page:
        client = browser(page)
        for path in (f"/api/v1/events/{key}", f"/api/v1/events/{key}/picture", f"/static/{key}"):
            assert client.get(path).status_code in (404, 422)


def test_static_files_are_a_closed_list() -> None:
    with a_page() as page:
        client = browser(page)
        assert client.get("/static/page.js").headers["content-type"].startswith("text/javascript")
        for name in ("index.html", "..%2fpage_app.py", "%2e%2e/page_app.py", "none.js"):
            assert client.get(f"/static/{name}").status_code == 404


def test_budgets_are_promised_beside_measured() -> None:
    with a_page() as page:
        client = browser(page)
        page.store.take_budget(a_budget("door", sent_at=time.time(), broken=True))
        (budget,) = client.get("/api/v1/budget").json()
        assert (budget["promised_per_day"], budget["per_day"], budget["broken"]) == (1.0, 1.5, True)
        assert budget["threshold"] == "", "an older monitor does not say it"
        page.store.take_budget(a_budget("door", 2, sent_at=time.time(), supported_per_day=7.5))
        (later,) = client.get("/api/v1/budget").json()
        assert later["threshold"] == (
            "the threshold is extrapolated by a factor of 7.5: it rests on 3.2 h of footage, which can confirm no rate "
            "below 7.5 per day"
        )
        assert budget["sentence"] == "1.5 alarms per day (0.3 to 4.4) in 48 h, promised 1: the promise is broken"
        week = budget["windows"][1]
        assert (week["days"], week["alarms"], week["watched_days"], week["per_day"]) == (7, 3, 2.0, 1.5)
        assert (round(week["low"], 4), round(week["high"], 4)) == (0.3093, 4.3836)


def test_hostile_text_stays_text_in_json() -> None:
    with a_page() as page:
        client = browser(page)
        hostile = HOSTILE.replace("/", "")  # no camera's name has one
        page.store.take_alert(
            an_alert(camera=hostile, event_id=HOSTILE, reasons=(a_reason(HOSTILE),), about=HOSTILE), None
        )
        page.board.take_health(a_health(hostile, HOSTILE, detail=HOSTILE))
        for path in ("events", f"events/{key_of(HOSTILE)}", "cameras", "health"):
            answer = client.get(f"/api/v1/{path}")
            assert answer.headers["content-type"] == "application/json"
            assert answer.headers["x-content-type-options"] == "nosniff"
            assert "onerror" in json.dumps(answer.json())
        assert "\x1b" not in client.get(f"/api/v1/events/{key_of(HOSTILE)}").json()["sentence"]


def test_the_page_never_makes_html_of_text() -> None:
    from monitor.web.page_app import STATIC

    for script in STATIC.glob("*.js"):
        for dangerous in ("innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(", "srcdoc"):
            assert dangerous not in script.read_text(), f"{script.name} has {dangerous}"
    for page in STATIC.glob("*.html"):
        text = page.read_text()
        assert "http://" not in text
        assert "https://" not in text, "the page must work without the internet"
        assert " style=" not in text
        assert "onclick" not in text


def test_the_api_describes_itself() -> None:
    with a_page() as page:
        client = browser(page)
        paths = client.get("/api/v1/openapi.json").json()["paths"]
        assert {"/api/v1/cameras", "/api/v1/events", "/api/v1/events/{key}/clip", "/api/v1/stream"} <= set(paths)
