"""True Sight: watches fixed cameras, learns what is normal and alerts on what is not."""

__version__ = "0.1.0"
