"""A camera without a model records normal footage. A process learns from it. From then on the camera is watched."""
