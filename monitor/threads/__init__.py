"""A thread that keeps its error, and bounded queues between threads."""
