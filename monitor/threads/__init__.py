"""Threads and the ways between them: a thread that keeps its error, bounded channels."""
