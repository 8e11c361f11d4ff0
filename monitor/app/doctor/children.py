"""Runs probes as child processes. Each has a deadline that is enforced even if the decoder hangs."""

from __future__ import annotations

import json
import subprocess
import time
from dataclasses import asdict

from pydantic import TypeAdapter, ValidationError

from monitor.app.doctor.facts import Answer, Failure, FootageFacts, Request, StreamFacts, Trouble
from monitor.processes import ChildWork, child_command, child_environment, how_it_died
from monitor.text.redaction import redact

AT_ONCE = 16
"""Number of probes that run in parallel."""
_MEASURE_S, _LOOK_AGAIN_S = 0.5, 2.0

_ANSWER = TypeAdapter(Answer)


def probe(request: Request) -> StreamFacts | FootageFacts | Failure:
    """Check a source in its own process. Returns within ``request.deadline_s`` plus the time to kill the process.

    If the machine is so busy that the process waits for a core, it gets three times as long.
    """
    try:
        process = subprocess.Popen(  # noqa: S603 - the running Python and this package
            child_command("monitor.app.doctor.probe"),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            env=child_environment(),
        )
    except OSError as error:
        return Failure(Trouble.BROKEN, f"its check cannot be started: {error.strerror or error}")
    hung = starved = False
    work, began = ChildWork(process.pid), time.monotonic()
    with process:
        asked: str | None = json.dumps(asdict(request)) + "\n"
        wait_s = request.deadline_s
        while True:
            try:
                output, complaints = process.communicate(asked, wait_s)
                break
            except subprocess.TimeoutExpired:
                # A machine that is too busy says nothing about the camera: the check gets more time.
                shares = work.shares()
                if asked is not None:  # how it started is no excuse: measure from now on
                    asked, wait_s = None, _MEASURE_S
                    continue
                starved = shares.starved
                if starved and time.monotonic() - began < request.longest_deadline_s:
                    wait_s = _LOOK_AGAIN_S
                    continue
                hung = True
                process.kill()
                output, complaints = process.communicate()
                break
    answer = _last_answer(output)
    found = answer.stream or answer.footage or answer.failure
    if found is not None:  # valid even if the process crashed afterwards, while it closed the source
        return found
    if hung:
        return Failure(Trouble.TOO_BUSY if starved else Trouble.HUNG, answer.stage)
    if process.returncode < 0:
        return Failure(Trouble.CRASHED, f"{how_it_died(process.returncode)} while {answer.stage}")
    said = complaints.strip().splitlines()
    return Failure(Trouble.BROKEN, redact(said[-1]) if said else f"exit code {process.returncode}")


def _last_answer(output: str) -> Answer:
    """The last complete line. A process that is killed may leave an incomplete one."""
    answer = Answer("starting")
    for line in output.splitlines():
        try:
            answer = _ANSWER.validate_json(line)
        except ValidationError:
            break
    return answer
