"""What a subscriber received, as a line of text for people or of JSON for programs."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import asdict

from monitor.client.items import Contact, Expired, Gap, Item, Malformed, NoRepair, Received, Silence, UnknownCamera
from monitor.messages import (
    NOT_NOTIFIED,
    AlertMessage,
    HealthMessage,
    ScoreMessage,
)

_NAMED_AT_MOST = 20


def _local_time(unix_s: float) -> str:
    try:
        return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(unix_s))
    except (OverflowError, ValueError, OSError):
        return f"{unix_s:.0f}"


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _text_of_message(message: AlertMessage | HealthMessage | ScoreMessage) -> str:
    if isinstance(message, ScoreMessage):
        place = f"{message.time_s:.2f} s  frame {message.frame_index}"
        return f"{_local_time(message.captured_at)}  {message.camera}  score {_number(message.score)}  {place}"
    if isinstance(message, HealthMessage):
        return f"{_local_time(message.since)}  {message.camera}  {message.state}  {message.detail}".rstrip()
    at = message.started_at if message.ended_at is None else message.ended_at
    words = [_local_time(at), message.camera, message.phase.upper(), f"peak {_number(message.peak_score)}"]
    if message.ended_s is not None:
        words.append(f"lasted {message.ended_s - message.started_s:.1f} s")
    if message.interrupted:
        words.append("(the monitor was killed meanwhile)")
    if not message.notify:
        words.append(f"({NOT_NOTIFIED})")
    words.extend(reason.text for reason in message.reasons[:1])
    return "  ".join(words)


def _some(names: Sequence[str]) -> str:
    shown = ", ".join(names[:_NAMED_AT_MOST])
    return shown if len(names) <= _NAMED_AT_MOST else f"{shown} and {len(names) - _NAMED_AT_MOST} more"


def text_line(item: Item) -> str:
    """An item for people, on one line: whatever it says, it cannot steer the terminal."""
    match item:
        case Received():
            text = _text_of_message(item.message)
        case Gap():
            text = f"lost: {item.topic} {item.first} to {item.last}"
        case Expired():
            text = f"the journal of {item.node} does not go back that far: earlier messages may be lost"
        case NoRepair():
            text = f"lost messages cannot be had again: {item.reason}"
        case Contact(restarted=True):
            text = f"{item.node} has restarted"
        case Contact():
            text = f"connected to {item.node}"
        case Silence(heard_before=True):
            text = f"nothing heard from {item.endpoint} for {item.seconds:g} s: the monitor or the connection is down"
        case Silence():
            text = (
                f"waiting: nothing heard from {item.endpoint} for {item.seconds:g} s. "
                "Check that a monitor runs there and that this is its alerts address, not that of its scores"
            )
        case Malformed():
            text = f"ignored a malformed message with topic {item.topic[:80]!r}: {item.reason}"
        case UnknownCamera():
            what, them = ("camera", "it") if len(item.cameras) == 1 else ("cameras", "them")
            text = (
                f"{item.node} knows no {what} {_some(item.cameras)}: it watches {_some(item.known)}; "
                f"waiting for {them} all the same"
            )
    return "".join(letter if letter.isprintable() else "?" for letter in text)


def json_line(item: Received | Gap | Expired, token: str | None = None) -> str:
    """A message or a loss as one JSON object on one line: ``kind``, and the fields of the body or the loss.

    token  with which to go on after this item
    """
    if isinstance(item, Gap | Expired):
        return json.dumps({"kind": "gap" if isinstance(item, Gap) else "expired", **asdict(item)})
    topic = item.message.topic
    head = {"kind": topic.partition("/")[0], "topic": topic, "lost": item.lost, "jpeg_bytes": len(item.jpeg or b"")}
    head["token"] = token
    return json.dumps(head | item.message.model_dump(mode="json", by_alias=True))
