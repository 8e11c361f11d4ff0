"""The last alerts of earlier runs, from the journal: a dashboard that has just started shows them."""

from __future__ import annotations

import logging
from collections import deque

from monitor.alerts.journal import Journal, JournalError
from monitor.alerts.messages import AlertMessage, MalformedError, decode

log = logging.getLogger(__name__)

_HOURS = (1, 24, 7 * 24)
_ENOUGH = 50
_MOST = 400
_PAGES = 20
_PAGE_BYTES = 4_000_000


def earlier_alerts(journal: Journal, now: float) -> list[AlertMessage]:
    """The last alert messages of up to seven days, oldest first, without pictures. now: unix seconds.

    It looks back further until it has found 50 messages, and reads a bounded number of pages. A message that cannot be
    read is left out.
    """
    found: deque[AlertMessage] = deque(maxlen=_MOST)
    try:
        for hours in _HOURS:
            found.clear()
            after, done = journal.position_at(now - 3600.0 * hours), False
            for _ in range(_PAGES):
                page = journal.page(after, ("alert/",), limit=_MOST, max_bytes=_PAGE_BYTES, pictures=False)
                for entry in page.entries:
                    try:
                        message = decode([entry.topic.encode(), entry.body]).message
                    except (MalformedError, UnicodeError):
                        continue
                    if isinstance(message, AlertMessage):
                        found.append(message)
                after, done = page.next, page.done
                if done:
                    break
            if len(found) >= _ENOUGH or not done:
                break
    except JournalError as error:
        log.debug("the alerts of earlier runs are not shown: %s", error)
    return list(found)
