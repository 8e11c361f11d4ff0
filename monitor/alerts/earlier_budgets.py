"""What earlier runs have counted of each camera's alarms and watched time, from the journal."""

from __future__ import annotations

import logging
from collections import defaultdict

from monitor.alerts.journal import Journal, JournalError
from monitor.alerts.messages import BudgetMessage, MalformedError, decode

log = logging.getLogger(__name__)

Counted = tuple[float, int, float]
"""Watched seconds, the alarms in them, and blind seconds besides."""

_DAYS = 30.0  # a camera that is not watched all the time takes longer to be watched for seven days
_PAGES, _PAGE, _PAGE_BYTES = 100, 500, 1_000_000


def earlier_budgets(journal: Journal, now: float) -> dict[str, list[Counted]]:
    """Camera -> what its messages of the last 30 days have added, oldest first. now: unix seconds.

    It reads a bounded number of messages; one that cannot be read is left out.
    """
    found: defaultdict[str, list[Counted]] = defaultdict(list)
    try:
        after = journal.position_at(now - _DAYS * 86_400.0)
        for _ in range(_PAGES):
            page = journal.page(after, ("budget/",), limit=_PAGE, max_bytes=_PAGE_BYTES, pictures=False)
            for entry in page.entries:
                try:
                    message = decode([entry.topic.encode(), entry.body]).message
                except (MalformedError, UnicodeError):
                    continue
                if isinstance(message, BudgetMessage):
                    found[message.camera].append((message.added_s, message.added_alarms, message.added_blind_s))
            if page.done:
                break
            after = page.next
    except JournalError as error:
        log.warning("the alarms of earlier runs are not counted: %s", error)
    return dict(found)
