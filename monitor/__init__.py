"""True Sight: watch fixed cameras, learn what is normal, alert on what is not."""

__version__ = "0.1.0"
