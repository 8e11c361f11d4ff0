from __future__ import annotations

import pytest

from monitor.web.event_store import key_of
from tests.helpers.publishing import an_alert
from tests.helpers.web_page import HOSTILE, a_budget, a_page, a_reason, a_score, browser

MIDNIGHT = 1_500_076_800.0


def test_a_day_has_its_events_scores_and_what_the_monitor_counts() -> None:
    with a_page() as page:
        page.store.take_alert(an_alert(event_id="before", camera="door", started_at=MIDNIGHT - 1), None)
        page.store.take_alert(
            an_alert(
                event_id="e", camera="door", started_at=MIDNIGHT + 90, ended_at=MIDNIGHT + 95, notify=False,
                reasons=(a_reason(HOSTILE),),
            ),
            None,
        )  # fmt: skip
        page.store.take_alert(an_alert(event_id="plain", camera="door", started_at=MIDNIGHT + 10), None)
        page.store.take_verdict("door", "e", {"event": "e", "verdict": "normal"})
        page.store.take_budget(a_budget("door", sent_at=MIDNIGHT + 3600, added_s=3500.0))
        page.timeline.take_score(a_score("door", 0.5, MIDNIGHT + 61))
        client = browser(page)
        (day,) = client.get("/api/v1/timeline", params={"begin": MIDNIGHT, "end": MIDNIGHT + 86_400}).json()
        assert (day["camera"], day["scores"][:3], day["counted_s"]) == ("door", [None, 0.5, None], 3500.0)
        event, plain = day["events"]
        assert (event["id"], event["ended_at"], event["quiet"], event["verdict"]) == (
            key_of("e"), MIDNIGHT + 95, True, "normal"
        )  # fmt: skip
        assert "\x1b" not in event["sentence"]
        assert (plain["ended_at"], plain["sentence"]) == (None, "the score passed the threshold")
        assert client.get("/api/v1/timeline", params={"begin": 0, "end": 60, "camera": "yard"}).json() == []


@pytest.mark.parametrize(("begin", "end"), [(10, 10), (10, 5), (0, 3 * 86_400), ("nan", 5), (-1, 5), ("x", 5)])
def test_a_wrong_time_is_refused(begin: object, end: object) -> None:
    with a_page() as page:
        assert browser(page).get("/api/v1/timeline", params={"begin": str(begin), "end": str(end)}).status_code == 422
