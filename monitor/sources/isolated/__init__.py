"""Sources that are decoded in a separate process, so that a crash or a hang affects only that process."""
