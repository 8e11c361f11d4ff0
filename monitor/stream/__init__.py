"""Checks of a stream's frames before any detector sees them: rate, gaps, size, health, light."""
