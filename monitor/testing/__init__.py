"""Replacements for tests and benchmarks: sources, detectors, clocks, and cameras that inject faults."""
