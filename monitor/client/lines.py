"""Formats what a subscriber received: one line of text for people, or one line of JSON for programs."""

from __future__ import annotations

import json
from dataclasses import asdict

from monitor.alerts.message_parts import EARLY, why_quiet
from monitor.alerts.messages import AlertMessage, BudgetMessage, HealthMessage, MomentMessage, ScoreMessage
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
from monitor.promise import rate_words, watched_words
from monitor.states import AlertKind, Phase
from monitor.text.durations import local_time, place
from monitor.text.outside import safe
from monitor.text.wording import counted, listed, nearest

_NAMED_AT_MOST = 20
_SAME_TIME_S = 1.0
"""A message is always sent a little after the event that it reports, seconds. Below this, times count as equal."""


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _earlier(word: str, began_at: float, sent_at: float) -> str:
    """Return ``since 14:07:31``, with the date if the day differs; empty if it began when the message was sent."""
    if sent_at - began_at <= _SAME_TIME_S:
        return ""
    began, sent = local_time(began_at), local_time(sent_at)
    day, _, time_of_day = began.partition(" ")
    return f"{word} {time_of_day if sent.startswith(f'{day} ') else began}"


def _text_of_message(message: AlertMessage | HealthMessage | BudgetMessage | MomentMessage | ScoreMessage) -> str:
    # A line begins with the time of sending, so that times increase from line to line.
    words = [local_time(message.sent_at), message.camera]
    if isinstance(message, ScoreMessage):
        words += [f"score {_number(message.score)}", f"{message.time_s:.2f} s", f"frame {message.frame_index}"]
        words.append(_earlier("read", message.captured_at, message.sent_at))
    elif isinstance(message, BudgetMessage):
        words += [budget_text(message)]
    elif isinstance(message, MomentMessage):
        words += [f"moment of {message.local}", f"score {message.score:.2f}"]
        words.extend(reason.text for reason in message.reasons[:1])
    elif isinstance(message, HealthMessage):
        words += [message.state, _earlier("since", message.since, message.sent_at), message.detail]
        if message.blind_s > 0:
            words.append(watched_words(message.watched_s, message.blind_s))
    elif message.about == AlertKind.CAMERA_LOST:
        words += [message.phase.upper(), "camera lost" if message.ended_at is None else "camera was lost"]
        words.append(_earlier("since" if message.ended_at is None else "from", message.started_at, message.sent_at))
        if message.interrupted:
            words.append("(the monitor was killed meanwhile)")
        else:
            words.extend(reason.text for reason in message.reasons[:1])
    else:
        # An update gives the present reason, a start or end the reason of the peak. The score is of the same moment.
        present = message.phase is Phase.UPDATE
        score = f"score {_number(message.score)}" if present else f"peak {_number(message.peak_score)}"
        words += [message.phase.upper(), score]
        if message.ended_s is not None:
            # In footage time, unlike the clock times of the line: a file can play faster or slower than the clock.
            words.append(f"lasted {message.ended_s - message.started_s:.1f} s of footage")
        began = "since" if message.ended_at is None else "began"
        words.append(_earlier(began, message.started_at, message.sent_at))
        if message.media_s is not None and not present:  # the start of the event, which an update would repeat
            words.append(f"at {place(message.media_s)} of the footage")
        if message.interrupted:
            words.append("(the monitor was killed during the event)")
        if message.name:
            words.append(f"like '{message.name}' ({message.alike or 0:.0%} alike)")
        if message.early:
            words.append(f"({EARLY})")
        if not message.notify:
            words.append(f"({why_quiet(notify=message.notify, armed=message.armed, named=bool(message.name))})")
        words.extend(reason.text for reason in message.reasons[:1])
        words.extend(f"also {reason.text}" for reason in message.also)
    return "  ".join(filter(None, words)).rstrip()


def budget_text(message: BudgetMessage) -> str:
    """``1.3 alarms per day (0.5 to 2.7) in 72 h, promised 1``."""
    promised = f"promised {message.promised_per_day:.3g}"
    if message.per_day is None or message.high is None:
        return f"nothing watched yet, {promised}"
    rate = rate_words(message.alarms, message.watched_s, message.per_day, message.low, message.high)
    kept = ": the promise is broken" if message.broken else ""
    watched = f"; {watched_words(message.watched_s, message.blind_s)}" if message.blind_s > 0 else ""
    return f"{rate}, {promised}{kept}{watched}"


def text_line(item: Item) -> str:
    """Format an item for people, on one line. Control characters cannot reach the terminal."""
    match item:
        case Received():
            text = _text_of_message(item.message)
        case Gap():
            text = f"lost: {item.topic} {item.first} to {item.last}"
        case Expired():
            text = f"the journal of {item.node} does not reach back far enough: earlier messages may be lost"
        case NoRepair():
            text = f"lost messages cannot be recovered: {item.reason}"
        case Contact(restarted=True):
            text = f"{item.node} has restarted"
        case Contact():
            text = f"connected to {item.node}"
        case Ended():
            text = f"{item.node} has ended ({item.how})"
        case Silence(heard_before=True):
            text = (
                f"nothing received from {item.endpoint} for {item.seconds:g} s: the monitor stopped without notice, "
                "or the connection is down"
            )
        case Silence():
            text = (
                f"waiting: nothing received from {item.endpoint} for {item.seconds:g} s. "
                "Check that a monitor runs there and that this is its alerts address, not its scores address"
            )
        case Malformed():
            text = f"ignored a malformed message with topic {item.topic[:80]!r}: {item.reason}"
        case Unreadable():
            text = f"the journal of {item.node} holds {counted(item.count, 'message')} that cannot be read: skipped"
        case UnknownCamera():
            what = "camera" if len(item.cameras) == 1 else "cameras"
            unknown, known = listed(item.cameras, _NAMED_AT_MOST), listed(item.known, _NAMED_AT_MOST)
            meant = dict.fromkeys(filter(None, (nearest(camera, item.known) for camera in item.cameras)))
            hint = f"did you mean {' and '.join(meant)}? It" if meant else "it"
            text = f"{item.node} knows no {what} {unknown}: {hint} watches {known}"
    return safe(text)


def json_line(item: Received | Gap | Expired, token: str | None = None) -> str:
    """Format a message or a loss as one line of JSON: ``kind``, then the fields of the body or the loss.

    token  a subscriber continues after this item with this token
    """
    if isinstance(item, Gap | Expired):
        return json.dumps({"kind": "gap" if isinstance(item, Gap) else "expired", **asdict(item)})
    topic = item.message.topic
    head = {"kind": topic.partition("/")[0], "topic": topic, "lost": item.lost, "jpeg_bytes": len(item.jpeg or b"")}
    head["token"] = token
    return json.dumps(head | item.message.model_dump(mode="json", by_alias=True))
