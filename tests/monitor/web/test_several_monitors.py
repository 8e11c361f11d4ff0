"""One page for several monitors: their cameras are told apart, and verdicts reach the right one."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from typer.testing import CliRunner

from monitor.alerts.control import Cameras, ControlReply, ControlRequest, Pause, Versions
from monitor.alerts.control_desk import Asker, Done
from monitor.alerts.messages import AlertMessage, MomentMessage
from monitor.errors import RunError
from monitor.states import CameraState
from monitor.testing.captured import eventually
from monitor.web.__main__ import app
from monitor.web.board import Board
from monitor.web.bus_reader import BusAddress, BusReader
from monitor.web.event_store import Wanted, key_of
from monitor.web.live_pictures import LivePictures, Place
from monitor.web.live_stream import LiveStream
from monitor.web.monitor_link import MonitorLink
from monitor.web.monitor_names import MonitorNames
from monitor.web.page_app import Page
from monitor.web.page_teaching import Teaching
from monitor.web.several_boards import SeveralBoards
from monitor.web.user_file import Who
from monitor.web.web_settings import WebSettings
from tests.helpers.looked_at import BRIGHT, decoded, looked_at
from tests.helpers.publishing import ANY, DEADLINE_S, an_alert
from tests.helpers.small_monitor import SmallMonitor
from tests.helpers.taught_monitor import TaughtMonitor
from tests.helpers.web_page import OWN, a_health, a_page, browser, ended
from tests.monitor.web.test_live_pictures import parts_of
from tests.monitor.web.test_moment_store import a_moment
from tests.monitor.web.test_viewers import Line


def test_cameras_of_one_name_are_told_apart_and_taught_apart(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    with ExitStack() as stack:
        small = stack.enter_context(SmallMonitor(tmp_path, ANY, ANY, ANY))
        taught = stack.enter_context(TaughtMonitor(tmp_path / "other"))
        page: Page = stack.enter_context(a_page())
        addresses, names = [small.address, taught.address], MonitorNames(2)
        boards = [Board(), Board()]
        page.board = SeveralBoards(boards)
        links = [stack.enter_context(MonitorLink(at)) for at in addresses]
        page.teaching = Teaching(links, page.store, boards, page.tell, names)
        for number, (at, board) in enumerate(zip(addresses, boards, strict=True)):
            stack.enter_context(BusReader(at, page.store, board, page.tell, page.moments, page.timeline, names, number))
        stack.enter_context(page.teaching)
        assert eventually(lambda: len(page.board.cameras()) == 2)
        assert eventually(lambda: page.store.count(Wanted()) == 3)
        shown = {names.origin(camera["name"]): camera["name"] for camera in page.board.cameras()}
        assert set(shown) == {(0, "door"), (1, "door")}
        assert page.board.link()["state"] == "connected"
        (raised,) = taught.show(200)
        assert eventually(lambda: ended(page, raised))
        client = browser(page)
        event = client.get(f"/api/v1/events/{key_of(raised)}").json()
        assert event["camera"] == shown[1, "door"]
        said = client.post(f"/api/v1/events/{key_of(raised)}/verdict", json={"verdict": "normal"}, headers=OWN).json()
        assert said["event"]["verdict"] == "normal"
        page.teaching.read(1)
        assert page.store.event(key_of(raised)).verdict == "normal"  # type: ignore[union-attr]
        of_small = page.store.page(Wanted(camera=shown[0, "door"]), None, 1)[0][0]
        refused = client.post(f"/api/v1/events/{of_small.key}/verdict", json={"verdict": "real"}, headers=OWN)
        assert refused.status_code == 503, "that monitor has no control socket"
        assert "has no control socket" in refused.json()["detail"]
        small.do(lambda publisher: publisher.end("done"))
        assert eventually(lambda: page.board.link()["state"] == "ended")
        moods = {camera["name"]: camera["mood"] for camera in page.board.cameras()}
        assert moods == {shown[0, "door"]: "gone", shown[1, "door"]: "fine"}


def test_live_pictures_and_changes_are_those_of_the_monitor_that_has_the_camera() -> None:
    """Two monitors with cameras of the same names; the pictures of the second are brighter."""
    asked: list[tuple[int, str, str]] = []

    async def look(page: Page) -> dict[str, float]:
        for live in page.lives:
            live.start()
        own: Place = ("door", "picture")
        names = ("lab: door", "lab 2: door")
        stream = LiveStream({live: {own: name} for live, name in zip(page.lives, names, strict=True)}, lambda: True)
        line, found = Line(), dict[str, float]()
        task = asyncio.create_task(stream({}, line.receive, line.send))
        async with asyncio.timeout(DEADLINE_S):
            while len(found) < 2:
                await asyncio.sleep(0.01)
                found = {unquote(head["X-Camera"]): float(decoded(jpeg).mean()) for head, jpeg in parts_of(line)}
        line.left.set()
        await task
        return found

    with ExitStack() as stack:
        labs = [stack.enter_context(looked_at()) for _ in range(2)]
        labs[1].level = BRIGHT
        for number, lab in enumerate(labs):
            for kind in (Cameras, Versions, Pause):
                lab.publisher.desk.serve(kind, partial(answered, asked, number))
        page = stack.enter_context(page_of_two())
        page.links = [stack.enter_context(MonitorLink(lab.address)) for lab in labs]
        links = zip(labs, page.links, strict=True)
        page.lives = [stack.enter_context(LivePictures(lab.address, link)) for lab, link in links]
        client = browser(page)
        for path in ("setup", "versions"):
            told = client.get(f"/api/v1/{path}").json()
            assert [each["name"] for each in told["cameras"]] == ["lab: door", "lab 2: door"]
            assert told["problems"] == []
        asked.clear()
        paused = client.put("/api/v1/cameras/lab 2: door/paused", json={"paused": True}, headers=OWN)
        assert (paused.status_code, asked) == (200, [(1, "pause", "door")])
        for name in ("door", "lab 3: door"):
            refused = client.put(f"/api/v1/cameras/{name}/paused", json={"paused": True}, headers=OWN)
            assert refused.status_code == 404, "no monitor is guessed"
            assert client.get("/api/v1/live", params={"camera": name}).status_code == 404
        tried = client.post("/api/v1/cameras/test", json={"source": "0", "monitor": 2}, headers=OWN)
        assert tried.json()["detail"] == "monitor: this page shows 2, counted from 0"
        seen = asyncio.run(look(page))
        assert seen["lab 2: door"] > seen["lab: door"] + 30


def test_a_monitor_that_is_away_does_not_hide_the_cameras_of_the_other() -> None:
    with looked_at() as lab, page_of_two() as page, MonitorLink(lab.address) as link:
        lab.publisher.desk.serve(Cameras, partial(answered, [], 0))
        away = Away(BusAddress("tcp://127.0.0.1:9", None))
        page.links = [link, away]
        told = browser(page).get("/api/v1/setup").json()
        assert [each["name"] for each in told["cameras"]] == ["lab: door"]
        assert told["problems"] == ["no monitor answered"]
        assert told["monitors"] == [{"number": 0, "why_not_opened": ""}]
        page.links = [away]
        refused = browser(page).get("/api/v1/setup")
        assert (refused.status_code, refused.json()["detail"]) == (503, "no monitor answered")


@contextmanager
def page_of_two() -> Iterator[Page]:
    """A page of two monitors. Its application is that of all tests, so it is set back afterwards."""
    with a_page() as page:
        page.names.__dict__.update(MonitorNames(2).__dict__)
        try:
            yield page
        finally:
            page.names.__dict__.update(MonitorNames().__dict__)
            page.links, page.lives = (), ()
            page.further_evidence = page.further_moments = ()


def answered(asked: list[tuple[int, str, str]], number: int, request: Any, _: Asker) -> Done:
    asked.append((number, request.request, getattr(request, "camera", "") or ""))
    return Done("done so", {"cameras": [{"name": "door", "versions": []}]})


class Away(MonitorLink):
    """A monitor that does not answer."""

    def ask(self, request: ControlRequest, who: Who | None = None, timeout_s: float = 1.0) -> ControlReply:  # noqa: ARG002
        raise RunError("no monitor answered")


CLIP = "door/2026-03-02/101112.345-1.mp4"
PEAK = "door/2026-03-02/101112.345-1-peak.jpg"


def test_files_of_an_event_come_from_the_folder_of_its_own_monitor(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("first", "second")]
    for folder in folders:
        (folder / CLIP).parent.mkdir(parents=True)
        for name in (CLIP, PEAK):
            (folder / name).write_text(f"of the {folder.name}")
    with page_of_two() as page:
        for number in (0, 1):
            alert = page.names.renamed(number, an_alert(camera="door", event_id=f"e{number}", evidence=(PEAK, CLIP)))
            moment = page.names.renamed(number, a_moment(number + 1, [(number + 1, 1.0)], files=(PEAK, CLIP)))
            assert isinstance(alert, AlertMessage)
            assert isinstance(moment, MomentMessage)
            page.store.take_alert(alert, None)
            page.moments.take(moment, None)
        client = browser(page)

        def of(camera: str) -> tuple[list[str], list[str], set[str]]:
            """What its clips and pictures hold, and what is said that is missing."""
            listed = client.get("/api/v1/events", params={"camera": camera}).json()["events"]
            ranked = client.get("/api/v1/moments", params={"camera": camera}).json()["moments"]
            clips, pictures = [], []
            for kind, each in (("events", listed[0]), ("moments", ranked[0])):
                clips.append(client.get(f"/api/v1/{kind}/{each['id']}/clip").text)
                peak = "heat" if kind == "events" else "picture"
                pictures.append(client.get(f"/api/v1/{kind}/{each['id']}/{peak}").text)
                assert each["clip"] == (not each["missing"])
            return clips, pictures, {listed[0]["missing"], ranked[0]["missing"]}

        page.evidence = page.moments_folder = folders[0]
        assert of("lab: door") == (["of the first"] * 2, ["of the first"] * 2, {""})
        _, pictures, missing = of("lab 2: door")
        assert not any("of the" in each for each in pictures), "those of the first are not taken for its own"
        for each in missing:
            assert "of the monitor lab, which this page does not have: name it with --" in each
        page.further_evidence = page.further_moments = [folders[1]]
        assert of("lab 2: door") == (["of the second"] * 2, ["of the second"] * 2, {""})


def test_names_of_cameras_are_those_of_the_page() -> None:
    names = MonitorNames(2)
    alert = an_alert(camera="door")
    first, second = names.renamed(0, alert), names.renamed(1, alert)
    assert (first.camera, second.camera) == ("lab: door", "lab 2: door")
    assert MonitorNames().renamed(0, alert) is alert
    assert names.renamed(0, a_health("yard", CameraState.ONLINE)).camera == "lab: yard"
    assert names.origin("nobody") == (0, "nobody")


def test_a_name_means_the_same_camera_whichever_monitor_is_heard_first() -> None:
    names = MonitorNames(2, wait_s=0.01)
    assert names.shown(1, "lab", "door") == "lab 2: door", "the first one may have the same node"
    assert names.shown(0, "lab", "door") == "lab: door"
    assert names.owner("lab: door") == (0, "door")
    later = MonitorNames(2)
    with ThreadPoolExecutor() as pool:
        second = pool.submit(later.shown, 1, "shop", "door")
        assert later.shown(0, "lab", "door") == "lab: door"
        assert second.result(DEADLINE_S) == "shop: door", "it has waited for the first"


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--endpoint", "tcp://a:1", "--endpoint", "tcp://b:1", "--scores-endpoint", "tcp://a:2"], "one --scores-end"),
        (["--endpoint", "tcp://a:1", "--endpoint", "tcp://b:1", "--history-endpoint", "tcp://a:2"], "leave out --hist"),
        (["--evidence", "a", "--evidence", "b"], "give --evidence at most once for each --endpoint"),
        (["--endpoint", "tcp://a:1", *["--moments", ""] * 2], "give --moments at most once for each --endpoint"),
        (["--endpoint", "nothing"], "is not an address"),
    ],
)
def test_addresses_that_do_not_fit_together_are_refused(options: list[str], sentence: str) -> None:
    result = CliRunner().invoke(app, options)
    assert sentence in str(result.exception)


def test_a_wrong_address_in_the_settings_is_refused() -> None:
    with pytest.raises(ValueError, match="is not an address"):
        WebSettings(monitors=("10.0.0.7",))


def test_nodes_whose_names_differ_in_a_slash_only_are_told_apart() -> None:
    names = MonitorNames(2)
    shown = [names.shown(number, node, "door") for number, node in enumerate(("a/b", "a_b"))]
    assert shown[0] == "a_b: door"
    assert [names.origin(each) for each in shown] == [(0, "door"), (1, "door")]
