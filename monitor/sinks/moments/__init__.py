"""Prometheus metrics, and answers about the health of the process, over HTTP."""
