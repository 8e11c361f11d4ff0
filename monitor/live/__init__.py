"""The threads of a run: capture, queue, inference, the fleet of cameras and the main loop."""
