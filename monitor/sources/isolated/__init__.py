"""Sources that are decoded in a process of their own, which may crash or hang alone."""
