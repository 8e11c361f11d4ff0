"""From frames to alerts: scoring, fusion, regions, alert rule and drift. No threads; only the scorer reads a clock."""
