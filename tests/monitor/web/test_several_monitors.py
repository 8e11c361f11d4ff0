"""One page for several monitors: their cameras are told apart, and verdicts reach the right one."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import pytest
from typer.testing import CliRunner

from monitor.alerts.messages import MomentMessage
from monitor.states import CameraState
from monitor.testing.captured import eventually
from monitor.web.__main__ import app
from monitor.web.board import Board
from monitor.web.bus_reader import BusReader
from monitor.web.event_store import Wanted, key_of
from monitor.web.monitor_link import MonitorLink
from monitor.web.monitor_names import MonitorNames
from monitor.web.page_app import Page
from monitor.web.page_teaching import Teaching
from monitor.web.several_boards import SeveralBoards
from monitor.web.web_settings import WebSettings
from tests.helpers.publishing import ANY, an_alert
from tests.helpers.small_monitor import SmallMonitor
from tests.helpers.taught_monitor import TaughtMonitor
from tests.helpers.web_page import OWN, a_health, a_page, browser, ended
from tests.monitor.web.test_moment_store import a_moment


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


def test_files_of_other_monitors_are_not_taken_for_files_of_the_first() -> None:
    names = MonitorNames(2)
    alert = an_alert(camera="door", evidence=("door/2026-03-02/101112.345-1.mp4",))
    first, second = names.renamed(0, alert), names.renamed(1, alert)
    assert (first.camera, second.camera) == ("lab: door", "lab 2: door")
    assert (first.evidence, second.evidence) == (alert.evidence, ())  # type: ignore[union-attr]
    moment = names.renamed(1, a_moment(1, [(1, 1.0)], files=("x",)))
    assert isinstance(moment, MomentMessage)
    assert moment.files == ()
    assert MonitorNames().renamed(0, alert) is alert
    assert names.renamed(0, a_health("yard", CameraState.ONLINE)).camera == "lab: yard"
    assert names.origin("nobody") == (0, "nobody")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--endpoint", "tcp://a:1", "--endpoint", "tcp://b:1", "--scores-endpoint", "tcp://a:2"], "one --scores-end"),
        (["--endpoint", "tcp://a:1", "--endpoint", "tcp://b:1", "--history-endpoint", "tcp://a:2"], "leave out --hist"),
        (["--endpoint", "nothing"], "is not an address for alerts"),
    ],
)
def test_addresses_that_do_not_fit_together_are_refused(options: list[str], sentence: str) -> None:
    result = CliRunner().invoke(app, options)
    assert sentence in str(result.exception)


def test_a_wrong_address_in_the_settings_is_refused() -> None:
    with pytest.raises(ValueError, match="is not an address for alerts"):
        WebSettings(monitors=("10.0.0.7",))
