"""Delivers alerts to receivers outside, from the journal. None of them can slow an alert."""
