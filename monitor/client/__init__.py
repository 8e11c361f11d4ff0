"""Receive the messages of a monitor. ``python -m monitor.client`` prints them."""

from monitor.client.aio import AsyncAlertSubscriber
from monitor.client.controller import Controller
from monitor.client.items import (
    Contact,
    Ended,
    Expired,
    Gap,
    Item,
    Malformed,
    NoRepair,
    Received,
    Silence,
    UnknownCamera,
    Unreadable,
)
from monitor.client.subscriber import AlertSubscriber
from monitor.client.tracker import SequenceTracker

__all__ = [
    "AlertSubscriber",
    "AsyncAlertSubscriber",
    "Contact",
    "Controller",
    "Ended",
    "Expired",
    "Gap",
    "Item",
    "Malformed",
    "NoRepair",
    "Received",
    "SequenceTracker",
    "Silence",
    "UnknownCamera",
    "Unreadable",
]
