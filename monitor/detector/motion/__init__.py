"""Motion: compares speed, direction and size of moving objects with the motion learned at each place."""
