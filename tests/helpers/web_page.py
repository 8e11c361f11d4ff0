"""The page in this process, without a browser: its parts filled by hand, and a client that speaks HTTP to it."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from starlette.testclient import TestClient

from monitor.alerts.message_parts import ReasonBody
from monitor.alerts.messages import SCHEMA, BudgetMessage, HealthMessage, ScoreMessage
from monitor.states import CameraState
from monitor.web.access import Access
from monitor.web.board import Board
from monitor.web.event_store import EventStore, key_of
from monitor.web.gate import Gate
from monitor.web.moment_store import MomentStore
from monitor.web.page_app import Page, page_application
from monitor.web.timeline_store import TimelineStore
from monitor.web.user_file import Role, UserFile, new_token, set_password
from tests.helpers.publishing import an_alert

JPEG = b"\xff\xd8 not a real picture \xff\xd9"
LOCAL = "http://127.0.0.1:8088"
OWN = {"X-True-Sight": "1"}
PASSWORD = "correct horse battery"  # noqa: S105 - of the tests
HOSTILE = "</script><img src=x onerror=alert(1)>\"'&\x1b[31m"


def a_reason(text: str) -> ReasonBody:
    return ReasonBody(term="speed", value=3.0, usual=1.0, unit="px/frame", text=text)


def a_score(camera: str, score: float, sent_at: float, epoch: str = "e1") -> ScoreMessage:
    return ScoreMessage(
        schema=SCHEMA, node="lab", epoch=epoch, seq=1, sent_at=sent_at, camera=camera, time_s=1.0, frame_index=1,
        score=score, captured_at=sent_at,
    )  # fmt: skip


def a_health(camera: str, state: CameraState | str, epoch: str = "e1", **changes: Any) -> HealthMessage:
    values: dict[str, Any] = {
        "schema": SCHEMA, "node": "lab", "epoch": epoch, "seq": 1, "sent_at": 1.5e9, "camera": camera, "state": state,
        "since": 1.5e9,
    }  # fmt: skip
    return HealthMessage(**(values | changes))


def a_budget(camera: str, seq: int = 1, **changes: Any) -> BudgetMessage:
    values: dict[str, Any] = {
        "schema": SCHEMA, "node": "lab", "epoch": "e1", "seq": seq, "sent_at": 1.5e9, "camera": camera,
        "promised_per_day": 1.0, "alarms": 3, "watched_s": 2 * 86_400.0, "per_day": 1.5, "low": 0.3, "high": 4.4,
        "broken": False, "added_alarms": 3, "added_s": 2 * 86_400.0,
    }  # fmt: skip
    return BudgetMessage(**(values | changes))


_PAGE = Page(EventStore(), Board(), Access(None))


@functools.cache
def _application() -> Gate:
    """One for all tests of a process, because FastAPI takes long to build it. ``a_page`` renews what it shows."""
    return page_application(_PAGE)


@contextmanager
def a_page(evidence: Path | None = None, users: UserFile | None = None) -> Iterator[Page]:
    page = _PAGE
    page.access.__dict__.update(Access(users).__dict__)  # the application holds the object
    page.board, page.evidence, page.timeline = Board(), evidence, TimelineStore()
    page.teaching = page.moments_folder = None
    with EventStore() as page.store, MomentStore() as page.moments:
        yield page


def browser(page: Page, base_url: str = LOCAL, address: str = "127.0.0.1") -> TestClient:
    """A browser of its own, with its own cookies, at this address. Without ``with``, no scores are sent to viewers."""
    assert page is _PAGE
    return TestClient(_application(), base_url=base_url, follow_redirects=False, client=(address, 50_000))


def users_file(folder: Path) -> tuple[Path, dict[Role, str]]:
    """A file with the users ann (operator) and vic (viewer), and a token of each role."""
    path = folder / "users"
    set_password(path, "ann", Role.OPERATOR, PASSWORD)
    set_password(path, "vic", Role.VIEWER, PASSWORD)
    return path, {role: new_token(path, f"program-{role}", role) for role in Role}


def log_in(client: TestClient, name: str, password: str = PASSWORD, **headers: str) -> Any:
    return client.post("/api/v1/session", json={"name": name, "password": password}, headers=OWN | headers)


def ended(page: Page, event_id: str) -> bool:
    """Whether the page knows the end of an event."""
    found = page.store.event(key_of(event_id))
    return found is not None and found.alert.ended_at is not None


def fill(page: Page, count: int, camera: str = "door") -> None:
    for number in range(count):
        page.store.take_alert(
            an_alert(
                seq=number + 1, camera=camera, event_id=f"e1-{camera}-{number}", started_at=1.5e9 + number,
                peak_score=1.0 + number / 100, position=number + 1, reasons=(a_reason(f"speed {number} px/frame"),),
            ),
            None,
        )  # fmt: skip
