"""Motion: speed, direction and size of what moves, compared with the motion seen at each place."""
