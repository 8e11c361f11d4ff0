"""Where the project, its configs and local test footage are."""

from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
SHARED_DATA = ROOT.parent / "shared/data"
"""Real footage with labels; tests that need it skip where it is absent."""
