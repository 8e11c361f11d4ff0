"""The program that checks one source. monitor.app.doctor.children starts it, because a decoder may crash or hang in it.

Reads a Request as JSON from standard input; writes one Answer as JSON per line to standard output.
"""

from __future__ import annotations

import json
import math
import resource
import signal
import sys
from dataclasses import asdict

from monitor.app.doctor.facts import Answer, Failure, FootageFacts, Request, StreamFacts
from monitor.processes import die_first, end_with_parent, limit_memory


def main() -> None:
    """Check the source and write the result."""
    end_with_parent()
    die_first()
    limit_memory()
    request = Request(**json.loads(sys.stdin.readline()))
    signal.alarm(math.ceil(request.longest_deadline_s) + 10)  # ends this process even if it hangs in a decoder
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    found = _look(request)
    if isinstance(found, StreamFacts):
        _write(Answer("done", stream=found))
    elif isinstance(found, FootageFacts):
        _write(Answer("done", footage=found))
    else:
        _write(Answer("done", failure=found))


def _look(request: Request) -> StreamFacts | FootageFacts | Failure:
    # Imported on demand, because FFmpeg and OpenCV are slow to import.
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
