"""Logs the items that are not messages, for callers that want only messages."""

from __future__ import annotations

import logging

from monitor.client.items import Expired, Gap, Item, Malformed, NoRepair, Silence, UnknownCamera, Unreadable
from monitor.client.lines import text_line
from monitor.errors import LostError

log = logging.getLogger(__name__)


def note(item: Item, *, strict: bool) -> None:
    """Log an item that is not a message. With ``strict``, raise LostError for a loss."""
    if isinstance(item, Gap | Expired):
        if strict:
            raise LostError(text_line(item))
        log.error("%s", text_line(item))
    elif isinstance(item, Silence | NoRepair | Malformed | Unreadable | UnknownCamera):
        log.warning("%s", text_line(item))
    else:
        log.info("%s", text_line(item))
