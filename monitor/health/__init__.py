"""Is a camera's picture worth scoring, the right way up, and what the camera usually shows?

One verdict a frame, from the picture and, where the model has one, from the camera's viewpoint. Pure: no threads and
no clock; times are the stream's own, so recorded footage is judged as live footage is.
"""

from monitor.health.check import GOOD, HealthCheck
from monitor.health.settings import HealthSettings
from monitor.health.viewpoint import Viewpoint

__all__ = ["GOOD", "HealthCheck", "HealthSettings", "Viewpoint"]
