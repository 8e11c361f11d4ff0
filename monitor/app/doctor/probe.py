"""The program that looks at one source, started by monitor.app.doctor.children: a decoder may crash or hang in it.

A Request as JSON on standard input; an Answer as JSON a line on standard output.
"""

from __future__ import annotations

import json
import math
import resource
import signal
import sys
from dataclasses import asdict

from monitor.app.doctor.facts import Answer, Failure, FootageFacts, Request, StreamFacts


def main() -> None:
    """Look, and say what is there."""
    request = Request(**json.loads(sys.stdin.readline()))
    signal.alarm(math.ceil(request.deadline_s) + 1)  # ends this process, should nobody be left to do it
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    found = _look(request)
    if isinstance(found, StreamFacts):
        _write(Answer("done", stream=found))
    elif isinstance(found, FootageFacts):
        _write(Answer("done", footage=found))
    else:
        _write(Answer("done", failure=found))


def _look(request: Request) -> StreamFacts | FootageFacts | Failure:
    # Imported on demand: FFmpeg and OpenCV take their time.
    if request.kind == "url":
        from monitor.app.doctor.stream_check import watch_url

        return watch_url(request, _stage)
    if request.kind == "usb":
        from monitor.app.doctor.stream_check import watch_usb

        return watch_usb(request, _stage)
    from monitor.app.doctor.footage_check import look_at

    return look_at(request, _stage)


def _stage(name: str) -> None:
    _write(Answer(name))


def _write(answer: Answer) -> None:
    sys.stdout.write(json.dumps(asdict(answer)) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
