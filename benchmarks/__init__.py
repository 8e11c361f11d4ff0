"""Programs that print figures: speed, latency, accuracy. None of them is a test."""
