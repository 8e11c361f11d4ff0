"""The interface of all sinks of scores, alerts and health.

The publisher, the log, the score record, the dashboard and evidence are sinks. To add one (MQTT, a web page), write one
class, and add it where ``monitor.app.session`` lists them.
"""

from __future__ import annotations

from monitor.judging.camera_monitor import Alert, CameraMonitor, Judgement
from monitor.reports import CameraReport, RunReport
from monitor.types import ScoredFrame


class Sink:
    """The methods that the main loop calls, in the main thread. Override only the ones that you need.

    A judgement and an alert carry their model and budget (``scale``), so a sink keeps no table of its own. No method
    may wait: slow work belongs in a thread of the sink's own.
    """

    def added(self, monitor: CameraMonitor) -> None:
        """This monitor judges a camera from now on: at the start, after a reload, and when the camera has learned."""

    def frame(self, scored: ScoredFrame) -> None:
        """A frame has come out of the pipeline: before it is judged, and also while its camera learns."""

    def score(self, judgement: Judgement) -> None:
        """A frame has been scored."""

    def alert(self, alert: Alert, report: CameraReport) -> None:
        """An event starts, continues or ends. ``report``: the current report of its camera."""

    def health(self, report: CameraReport) -> None:
        """A camera's state has changed."""

    def removed(self, camera: str) -> None:
        """A camera is no longer watched; its open event has ended. Another one of the same name may be added next.

        Also called for a camera that was never ``added``, because it was still learning.
        """

    def tick(self, report: RunReport) -> None:
        """Called about ten times per second."""
