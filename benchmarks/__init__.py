"""Programs that measure and print figures: speed, latency, accuracy. They are not tests."""
