"""From detections to alerts: smoothing, calibration, fusion, the alert rule, drift. Pure: no threads, no clock."""
