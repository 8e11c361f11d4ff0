"""Events of a camera with a picture that becomes bright, and sinks that keep evidence of them, for tests."""

import threading
from collections.abc import Sequence
from pathlib import Path

from monitor.judging.camera_monitor import Alert, CameraMonitor, Judgement
from monitor.live.sink import Sink
from monitor.sinks.evidence.camera_evidence import CameraEvidence
from monitor.sinks.evidence.evidence_settings import EvidenceSettings
from monitor.sinks.evidence.evidence_sink import EvidenceSink
from monitor.testing.fakes import monitor_of, scored
from monitor.types import ScoredFrame

DEADLINE_S = 20
CALM, BRIGHT = 25, 200


def monitor(camera: str = "cam") -> CameraMonitor:
    return monitor_of(camera)


def levels(*parts: tuple[float, int], fps: float = 10.0) -> list[ScoredFrame]:
    """Frames of the given (seconds, grey level) one after another."""
    grey = [level for seconds, level in parts for _ in range(round(seconds * fps))]
    return [scored(number / fps, level) for number, level in enumerate(grey)]


def play(frames: Sequence[ScoredFrame], evidence: CameraEvidence) -> list[Alert]:
    watched, alerts = monitor(), []
    for item in frames:
        judgement = watched.update(item)
        evidence.frame(item.frame)
        for alert in judgement.alerts:
            evidence.step(alert)
            alerts.append(alert)
    for alert in watched.close():
        evidence.step(alert)
        alerts.append(alert)
    evidence.finish()
    return alerts


def tell(sink: Sink, judgement: Judgement, report: object = None) -> None:
    """Pass a judgement to a sink, as the main loop does."""
    sink.score(judgement)
    for alert in judgement.alerts:
        sink.alert(alert, report)  # type: ignore[arg-type]


def sink_for(folder: Path, stop: threading.Event | None = None) -> EvidenceSink:
    settings = EvidenceSettings(enabled=True, folder=folder)
    sink = EvidenceSink(settings, stop=stop or threading.Event())
    sink.added(monitor())
    return sink


def files_in(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
