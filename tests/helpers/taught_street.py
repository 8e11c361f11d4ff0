"""Events of the demo's street, scored by its model: what people teach by in tests."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache

from monitor.app.demo import MODEL_FOLDER
from monitor.judging.alerting import AlertSettings
from monitor.judging.camera_monitor import Alert, CameraMonitor
from monitor.judging.fusion import ModelScale
from monitor.model.model_store import Model, load_model
from monitor.replay import replay
from monitor.scores.smoothing import SmoothingSettings
from monitor.sources.synthetic.synthetic_scene import SyntheticScene
from monitor.states import Phase


@cache
def street_model() -> Model:
    """The model of the demo."""
    return load_model(MODEL_FOLDER, "cpu")


@cache
def street_scale() -> ModelScale:
    """Its scale at the default budget."""
    return ModelScale(street_model(), 1.0, SmoothingSettings())


def street_monitor(camera: str = "street") -> CameraMonitor:
    """A new monitor for it."""
    return CameraMonitor(camera, street_scale(), SmoothingSettings(), AlertSettings())


def ends(alerts: Sequence[Alert]) -> list[Alert]:
    """The whole events."""
    return [alert for alert in alerts if alert.event.phase is Phase.END]


def watched(model: Model, monitor: CameraMonitor | None = None, seed: int = 5, duration_s: float = 30.0) -> list[Alert]:
    """The steps of the events of the street."""
    monitor = monitor or street_monitor()
    street = SyntheticScene(seed=seed, duration_s=duration_s)
    alerts = [alert for judgement in replay(street, model, monitor) for alert in judgement.alerts]
    return [*alerts, *monitor.close()]


@cache
def street_events() -> tuple[Alert, ...]:
    """The whole events of half a minute of the street, as the model judges them without any lesson."""
    return tuple(ends(watched(street_model())))
