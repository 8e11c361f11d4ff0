"""Where frames come from: cameras, video files, folders of images, the synthetic scene."""

from monitor.sources.discovery import Split, open_sources

__all__ = ["Split", "open_sources"]
