"""The doctor's check of one source alone, for somebody who wants to add a camera to a run."""

from __future__ import annotations

from monitor.app.config import CameraConfig, MonitorConfig
from monitor.app.doctor.checkup import Checkup, find_sources, look_at
from monitor.app.doctor.doctor_report import hide_secrets
from monitor.app.doctor.finding_report import Finding, State

SECONDS = 4.0
"""How long a camera is watched."""


def check_source(name: str, camera: CameraConfig, settings: MonitorConfig, seconds: float = SECONDS) -> list[Finding]:
    """What the doctor finds about this camera. Takes about ``seconds``, longer for a camera that does not answer."""
    alone = settings.model_copy(update={"cameras": {name: camera}})
    checkup = Checkup(alone, (f"{name}={camera.source}",), seconds=seconds)
    sources, problems = find_sources(checkup)
    return [hide_secrets(finding) for finding in (*problems, *(look_at(source, checkup) for source in sources))]


def is_usable(findings: list[Finding]) -> bool:
    """Whether the camera could be watched."""
    return bool(findings) and all(finding.state is not State.PROBLEM for finding in findings)
