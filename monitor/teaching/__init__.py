"""Verdicts of people about events: kept, applied to the cameras' models and monitors, and undone."""
