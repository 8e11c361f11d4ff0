"""Receive what a monitor publishes; ``python -m monitor.client`` prints it."""

from monitor.client.subscriber import (
    AlertSubscriber,
    Contact,
    Gap,
    Item,
    Malformed,
    Received,
    SequenceTracker,
    Silence,
)

__all__ = ["AlertSubscriber", "Contact", "Gap", "Item", "Malformed", "Received", "SequenceTracker", "Silence"]
