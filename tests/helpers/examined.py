"""Requests to the doctor in tests, and its findings for a source that cannot be watched."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager

from monitor.app.doctor.children import probe
from monitor.app.doctor.doctor_report import json_line, text_line
from monitor.app.doctor.facts import Failure, Kind, Request, StreamFacts
from monitor.app.doctor.finding_report import Finding, State
from monitor.app.doctor.verdict import judge_failure
from tests.places import ROOT

DEMO_MODEL = ROOT / "monitor/assets/demo"
SECRET = "hunter2"  # noqa: S105 - of a camera that does not exist
GOOD = StreamFacts("h264", 640, 360, 25.0, 25.0, 0.3, 0.6, 125, 0, 0.06, 0.004, 2.0, 1.0, 2.0, False, False)
"""A camera that needs no advice."""


def request(kind: Kind, target: str, seconds: float = 1.0, open_timeout_s: float = 3.0) -> Request:
    return Request(kind, target, seconds, 25.0, open_timeout_s, 2.0, 1.0, 20.0)


def failure(kind: Kind, target: str, open_timeout_s: float = 3.0) -> Finding:
    """The finding for a source that cannot be watched."""
    asked = request(kind, target, open_timeout_s=open_timeout_s)
    found = probe(asked)
    assert isinstance(found, Failure), found
    finding = judge_failure("camera", "yard", found, asked)
    assert finding.state is State.PROBLEM
    assert finding.mend
    assert SECRET not in text_line(finding) + json_line(finding)
    return finding


@contextmanager
def listening() -> Iterator[socket.socket]:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(8)
        yield listener
