from __future__ import annotations

from typing import Any

from monitor.alerts.message_parts import ModelRef
from monitor.alerts.messages import MomentMessage, RankedMoment
from monitor.web.event_store import key_of
from monitor.web.moment_store import MomentStore
from monitor.web.page_app import Page
from tests.helpers.publishing import an_alert
from tests.helpers.web_page import HOSTILE, JPEG, a_page, a_reason, browser


def a_moment(number: int, ranking: list[tuple[int, float]], **changes: Any) -> MomentMessage:
    values: dict[str, Any] = {
        "schema": 1, "node": "lab", "epoch": "e1", "seq": number, "sent_at": 1.5e9, "position": number,
        "camera": "door", "moment_id": f"m{number}", "at": 1.5e9 + number, "local": "2026-03-02T10:00:00.000+00:00",
        "day": "2026-03-02", "media_s": None, "score": 1.0, "event_id": None, "model": ModelRef(id="street", hash="ab"),
        "per_day": 10, "watched_s": 100.0, "reasons": (a_reason(f"speed {number}"),),
        "ranking": tuple(RankedMoment(moment_id=f"m{n}", score=s, rare=f"rare {n}") for n, s in ranking),
    }  # fmt: skip
    return MomentMessage(**(values | changes))


def fill_days(page: Page) -> None:
    page.store.take_alert(an_alert(event_id="e"), None)
    page.moments.take(a_moment(1, [(1, 0.7)]), JPEG)
    page.moments.take(a_moment(3, [(3, 1.9), (1, 0.7)], event_id="e"), None)
    page.moments.take(a_moment(2, [(1, 0.7), (2, 0.2)]), None)
    page.moments.take(a_moment(4, [(4, 1.2)], camera="yard"), None)
    page.moments.take(a_moment(5, [(5, 0.3)], day="2026-03-01"), None)


def test_a_day_is_ranked_by_the_last_ranking_that_was_sent_whatever_the_order_of_messages() -> None:
    with a_page() as page:
        fill_days(page)
        client = browser(page)
        day = client.get("/api/v1/moments").json()
        assert (day["day"], day["days"]) == ("2026-03-02", ["2026-03-02", "2026-03-01"])
        shown = [(each["camera"], each["rank"], each["score"], each["rare"]) for each in day["moments"]]
        assert shown == [("door", 1, 1.9, "rare 3"), ("yard", 1, 1.2, "rare 4"), ("door", 2, 0.7, "rare 1")]
        first, _, third = day["moments"]
        assert (first["alarmed"], first["event"], first["picture"]) == (True, key_of("e"), False)
        assert (third["alarmed"], third["event"], third["picture"]) == (False, None, True)
        assert client.get(f"/api/v1/moments/{third['id']}/picture").content == JPEG
        assert client.get(f"/api/v1/moments/{first['id']}/picture").status_code == 404
        one = client.get("/api/v1/moments", params={"day": "2026-03-01"}).json()
        assert [each["sentence"] for each in one["moments"]] == ["speed 5"]
        only = client.get("/api/v1/moments", params={"camera": "yard"}).json()
        assert (only["days"], len(only["moments"])) == (["2026-03-02"], 1)
        assert client.get("/api/v1/moments", params={"day": HOSTILE}).status_code == 422
        assert page.moments.passing("door", 0.5) == 1, "the other one alarmed"


def test_the_oldest_pictures_and_days_are_forgotten() -> None:
    with MomentStore(most_moments=3, most_picture_bytes=2 * len(JPEG)) as store:
        for number in range(1, 5):
            store.take(a_moment(number, [(number, 1.0)], day=f"2026-03-0{number}"), JPEG)
        assert store.days() == ["2026-03-04", "2026-03-03", "2026-03-02"]
        kept = [store.picture(key_of(f"door/m{number}")) for number in range(1, 5)]
        assert kept == [None, None, JPEG, JPEG]
        assert store._picture_bytes == 2 * len(JPEG)
