"""Paths of the project, its configs and local test footage."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
SHARED_DATA = ROOT.parent / "shared/data"
"""Real footage with labels. Tests that need it are skipped if it is missing."""
